//! Doors for fuzz targets: what is not to be called from elsewhere.

use crate::registry::fuzzing as registry;
use crate::{bundle, configuration, manifest};

/// Everything textual that a registry or an archive may send.
pub fn documents(bytes: &[u8]) {
    const TYPES: [&str; 5] = [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ];
    let accepted = TYPES.iter().filter(|media_type| manifest::parse(media_type, bytes).is_ok()).count();
    if let Ok((media_type, document)) = manifest::parse_kept(bytes) {
        assert_eq!(manifest::parse(media_type, bytes).as_ref(), Ok(&document));
        assert!(accepted >= 1);
        if let manifest::Document::Manifest(manifest) = document {
            let layers: Vec<_> = manifest.layers.iter().map(|(layer, _)| layer.clone()).collect();
            let (media_type, written) =
                manifest::written(&manifest.config.digest, manifest.config.size, &layers);
            assert!(manifest::parse(media_type, &written).is_ok());
        }
    }
    if let Ok(configuration) = configuration::parse(bytes) {
        let layers = configuration.diff_ids.len();
        assert!(configuration::parse_for(bytes, layers).is_ok());
        assert!(configuration::parse_for(bytes, layers + 1).is_err());
    }
    bundle::fuzzing(bytes);
    registry::answers(bytes);
}
