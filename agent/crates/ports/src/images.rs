//! Image store and registry client.

use crate::Result;
use async_trait::async_trait;
use hull_model::{ContainerId, Digest, Image, Reference, Registry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Hears how far a transfer is.
pub trait Progress: Send + Sync {
    /// Bytes transferred so far, and in all if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// Directories of a container's root file system. Whoever starts the container mounts them as an overlay in the
/// container's own mount namespace; nothing of it is mounted on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, topmost first; at least one.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// Overlayfs's work directory, on the same file system as `upper`.
    pub work: PathBuf,
}

/// Images that are on this host, and how to get them.
#[async_trait]
pub trait Images: Send + Sync {
    /// Every complete image. Never shows one whose layers are not all there and verified.
    async fn list(&self) -> Result<Vec<Image>>;

    /// Fetches an image by its reference for this host's architecture, and names it by it. `registries` says how
    /// each registry is reached. Layers that are here already are not fetched. Several pulls of one layer share the work.
    async fn pull(
        &self,
        reference: &Reference,
        registries: &BTreeMap<String, Registry>,
        progress: &dyn Progress,
    ) -> Result<Image>;

    /// Forgets an image and frees the layers nobody else needs. `Conflict` if a container uses it.
    async fn remove(&self, image: &Digest) -> Result<()>;

    /// Makes a container's writable layer on an image, or finds the one made before.
    async fn prepare(&self, container: &ContainerId, image: &Digest) -> Result<Rootfs>;

    /// Removes a container's writable layer.
    async fn discard(&self, container: &ContainerId) -> Result<()>;

    /// Removes writable layers of containers that are not in the list, and everything left by interrupted pulls.
    async fn sweep(&self, containers: &[ContainerId]) -> Result<()>;
}
