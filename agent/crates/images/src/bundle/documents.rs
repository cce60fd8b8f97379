//! What describes the images of an archive that is written.

use super::oci::blob as path;
use super::save::{Content, Outline};
use crate::disk::{DiskError, disk_error};
use crate::layers::Pins;
use crate::manifest::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::records::Known;
use crate::store::Inner;
use bytes::Bytes;
use hull_model::{Digest, Reference};
use hull_ports::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The documents, their fields in the order in which other engines write them: equal images then have equal manifests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'static str,
    digest: &'a Digest,
    size: u64,
}

impl<'a> Descriptor<'a> {
    fn new(media_type: &'static str, digest: &'a Digest, size: u64) -> Self {
        Self { media_type, digest, size }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Indexed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Indexed {
    media_type: &'static str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Serialize)]
struct Annotations {
    #[serde(rename = "io.containerd.image.name")]
    name: String,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    tag: String,
}

/// An image in `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Digest>,
    layer_sources: BTreeMap<Digest, Source>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    media_type: &'static str,
    size: u64,
    digest: Digest,
}

/// What describes the images.
#[derive(Default)]
pub(super) struct Documents {
    blobs: BTreeMap<String, (Content, i64)>,
    listed: Vec<Listed>,
    index: Vec<Indexed>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Documents {
    /// Adds an image with its names.
    pub(super) fn add(&mut self, inner: &Inner, image: &Known, names: &BTreeSet<Reference>) -> Result<()> {
        let id = &image.record.id;
        let failed = |error: DiskError| disk_error(format!("saving image {}", id.short()), error);
        let config = inner.blob(id).map_err(failed)?;
        let made = image.configuration.created.parse().map_or(0, |at: Timestamp| at.as_second()).max(0);
        let layers: Vec<(&Digest, u64)> = image
            .record
            .layers
            .iter()
            .map(|layer| (layer, inner.layers().facts(layer).map_or(0, |facts| facts.record.archive)))
            .collect();
        let descriptors: Vec<Descriptor<'_>> =
            layers.iter().map(|(layer, size)| Descriptor::new(OCI_LAYER, layer, *size)).collect();
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: Descriptor::new(OCI_CONFIG, id, config.len() as u64),
            layers: descriptors,
        };
        let manifest = text(&manifest);
        let digest = Digest::from_sha256(Sha256::digest(&manifest).into());
        self.name(names, &digest, manifest.len() as u64, layers.last().map(|(layer, _)| *layer));
        let source = |(layer, size): &(&Digest, u64)| {
            let source = Source { media_type: OCI_LAYER, size: *size, digest: (*layer).clone() };
            ((*layer).clone(), source)
        };
        self.listed.push(Listed {
            config: path(id),
            repo_tags: (!names.is_empty()).then(|| names.iter().map(Reference::familiar).collect()),
            layers: layers.iter().map(|(layer, _)| path(layer)).collect(),
            parent: image.record.parent.clone(),
            layer_sources: layers.iter().map(source).collect(),
        });
        self.blobs.insert(path(&digest), (Content::Bytes(manifest), 0));
        self.blobs.insert(path(id), (Content::Bytes(config), made));
        for (layer, _) in layers {
            self.blobs.entry(path(layer)).or_insert((Content::Layer(layer.clone()), made));
        }
        Ok(())
    }

    fn name(&mut self, names: &BTreeSet<Reference>, manifest: &Digest, size: u64, top: Option<&Digest>) {
        let mut list = |annotations| {
            let (media_type, digest) = (OCI_MANIFEST, manifest.clone());
            self.index.push(Indexed { media_type, digest, size, annotations });
        };
        if names.is_empty() {
            return list(None);
        }
        for name in names {
            let tag = name.tag.clone().unwrap_or_default();
            list(Some(Annotations { name: name.to_string(), tag: tag.clone() }));
            if let Some(top) = top {
                let tags = self.repositories.entry(name.familiar_name()).or_default();
                tags.insert(tag, top.hex().to_owned());
            }
        }
    }

    /// The archive that they make.
    pub(super) fn finish(self, pins: Pins) -> Outline {
        let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests: self.index };
        let mut documents = vec![
            ("index.json", text(&index)),
            ("manifest.json", text(&self.listed)),
            ("oci-layout", Bytes::from_static(br#"{"imageLayoutVersion": "1.0.0"}"#)),
        ];
        if !self.repositories.is_empty() {
            documents.push(("repositories", text(&json!(self.repositories))));
        }
        Outline { blobs: self.blobs, documents, _pins: pins }
    }
}

/// The JSON of a document. All keys are text, so this cannot fail.
fn text(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_the_one_that_other_engines_write() {
        let digest = |hex: &str| Digest::parse(&format!("sha256:{hex}")).unwrap();
        let config = digest("765c28284a97a54f57fba1f42decee5dbf81d9fca8b8bf36035766ebfa8cfb12");
        let layer = digest("c8eb0b7269e448e5eafc66e514711dffe6d6ad032c931f9a9b1677c3d8145ad9");
        let manifest = Manifest {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: Descriptor::new(OCI_CONFIG, &config, 895),
            layers: vec![Descriptor::new(OCI_LAYER, &layer, 2_211_840)],
        };
        let bytes = text(&manifest);
        // As Docker 28.5.2 saves the same image.
        let wanted = digest("6e79050339d6557cf3191da93743a5ec3d446599284e6bb33ab1490b0eb506be");
        assert_eq!(Digest::from_sha256(Sha256::digest(&bytes).into()), wanted, "{bytes:?}");
    }
}
