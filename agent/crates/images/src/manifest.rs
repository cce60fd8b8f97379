//! Manifests and indexes as registries send them (OCI image specification; Docker image manifest v2,
//! schema 2). Pure.
//!
//! A document is what its media type says, and its own fields must agree: one that could be read as two things is refused.

mod written;

pub(crate) use written::written;

use crate::platform::Platform;
use crate::snapshot::Compression;
use hull_model::Digest;
use serde::Deserialize;

/// Media types that a manifest request accepts.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Docker's manifest, its configuration and its layers.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_GZIP_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// The same in the OCI image specification.
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// More layers than this cannot be mounted together (overlayfs, OVL_MAX_STACK).
const MAX_LAYERS: usize = 500;

/// Why a document is not one this host can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidManifest {
    /// The JSON is broken, or a field is missing or of the wrong type.
    #[error("the {what} is not valid: {reason}")]
    Json {
        /// Manifest, index or configuration.
        what: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A media type that is not supported.
    #[error("{what} has the media type {media_type:?}, which is not supported")]
    MediaType {
        /// Manifest, configuration or layer.
        what: &'static str,
        /// What was found.
        media_type: String,
    },
    /// A manifest as registries had it before 2016.
    #[error(
        "its manifest is of version 2, schema 1, which is not supported: the image has to be pushed again with a \
         current tool"
    )]
    Schema1,
    /// Something else that registries keep.
    #[error("it is not an image but an artifact of the type {0:?}")]
    Artifact(String),
    /// The document contradicts itself.
    #[error("the {what} is ambiguous: {reason}")]
    Ambiguous {
        /// Manifest or index.
        what: &'static str,
        /// What contradicts what.
        reason: &'static str,
    },
    /// More layers than can be mounted.
    #[error("the image has {0} layers; 500 is the most that can be mounted")]
    TooManyLayers(usize),
    /// The configuration and the manifest do not fit each other.
    #[error("the manifest has {manifest} layers and the configuration has {config}")]
    LayerCount {
        /// Layers in the manifest.
        manifest: usize,
        /// Layers in the configuration.
        config: usize,
    },
}

/// Names content by digest and size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<Platform>,
}

/// A manifest, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// One manifest for each platform.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image: its configuration and layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<(Descriptor, Compression)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// Only in schema 1.
    fs_layers: Option<serde_json::Value>,
}

/// Reads a document that was sent as `content_type`.
pub(crate) fn parse(content_type: &str, bytes: &[u8]) -> Result<Document, InvalidManifest> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let (what, is_index) = match media_type {
        "application/vnd.oci.image.index.v1+json"
        | "application/vnd.docker.distribution.manifest.list.v2+json" => ("index", true),
        "application/vnd.oci.image.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v2+json" => ("manifest", false),
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => {
            return Err(InvalidManifest::Schema1);
        }
        _ => return Err(InvalidManifest::MediaType { what: "the manifest", media_type: media_type.into() }),
    };
    let raw: RawDocument = serde_json::from_slice(bytes)
        .map_err(|error| InvalidManifest::Json { what, reason: error.to_string() })?;
    let ambiguous = |reason| Err(InvalidManifest::Ambiguous { what, reason });
    if raw.media_type.as_deref().is_some_and(|own| own != media_type) {
        return ambiguous("its mediaType is not the media type it was sent as");
    }
    if raw.schema_version == 1 {
        return Err(InvalidManifest::Schema1);
    }
    if raw.schema_version != 2 || raw.fs_layers.is_some() {
        return ambiguous("its schemaVersion is not 2");
    }
    match (is_index, raw.manifests, raw.config, raw.layers) {
        (true, Some(manifests), None, None) => Ok(Document::Index(manifests)),
        (false, None, Some(config), Some(layers)) => manifest(config, layers).map(Document::Manifest),
        _ => ambiguous("it must have either manifests, or config and layers"),
    }
}

/// Reads a document of which only the bytes are known. One without a media type is what its fields say (OCI image
/// specification, where it may be left out).
pub(crate) fn parse_kept(bytes: &[u8]) -> Result<(&'static str, Document), InvalidManifest> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outline {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let outline: Outline = serde_json::from_slice(bytes)
        .map_err(|error| InvalidManifest::Json { what: "manifest", reason: error.to_string() })?;
    let implied = if outline.manifests.is_some() { OCI_INDEX } else { OCI_MANIFEST };
    let media_type = match outline.media_type.as_deref() {
        None => implied,
        Some(text) => [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST]
            .into_iter()
            .find(|known| *known == text)
            .ok_or_else(|| InvalidManifest::MediaType {
                what: "the manifest",
                media_type: text.to_owned(),
            })?,
    };
    Ok((media_type, parse(media_type, bytes)?))
}

fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Result<Manifest, InvalidManifest> {
    if !matches!(
        config.media_type.as_str(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    ) {
        return Err(InvalidManifest::Artifact(config.media_type));
    }
    if layers.len() > MAX_LAYERS {
        return Err(InvalidManifest::TooManyLayers(layers.len()));
    }
    let layers = layers
        .into_iter()
        .map(|layer| match compression(&layer.media_type) {
            Some(compression) => Ok((layer, compression)),
            None => Err(InvalidManifest::MediaType { what: "a layer", media_type: layer.media_type }),
        })
        .collect::<Result<_, _>>()?;
    Ok(Manifest { config, layers })
}

/// Foreign layers are not here on purpose: their addresses are chosen by whoever wrote the manifest.
fn compression(media_type: &str) -> Option<Compression> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Some(Compression::None)
        }
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Compression::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = OCI_MANIFEST;

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{}","size":3}}"#, "0".repeat(64))
    }

    fn manifest_with(layer: &str) -> String {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, descriptor(layer))
    }

    #[test]
    fn manifests_and_indexes_are_told_apart() {
        let text = manifest_with("application/vnd.oci.image.layer.v1.tar+zstd");
        let Document::Manifest(manifest) = parse(OCI, text.as_bytes()).unwrap() else {
            panic!("not a manifest")
        };
        assert_eq!(manifest.layers[0].1, Compression::Zstd);
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{{"mediaType":"{OCI}","digest":"sha256:{}","size":1,
            "platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
            "1".repeat(64)
        );
        let Document::Index(entries) =
            parse(&format!("{OCI_INDEX}; charset=utf-8"), text.as_bytes()).unwrap()
        else {
            panic!("not an index")
        };
        assert_eq!(entries[0].platform.as_ref().map(ToString::to_string).as_deref(), Some("linux/amd64"));
    }

    #[test]
    fn what_is_no_image_is_said_to_be_none() {
        let good = manifest_with("application/vnd.oci.image.layer.v1.tar");
        let artifact =
            good.replace("application/vnd.oci.image.config.v1+json", "application/vnd.oci.empty.v1+json");
        assert!(matches!(parse(OCI, artifact.as_bytes()), Err(InvalidManifest::Artifact(_))));
        for schema1 in [r#"{"schemaVersion":1,"fsLayers":[]}"#, r#"{"schemaVersion":1}"#] {
            assert_eq!(parse(OCI, schema1.as_bytes()), Err(InvalidManifest::Schema1));
        }
    }

    #[test]
    fn what_could_be_read_as_two_things_is_refused() {
        let good = manifest_with("application/vnd.oci.image.layer.v1.tar");
        assert!(parse(OCI, good.as_bytes()).is_ok());
        let both = good.replacen('{', r#"{"manifests":[],"#, 1);
        let other_type = good.replacen('{', &format!(r#"{{"mediaType":"{OCI_INDEX}","#), 1);
        let twice = good.replacen('{', r#"{"layers":[],"#, 1);
        let schema = good.replacen(":2", ":1", 1);
        for (content_type, text) in [
            (OCI, both.as_str()),
            (OCI, other_type.as_str()),
            (OCI, twice.as_str()),
            (OCI, schema.as_str()),
            (OCI_INDEX, good.as_str()),
            ("application/json", good.as_str()),
            ("application/vnd.docker.distribution.manifest.v1+json", good.as_str()),
            (OCI, "[]"),
            (OCI, ""),
        ] {
            assert!(parse(content_type, text.as_bytes()).is_err(), "{content_type} {text}");
        }
        for layer in [
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "application/vnd.oci.image.layer.v1.tar+encrypted",
            "text/plain",
        ] {
            assert!(parse(OCI, manifest_with(layer).as_bytes()).is_err(), "{layer}");
        }
        assert!(parse(OCI, good.replace(&"0".repeat(64), "../../etc/passwd").as_bytes()).is_err());
    }
}
