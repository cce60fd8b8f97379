//! Extended attributes of open files (xattr(7)).

use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd};

/// Sets an attribute on an open file or directory, replacing an older value.
///
/// # Errors
/// What fsetxattr(2) says; `EBADF` for a descriptor opened with `O_PATH`.
pub fn set(file: impl AsFd, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the name is terminated, and the pointer and length describe one live slice; the kernel only reads both.
    let result = unsafe {
        libc::fsetxattr(file.as_fd().as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    Errno::result(result).map(drop)
}

/// Reads an attribute; `None` if there is none of that name.
///
/// # Errors
/// What fgetxattr(2) says.
pub fn get(file: impl AsFd, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
    let fd = file.as_fd().as_raw_fd();
    let mut value = vec![0u8; 256];
    loop {
        // SAFETY: the name is terminated, and the pointer and length describe one live, writable buffer.
        let size = unsafe { libc::fgetxattr(fd, name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        match Errno::result(size) {
            Ok(size) => {
                value.truncate(usize::try_from(size).unwrap_or(0));
                return Ok(Some(value));
            }
            Err(Errno::ENODATA) => return Ok(None),
            // An attribute is at most 64 KiB (XATTR_SIZE_MAX).
            Err(Errno::ERANGE) if value.len() < 65_536 => value.resize(65_536, 0),
            Err(errno) => return Err(errno),
        }
    }
}

/// Names of all attributes of an open file or directory.
///
/// # Errors
/// What flistxattr(2) says.
pub fn list(file: impl AsFd) -> nix::Result<Vec<CString>> {
    let fd = file.as_fd().as_raw_fd();
    let mut names = vec![0u8; 1024];
    loop {
        // SAFETY: the pointer and length describe one live, writable buffer.
        let size = unsafe { libc::flistxattr(fd, names.as_mut_ptr().cast(), names.len()) };
        match Errno::result(size) {
            Ok(size) => {
                names.truncate(usize::try_from(size).unwrap_or(0));
                break;
            }
            // A list is at most 64 KiB (XATTR_LIST_MAX).
            Err(Errno::ERANGE) if names.len() < 65_536 => names.resize(65_536, 0),
            Err(errno) => return Err(errno),
        }
    }
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}
