//! One file system for a whole image: its layers over each other, whiteouts resolved.

use super::files::{devices as table_entries, identity};
use super::{ARCHIVE, INDEX, SPILL};
use crate::disk::DiskError;
use crate::erofs::{self, InvalidIndex};
use crate::tree::Tree;
use hull_model::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Changes when the bytes that are made of the same layers change.
const VERSION: &str = "hull-merged-1";

/// Why layers could not be merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// A file could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A layer's index is not what was written.
    #[error("layer {}", layer.short())]
    Index {
        /// Which.
        layer: Digest,
        /// What is wrong with it.
        source: InvalidIndex,
    },
}

/// Names what is made of these layers, lowest first.
pub(crate) fn chain(layers: &[Digest]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(VERSION);
    for layer in layers {
        hash.update("\n");
        hash.update(layer.to_string());
    }
    Digest::from_sha256(hash.finalize().into())
}

/// The file system of an image. `directory` says where a layer lies.
pub(crate) fn merge(
    layers: &[Digest],
    directory: impl Fn(&Digest) -> PathBuf,
) -> Result<Vec<u8>, MergeError> {
    let mut tree = Tree::new();
    let mut table = Vec::new();
    let mut known: HashMap<&Digest, u16> = HashMap::new();
    for layer in layers {
        let dir = directory(layer);
        let first = match known.get(layer) {
            Some(first) => *first,
            None => {
                // At most 500 layers of two devices.
                let first = u16::try_from(table.len()).unwrap_or(u16::MAX);
                let spill = dir.join(SPILL);
                let spilled = if spill.exists() { Some(length(&spill)?) } else { None };
                let both = table_entries(layer, length(&dir.join(ARCHIVE))?, spilled.unwrap_or(0));
                table.extend(both.into_iter().take(1 + usize::from(spilled.is_some())));
                known.insert(layer, first);
                first
            }
        };
        tree.cover(&layer_tree(layer, &dir)?, first);
    }
    Ok(erofs::write(&tree, &table, identity(&chain(layers))))
}

/// The files that the file system of an image is mounted with, in order.
pub(crate) fn devices(layers: &[Digest], directory: impl Fn(&Digest) -> PathBuf) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let unique = layers.iter().filter(|layer| seen.insert(*layer));
    let files = unique.flat_map(|layer| {
        let dir = directory(layer);
        let spill = Some(dir.join(SPILL)).filter(|spill| spill.exists());
        [Some(dir.join(ARCHIVE)), spill].into_iter().flatten()
    });
    files.collect()
}

fn layer_tree(layer: &Digest, dir: &Path) -> Result<Tree, MergeError> {
    let path = dir.join(INDEX);
    let bytes = fs::read(&path).map_err(DiskError::new("reading", &path))?;
    erofs::read(&bytes).map_err(|source| MergeError::Index { layer: layer.clone(), source })
}

fn length(path: &Path) -> Result<u64, DiskError> {
    fs::metadata(path).map(|meta| meta.len()).map_err(DiskError::new("looking at", path))
}
