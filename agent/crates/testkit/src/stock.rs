//! What the store and the registry in memory hold.

use crate::world::World;
use hull_model::{Digest, Image, ImageConfig, Reference};
use hull_ports::{Error, Result};
use std::collections::BTreeSet;

/// Something that looks like a digest and is another one for other content.
pub(crate) fn digest(content: &[u8]) -> Digest {
    let mut bytes = [0u8; 32];
    for (seed, part) in bytes.chunks_exact_mut(8).enumerate() {
        // FNV-1a: near enough to random for what a test tells apart.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed as u64;
        for byte in content {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        part.copy_from_slice(&(hash ^ (hash >> 32)).to_be_bytes());
    }
    Digest::from_sha256(bytes)
}

/// An image of the given reference; its id is made from it.
pub(crate) fn image(reference: &Reference) -> Image {
    let id = digest(reference.to_string().as_bytes());
    Image {
        id: id.clone(),
        manifest: id.clone(),
        references: BTreeSet::from([reference.clone()]),
        layers: vec![id],
        config: ImageConfig { cmd: vec!["/run".into()], ..ImageConfig::default() },
        architecture: "amd64".into(),
        size: 1,
        created: String::new(),
        os: "linux".into(),
        variant: String::new(),
        author: String::new(),
        comment: String::new(),
        repo_digests: BTreeSet::new(),
        tagged: None,
        parent: None,
    }
}

pub(crate) fn unknown() -> Error {
    Error::not_found("manifest unknown: manifest unknown")
}

impl World {
    /// What the registry has under a reference.
    pub(crate) fn published(&self, reference: &Reference) -> Result<Image> {
        let state = self.lock();
        if !state.registry.contains(reference) {
            let missing = format!("manifest for {} not found", reference.familiar());
            return Err(Error::not_found(missing).because(unknown()));
        }
        let mut image = image(reference);
        if let Some(config) = state.configs.get(reference) {
            image.config = config.clone();
        }
        Ok(image)
    }

    pub(crate) fn keep(&self, image: &Image) {
        let mut state = self.lock();
        match state.images.iter_mut().find(|i| i.id == image.id) {
            Some(old) => {
                old.references.extend(image.references.iter().cloned());
                old.repo_digests.extend(image.repo_digests.iter().cloned());
            }
            None => state.images.push(image.clone()),
        }
    }
}
