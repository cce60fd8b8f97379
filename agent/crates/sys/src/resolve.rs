//! openat2(2): opening below a directory without ever leaving it.

use crate::owned;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `RESOLVE_*`: how a path is walked.
pub mod flags {
    /// Links of /proc that jump elsewhere are refused.
    pub const NO_MAGICLINKS: u64 = 0x2;
    /// Every symbolic link is refused.
    pub const NO_SYMLINKS: u64 = 0x4;
    /// A step out of the directory is refused.
    pub const BENEATH: u64 = 0x8;
    /// The directory is the root: `..` and absolute links stay in it.
    pub const IN_ROOT: u64 = 0x10;
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens `path` below `dir`. `flags` are `O_*` (close-on-exec is added), `mode` is for files being created.
pub fn open(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: u64::from(mode), resolve };
    // The kernel answers EAGAIN when a rename elsewhere raced with a walk that must not leave its root.
    for _ in 0..64 {
        // SAFETY: the path is NUL-terminated, the structure valid and its true size passed.
        let answer = owned(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                std::ptr::from_ref(&how),
                std::mem::size_of::<OpenHow>(),
            )
        });
        match answer {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            other => return other,
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}
