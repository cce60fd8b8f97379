//! Manifests of our own.

use super::{
    DOCKER_CONFIG, DOCKER_GZIP_LAYER, DOCKER_MANIFEST, Descriptor, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST,
    compression,
};
use crate::snapshot::Compression;
use bytes::Bytes;
use hull_model::Digest;

/// A manifest of our own, and its media type: Docker's where it can say what there is, as most readers know it.
pub(crate) fn written(config: &Digest, config_size: u64, layers: &[Descriptor]) -> (&'static str, Bytes) {
    let forms: Vec<Option<Compression>> = layers.iter().map(|layer| compression(&layer.media_type)).collect();
    let docker = forms.iter().all(|form| *form == Some(Compression::Gzip));
    let (media_type, config_type) =
        if docker { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (OCI_MANIFEST, OCI_CONFIG) };
    let blobs: Vec<serde_json::Value> = layers
        .iter()
        .zip(forms)
        .map(|(layer, form)| {
            let media_type = match (docker, form) {
                (true, _) => DOCKER_GZIP_LAYER.to_owned(),
                (false, Some(Compression::Gzip)) => format!("{OCI_LAYER}+gzip"),
                (false, Some(Compression::Zstd)) => format!("{OCI_LAYER}+zstd"),
                (false, _) => OCI_LAYER.to_owned(),
            };
            serde_json::json!({"mediaType": media_type, "size": layer.size, "digest": layer.digest})
        })
        .collect();
    let text = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "size": config_size, "digest": config},
        "layers": blobs,
    });
    (media_type, Bytes::from(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::{Document, parse_kept};
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let digest = Digest::from_sha256([1; 32]);
        let layer = |media_type: &str| Descriptor {
            media_type: media_type.to_owned(),
            digest: digest.clone(),
            size: 7,
            platform: None,
        };
        let gzip = layer("application/vnd.oci.image.layer.v1.tar+gzip");
        let zstd = layer("application/vnd.oci.image.layer.v1.tar+zstd");
        for (layers, wanted) in [
            (vec![], DOCKER_MANIFEST),
            (vec![gzip.clone()], DOCKER_MANIFEST),
            (vec![gzip, zstd, layer(OCI_LAYER)], OCI_MANIFEST),
        ] {
            let (media_type, bytes) = written(&digest, 9, &layers);
            assert_eq!(media_type, wanted);
            let Ok((kept, Document::Manifest(manifest))) = parse_kept(&bytes) else { panic!("{bytes:?}") };
            assert_eq!((kept, manifest.config.size), (wanted, 9));
            assert_eq!(manifest.layers.len(), layers.len());
        }
    }
}
