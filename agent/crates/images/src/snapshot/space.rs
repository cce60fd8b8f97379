//! Keeps a part of the disk free while layers unpack: what a compressed layer grows to is declared nowhere.

use super::UnpackError;
use nix::sys::statvfs::fstatvfs;
use std::os::fd::{AsFd, OwnedFd};

/// Bytes between two looks at the disk.
const BYTES: u64 = 16 << 20;
/// Entries between two looks at the disk.
const ENTRIES: u32 = 4096;
/// Inodes that are always left.
const INODES: u64 = 4096;

/// Counts what is written and looks at the disk now and then.
pub(super) struct Space {
    disk: OwnedFd,
    bytes: u64,
    entries: u32,
}

impl Space {
    /// Watches the file system that `disk` is on, and looks at it at once.
    pub(super) fn new(disk: OwnedFd) -> Result<Self, UnpackError> {
        let space = Self { disk, bytes: 0, entries: 0 };
        space.look()?;
        Ok(space)
    }

    /// So many bytes are about to be written.
    pub(super) fn write(&mut self, bytes: u64) -> Result<(), UnpackError> {
        self.bytes += bytes;
        if self.bytes < BYTES {
            return Ok(());
        }
        self.bytes = 0;
        self.look()
    }

    /// An entry is about to be made.
    pub(super) fn entry(&mut self) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries < ENTRIES {
            return Ok(());
        }
        self.entries = 0;
        self.look()
    }

    fn look(&self) -> Result<(), UnpackError> {
        let stat = fstatvfs(self.disk.as_fd()).map_err(UnpackError::system("reading free space of", b""))?;
        let unit = stat.fragment_size();
        let (available, total) = (stat.blocks_available() * unit, stat.blocks() * unit);
        // File systems that make inodes as they need them report none at all.
        let inodes = if stat.files() == 0 { u64::MAX } else { stat.files_available() };
        if available < reserve(total) || (stat.files() > 4 * INODES && inodes < INODES) {
            return Err(UnpackError::DiskFull { available, inodes });
        }
        Ok(())
    }
}

/// Bytes that are kept free on a disk of `total` bytes: 2 %, at least 64 MiB and at most 1 GiB, and never more than a
/// quarter of a very small disk.
fn reserve(total: u64) -> u64 {
    (total / 50).clamp(64 << 20, 1 << 30).min(total / 4)
}

#[cfg(test)]
mod tests {
    use super::reserve;

    #[test]
    fn reserves() {
        let rows = [
            (0, 0),
            (100 << 20, 25 << 20),
            (1 << 30, 64 << 20),
            (10 << 30, (10 << 30) / 50),
            (1 << 40, 1 << 30),
        ];
        for (total, wanted) in rows {
            assert_eq!(reserve(total), wanted, "{total}");
        }
    }
}
