//! A procfs of our own: nothing that an image or another container put in the way of /proc is ever looked at.

use super::rootdir::{Links, RootDir};
use crate::failure::{Doing as _, Result};
use hull_sys::mount::{FsContext, attr};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A new procfs of this PID namespace, mounted nowhere.
pub(super) fn procfs() -> Result<OwnedFd> {
    FsContext::open(c"proc")
        .and_then(|context| context.mount(attr::NOSUID | attr::NODEV | attr::NOEXEC))
        .doing(|| "making a private procfs".to_owned())
}

/// The procfs at /proc of a running container if it is one, else a new one.
pub(super) fn procfs_of(root: &RootDir) -> Result<OwnedFd> {
    const PROC_SUPER_MAGIC: i64 = 0x9fa0;
    if let Ok(fd) = root.open(Path::new("/proc"), libc::O_PATH | libc::O_DIRECTORY, Links::Refused)
        && nix::sys::statfs::fstatfs(&fd)
            .is_ok_and(|s| s.filesystem_type() == nix::sys::statfs::FsType(PROC_SUPER_MAGIC))
    {
        return Ok(fd);
    }
    procfs()
}
