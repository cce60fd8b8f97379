//! Opening paths that somebody else chose (openat2(2)).
//!
//! Every path from an image or a container is resolved relative to a directory descriptor, cannot leave that directory and
//! meets no symbolic link on its way. There is no string-path form on purpose.

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Opens `path` below `dir`, close-on-exec. An empty path is `dir` itself.
///
/// # Errors
/// `EXDEV` for a path that leaves `dir` or is absolute, `ELOOP` for any symbolic link in it, the last component included,
/// and those of open(2).
pub fn open_beneath(dir: impl AsFd, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    open(dir, path, flags, ResolveFlag::empty())
}

/// Like [`open_beneath`], without crossing into another mount.
///
/// # Errors
/// As for [`open_beneath`]; `EXDEV` for a step out of the mount too.
pub fn open_beneath_same_mount(dir: impl AsFd, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    open(dir, path, flags, ResolveFlag::RESOLVE_NO_XDEV)
}

fn open(dir: impl AsFd, path: &[u8], flags: OFlag, more: ResolveFlag) -> nix::Result<OwnedFd> {
    let path = OsStr::from_bytes(if path.is_empty() { b"." } else { path });
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | more;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    loop {
        // EAGAIN: somewhere on the host something was renamed while this path was walked.
        match openat2(dir.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn nothing_outside_is_reached() {
        let top = std::env::temp_dir().join(format!("hull-openat2-{}", std::process::id()));
        std::fs::create_dir_all(top.join("in/sub")).unwrap();
        std::os::unix::fs::symlink("/", top.join("in/abs")).unwrap();
        std::os::unix::fs::symlink("sub", top.join("in/rel")).unwrap();
        let dir = File::open(top.join("in")).unwrap();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        assert!(open_beneath(&dir, b"", flags).is_ok());
        assert!(open_beneath(&dir, b"sub", flags).is_ok());
        assert_eq!(open_beneath(&dir, b"..", flags).unwrap_err(), Errno::EXDEV);
        assert_eq!(open_beneath(&dir, b"/etc", flags).unwrap_err(), Errno::EXDEV);
        assert_eq!(open_beneath(&dir, b"abs", flags).unwrap_err(), Errno::ELOOP);
        assert_eq!(open_beneath(&dir, b"abs/etc", flags).unwrap_err(), Errno::ELOOP);
        assert_eq!(open_beneath(&dir, b"rel", flags).unwrap_err(), Errno::ELOOP);
        std::fs::remove_dir_all(top).unwrap();
    }
}
