//! Entering and leaving namespaces: setns(2), unshare(2).

use crate::ret;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Joins namespaces: of one namespace file (`kinds` is its `CLONE_NEW*` bit, or 0 for any), or all of `kinds` of the
/// process behind a pidfd.
pub fn join(fd: BorrowedFd<'_>, kinds: u64) -> io::Result<()> {
    // SAFETY: no memory is passed.
    ret(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), kinds as libc::c_int) }).map(drop)
}

/// Moves this process into new namespaces.
pub fn unshare(kinds: u64) -> io::Result<()> {
    // SAFETY: no memory is passed.
    ret(unsafe { libc::unshare(kinds as libc::c_int) } as libc::c_long).map(drop)
}
