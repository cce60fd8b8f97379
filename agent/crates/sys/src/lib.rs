//! System calls that the standard library and `nix` do not offer safely, and the only `unsafe` code of the project.
//!
//! Every function here does one system call or a short fixed sequence of them, takes and returns owned or borrowed
//! descriptors, and reports the kernel's error as [`std::io::Error`]. Nothing here decides anything.

pub mod bpf;
pub mod capability;
pub mod link;
pub mod mount;
pub mod namespace;
pub mod netns;
pub mod openat2;
pub mod pidfd;
pub mod pipe;
pub mod prctl;
pub mod process;
pub mod resolve;
pub mod seccomp;
pub mod socket;
pub mod terminal;
pub mod tree;
pub mod verity;
pub mod window;
pub mod xattr;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The result of a system call, or the kernel's error if it is -1.
fn ret(value: libc::c_long) -> io::Result<libc::c_long> {
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// The result of a system call that opens a descriptor.
fn owned(value: libc::c_long) -> io::Result<OwnedFd> {
    // SAFETY: only called with the result of a call that returns a new close-on-exec descriptor nobody else owns.
    ret(value).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
