//! One name in an open directory, and what is written to it.

use crate::failure::Failure;
use hull_tar::{Archive, Entry, TarError};
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::unistd::{Whence, ftruncate, lseek64};
use std::ffi::OsStr;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Times beyond this many seconds from 1970 are cut: file systems refuse or wrap them.
const MAX_SECONDS: i64 = 1 << 40;

/// One name in an open directory, and the path in the archive for messages.
pub(super) struct Place<'a> {
    pub(super) dir: Rc<OwnedFd>,
    pub(super) name: &'a OsStr,
    pub(super) raw: &'a [u8],
}

impl Place<'_> {
    pub(super) fn fails(&self, action: &'static str) -> impl FnOnce(Errno) -> Failure + use<> {
        Failure::system(action, self.raw)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The data of a file, with its holes.
pub(super) fn contents<R: BufRead>(
    file: &OwnedFd,
    place: &Place<'_>,
    entry: &Entry,
    archive: &mut Archive<R>,
) -> Result<(), Failure> {
    let too_large = |_| Failure::Archive(TarError::malformed("a file is too large"));
    let whole = [(0, entry.size)];
    let segments = entry.sparse.as_ref().map_or(&whole[..], |sparse| &sparse.segments);
    for &(offset, length) in segments {
        let offset = i64::try_from(offset).map_err(too_large)?;
        if offset != 0 {
            lseek64(file, offset, Whence::SeekSet).map_err(place.fails("write"))?;
        }
        let done = archive.data(length, |mut piece| {
            while !piece.is_empty() {
                match nix::unistd::write(file, piece) {
                    Ok(count) => piece = &piece[count..],
                    Err(Errno::EINTR) => {}
                    Err(errno) => return Err(place.fails("write")(errno)),
                }
            }
            Ok(())
        })?;
        if done != length {
            return Err(TarError::Truncated.into());
        }
    }
    if let Some(sparse) = &entry.sparse {
        ftruncate(file, i64::try_from(sparse.size).map_err(too_large)?).map_err(place.fails("write"))?;
    }
    Ok(())
}

pub(super) fn timespec((seconds, nanos): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds.clamp(-MAX_SECONDS, MAX_SECONDS), i64::from(nanos))
}
