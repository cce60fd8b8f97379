//! File systems in the kernel's EROFS format (Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h), without any
//! file's data: those stay in other files, which the file system knows as its devices. Pure.
//!
//! Blocks are of 512 bytes, because that is where the data in a tar archive begin.
//!
//! ```text
//! 0      1024 bytes of nothing
//! 1024   super block, 128 bytes
//! 1152   device table, 128 bytes for each
//!        inodes, in slots of 32 bytes, the root's first: each with its extended attributes, and then its chunk
//!        indexes or the target of the symbolic link
//!        blocks of directories, and of symbolic links that are longer than what is left of a block
//! ```

mod checksum;
mod directory;
mod format;
mod read;
mod write;
mod xattr;

pub(crate) use read::{InvalidIndex, read};
pub(crate) use write::{Device, write};
