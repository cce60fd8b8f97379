//! Loading a system call filter: seccomp(2).

use crate::ret;
use std::io;

/// One instruction of classic BPF (`struct sock_filter`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

/// Loads a filter on this thread; `flags` are `SECCOMP_FILTER_FLAG_*`. Needs CAP_SYS_ADMIN or no-new-privileges.
pub fn load(program: &[Instruction], flags: u32) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, filter: program.as_ptr() };
    // SAFETY: the program points to `length` instructions; the kernel copies and verifies them.
    ret(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&program))
    })
    .map(drop)
}
