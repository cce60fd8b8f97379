//! Files of containers, as tar archives in and out.

use crate::{ByteStream, Result, Rootfs};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Something mounted over a container's root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeMount {
    /// On the host.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: PathBuf,
    /// Cannot be written.
    pub read_only: bool,
}

/// All that is needed to see a container's files as its processes do, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerTree {
    /// Its root file system.
    pub rootfs: Rootfs,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// Volumes and host directories, in the order they are mounted.
    pub mounts: Vec<TreeMount>,
    /// Its main process, if it runs: then what that process sees is used.
    pub pid: Option<i32>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// Last component of the path; `/` for the root.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Mode as stat(2) gives it, with the type.
    pub mode: u32,
    /// When it was changed.
    pub modified: Timestamp,
    /// What a symbolic link points to, made absolute inside the container; empty otherwise.
    pub link_target: String,
}

/// How an archive is put into a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    /// Refuse to replace a directory by something else, or something else by a directory.
    pub no_overwrite_dir_non_dir: bool,
    /// User and group, as numbers inside the container, to whom everything belongs; `None` keeps the owners that the archive
    /// names. Docker sets it to the container's user if `copyUIDGID` was asked for and the container has a user.
    pub owner: Option<(u32, u32)>,
}

/// What happened to a path of a container since its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    /// Its content or attributes changed.
    Modified,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
}

/// A path of a container that is not as in its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Absolute path inside.
    pub path: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// Reads and writes files of containers. No path is ever resolved with the host's authority: everything is anchored at the
/// container's root. No program of the container is run.
#[async_trait]
pub trait Archives: Send + Sync {
    /// What is at a path; the last component is not followed. `NotFound` if nothing is.
    async fn stat(&self, tree: &ContainerTree, path: &Path) -> Result<PathStat> {
        _ = (tree, path);
        Err(crate::Error::permanent("stat is not supported by this driver"))
    }

    /// What is at a path, as an archive whose first entry has the path's last component for its name. Ends with an error if
    /// a file cannot be read.
    async fn get(&self, tree: &ContainerTree, path: &Path) -> Result<(PathStat, ByteStream)> {
        _ = (tree, path);
        Err(crate::Error::permanent("get is not supported by this driver"))
    }

    /// Unpacks an archive (plain, gzip, bzip2, xz or zstd) into the directory at a path, symbolic links in the path and in the
    /// archive followed within that directory's container. `NotFound` if there is none, `Permanent` if it is no directory or
    /// cannot be written; a bad archive is `Retryable`: another one may do.
    async fn put(
        &self,
        tree: &ContainerTree,
        path: &Path,
        archive: ByteStream,
        options: PutOptions,
    ) -> Result<()> {
        _ = (tree, path, archive, options);
        Err(crate::Error::permanent("put is not supported by this driver"))
    }

    /// Paths that are not as in the image, parents before children, in order of names.
    async fn changes(&self, rootfs: &Rootfs) -> Result<Vec<Change>> {
        _ = rootfs;
        Err(crate::Error::permanent("changes is not supported by this driver"))
    }

    /// The whole root file system, without anything mounted over it.
    async fn export(&self, rootfs: &Rootfs) -> Result<ByteStream> {
        _ = rootfs;
        Err(crate::Error::permanent("export is not supported by this driver"))
    }

    /// What a container changed, as a layer (OCI image specification, "Layer Filesystem Changeset").
    async fn layer(&self, rootfs: &Rootfs) -> Result<ByteStream> {
        _ = rootfs;
        Err(crate::Error::permanent("layer is not supported by this driver"))
    }

    /// Copies what an image has at a path into an empty volume, with owners, modes and links, and gives the volume's own
    /// directory the owner and mode of the image's. Does nothing if the volume is not empty or the image has no such directory.
    async fn populate(&self, rootfs: &Rootfs, path: &Path, volume: &Path) -> Result<()> {
        _ = (rootfs, path, volume);
        Err(crate::Error::permanent("populate is not supported by this driver"))
    }

    /// Bytes of a container's writable layer, as they lie on the disk; and of its whole root file system.
    async fn sizes(&self, rootfs: &Rootfs) -> Result<(u64, u64)> {
        _ = rootfs;
        Err(crate::Error::permanent("sizes is not supported by this driver"))
    }
}
