//! Layers as the kernel mounts them.
//!
//! This module owns the form in which a layer lies on the disk and how it gets there: a compressed stream goes in, and a
//! verified tree comes out. The one driver here unpacks into directories. The rest of the crate only knows
//! [`Feed`], [`Unpacked`] and [`LAYER_TREE`].

mod directory;
mod error;
mod pipeline;
mod space;

pub(crate) use error::UnpackError;
pub(crate) use pipeline::{Compression, Feed, Unpacked, feed, unpack};

/// Name of the directory with a layer's files, inside the layer's directory.
pub(crate) const LAYER_TREE: &str = "fs";
/// Name of the file with a layer's uncompressed archive, inside the layer's directory.
pub(crate) const LAYER_ARCHIVE: &str = "tar";
