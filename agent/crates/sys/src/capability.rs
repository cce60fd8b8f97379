//! Capabilities of the calling thread: capset(2) and the bounding set.

use crate::ret;
use std::io;

/// Names of all capabilities in the kernel's order, without `CAP_` (capabilities(7)).
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The bit of CAP_SYS_ADMIN.
pub const SYS_ADMIN: u64 = 1 << 21;

/// The bit of a capability by its name, with or without `CAP_`, in any case.
pub fn bit(name: &str) -> Option<u64> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == bare).map(|index| 1 << index)
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Sets the three sets of this thread.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data elements, which are passed.
    ret(unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), data.as_ptr()) }).map(drop)
}

/// The permitted set of this thread.
pub fn permitted() -> io::Result<u64> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 fills two data elements, which are there.
    ret(unsafe { libc::syscall(libc::SYS_capget, std::ptr::from_mut(&mut header), data.as_mut_ptr()) })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

/// Whether a capability, by its index, is in the bounding set. `None`: this kernel does not know it.
pub fn in_bounding_set(index: usize) -> Option<bool> {
    // SAFETY: no memory is passed.
    match unsafe { libc::prctl(libc::PR_CAPBSET_READ, index, 0, 0, 0) } {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Removes from the bounding set everything that is not in `keep`, and empties the ambient set.
pub fn limit_bounding_set(keep: u64) -> io::Result<()> {
    for index in 0..64 {
        if keep & (1 << index) != 0 {
            continue;
        }
        match in_bounding_set(index) {
            None => break,
            Some(false) => continue,
            // SAFETY: no memory is passed.
            Some(true) => ret(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, index, 0, 0, 0) } as libc::c_long)?,
        };
    }
    // SAFETY: no memory is passed.
    ret(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) } as libc::c_long)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_kernels_numbers() {
        assert_eq!(bit("CAP_CHOWN"), Some(1));
        assert_eq!(bit("net_bind_service"), Some(1 << 10));
        assert_eq!(bit("CAP_SYS_ADMIN"), Some(SYS_ADMIN));
        assert_eq!(bit("CAP_CHECKPOINT_RESTORE"), Some(1 << 40));
        assert_eq!(bit("CAP_NONE"), None);
    }
}
