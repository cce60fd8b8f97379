//! Seeds on disks: told by their first sectors, read file by file.

use super::{fat::Fat, iso9660::Iso};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What holds a volume: read at an offset, never written.
pub(super) trait Medium {
    /// Fills the buffer from an offset.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Reads so many bytes from an offset.
    fn bytes(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; length];
        self.read_at(offset, &mut buffer)?;
        Ok(buffer)
    }
}

impl Medium for File {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Medium for Vec<u8> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).ok().and_then(|at| self.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file system whose root directory can be read.
pub(super) trait Volume {
    /// Its label, without padding.
    fn label(&self) -> &str;

    /// A file of the root directory, by its name without regard to case; `None` if it is not there. Fails for one over `limit` bytes.
    fn read(&self, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>>;
}

/// Opens a device or image file as whichever file system it holds.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Volume>> {
    let file = File::open(path)?;
    match Iso::open(file.try_clone()?) {
        Ok(iso) => Ok(Box::new(iso)),
        Err(_) => Ok(Box::new(Fat::open(file)?)),
    }
}

/// The error for what breaks the rules of its format.
pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Refuses a file that is too large to be read.
pub(super) fn check_size(name: &str, size: u64, limit: usize) -> io::Result<usize> {
    match usize::try_from(size) {
        Ok(size) if size <= limit => Ok(size),
        _ => Err(malformed(&format!("{name} has {size} bytes, more than the {limit} that are read"))),
    }
}

pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
