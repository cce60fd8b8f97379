//! Data that outlives containers.

use crate::Result;
use async_trait::async_trait;
use hull_model::{Name, VolumeSpec};
use std::path::PathBuf;

/// Volumes on this host.
#[async_trait]
pub trait Volumes: Send + Sync {
    /// Names of all volumes.
    async fn list(&self) -> Result<Vec<Name>>;

    /// Makes a volume and says where its data is. An existing one is left as it is.
    async fn create(&self, volume: &VolumeSpec) -> Result<PathBuf>;

    /// Removes a volume with its data.
    async fn remove(&self, name: &Name) -> Result<()>;
}
