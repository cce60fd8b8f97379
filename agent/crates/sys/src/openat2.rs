//! openat2(2) below a directory: no symbolic link, no `..` out of it, no other mount.

use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use std::os::fd::{AsFd, OwnedFd};

/// Opens a relative path below `dir`, close-on-exec, without following any symbolic link, leaving `dir`, or crossing into
/// another mount.
///
/// # Errors
/// `ELOOP` for a symbolic link, `EXDEV` for a step out of the directory or the mount, and those of open(2).
pub fn open_beneath_same_mount(dir: impl AsFd, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    nix::fcntl::openat2(dir, path, how)
}
