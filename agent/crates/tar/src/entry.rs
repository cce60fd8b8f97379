//! What stands in an archive.

use crate::Sparse;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, and what it says.
    Symlink(Vec<u8>),
    /// Another name of an earlier entry, and that entry's path.
    HardLink(Vec<u8>),
    /// Character device, major and minor number.
    Char(u32, u32),
    /// Block device, major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry, all headers that describe it merged. Nothing is checked but the encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the archive.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of data that are stored in the archive.
    pub size: u64,
    /// For a file with holes.
    pub sparse: Option<Sparse>,
    /// Extended attributes, names and values as they stand; nothing is filtered.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
