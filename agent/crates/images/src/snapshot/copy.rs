//! File data from an archive to a file, without coming by here where the kernel can do it.

use super::UnpackError;
use super::space::Space;
use crate::tree::{Extent, SPILL};
use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::unistd::{Whence, lseek64};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Bytes that are copied at a time.
const STEP: u64 = 16 << 20;
/// Bytes that are copied at a time where the kernel does not copy.
const BUFFER: usize = 256 << 10;

/// Why data could not be copied; which file it is about is known elsewhere.
pub(super) enum CopyError {
    Kernel(Errno),
    Unpack(UnpackError),
}

impl CopyError {
    pub(super) fn about(self, path: &[u8]) -> UnpackError {
        match self {
            Self::Kernel(errno) => UnpackError::system("writing", path)(errno),
            Self::Unpack(error) => error,
        }
    }
}

impl From<Errno> for CopyError {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

/// Copies an extent from its source to its place. Holes of a spill stay holes.
pub(super) fn copy(from: &File, to: &File, extent: &Extent, space: &mut Space) -> Result<(), CopyError> {
    let end = extent.position + extent.length;
    let mut at = extent.position;
    while at < end {
        let (begin, stop) = if extent.source == SPILL { data(from, at, end)? } else { (at, end) };
        let mut from_at = begin;
        while from_at < stop {
            let count = STEP.min(stop - from_at);
            space.write(count).map_err(CopyError::Unpack)?;
            let done = step(from, from_at, to, extent.offset + (from_at - extent.position), count)?;
            from_at += done;
        }
        at = stop;
    }
    Ok(())
}

/// The next data at or behind `at`; an empty range at `end` if there are none before it.
fn data(file: &File, at: u64, end: u64) -> Result<(u64, u64), Errno> {
    let seek = |at: u64, whence| {
        let found = lseek64(file, i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?, whence)?;
        u64::try_from(found).map_err(|_| Errno::EOVERFLOW)
    };
    match seek(at, Whence::SeekData) {
        Ok(begin) if begin < end => Ok((begin, seek(begin, Whence::SeekHole)?.min(end))),
        Ok(_) | Err(Errno::ENXIO) => Ok((end, end)),
        Err(errno) => Err(errno),
    }
}

fn step(from: &File, from_at: u64, to: &File, to_at: u64, count: u64) -> Result<u64, Errno> {
    let offset = |at: u64| i64::try_from(at).map_err(|_| Errno::EOVERFLOW);
    let (mut source, mut target) = (offset(from_at)?, offset(to_at)?);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    match copy_file_range(from, Some(&mut source), to, Some(&mut target), count) {
        Ok(0) => Err(Errno::EIO),
        Ok(done) => Ok(done as u64),
        Err(Errno::EINTR) => Ok(0),
        Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            let mut buffer = vec![0; count.min(BUFFER)];
            let number =
                |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32));
            from.read_exact_at(&mut buffer, from_at).map_err(number)?;
            to.write_all_at(&buffer, to_at).map_err(number)?;
            Ok(buffer.len() as u64)
        }
        Err(errno) => Err(errno),
    }
}
