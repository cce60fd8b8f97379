//! Layers and images as the kernel mounts them.
//!
//! This module owns the forms in which a layer lies on the disk and how it gets there: a compressed stream goes in, and a
//! verified layer comes out. There are two forms ([`Form`]); both keep the archive, so that it can be given away again
//! byte for byte, and each can be made of the other.

mod copy;
mod directory;
mod error;
mod files;
mod grow;
mod merged;
mod mounts;
mod pipeline;
mod probe;
mod space;
mod verify;

pub(crate) use error::UnpackError;
pub(crate) use files::{form_of, layer_files, open_archive, seal, seal_layer};
pub(crate) use merged::{MergeError, chain, devices, merge};
pub(crate) use mounts::Mounts;
pub(crate) use pipeline::{Compression, Feed, Unpacked, feed, unpack};
pub(crate) use probe::can_mount;
pub(crate) use verify::verify;

/// Name of the directory with a layer's files, in the layer's directory.
pub(crate) const TREE: &str = "fs";
/// Name of the file with a layer's archive.
const ARCHIVE: &str = "tar";
/// Name of the file with a layer's archive where nothing reads single files from it (RFC 8878).
const PACKED: &str = "tar.zst";
/// Name of the file system that describes a layer.
const INDEX: &str = "index";
/// Name of the file with data that the archive has in pieces no block begins with.
const SPILL: &str = "spill";

/// How a layer lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Its archive, and an EROFS index that points into it.
    Erofs,
    /// A directory that overlayfs takes, and its archive compressed.
    Directory,
}

/// How images are made into root file systems.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Snapshot {
    /// By EROFS if the kernel can, else by directories.
    #[default]
    Auto,
    /// By one EROFS mount for each image. An error where the kernel cannot.
    Erofs,
    /// By one directory for each layer.
    Directory,
}
