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

    /// Bytes of its data, as they lie on the disk.
    async fn size(&self, name: &Name) -> Result<u64> {
        _ = name;
        Err(crate::Error::permanent("size is not supported by this driver"))
    }

    /// Removes a volume with its data.
    async fn remove(&self, name: &Name) -> Result<()>;
}
