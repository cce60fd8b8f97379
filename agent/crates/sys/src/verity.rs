//! Files that the kernel keeps from being changed and checks whenever they are read (fs-verity).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// struct fsverity_enable_arg (linux/fsverity.h).
#[repr(C)]
struct EnableArgument {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved1: u32,
    signature: u64,
    reserved2: [u64; 11],
}

/// `FS_IOC_ENABLE_VERITY`: `_IOW('f', 133, struct fsverity_enable_arg)`.
const ENABLE: libc::c_ulong =
    1 << 30 | (std::mem::size_of::<EnableArgument>() as libc::c_ulong) << 16 | 0x6685;
/// `FS_VERITY_HASH_ALG_SHA256`.
const SHA256: u32 = 1;

/// Seals a file, which must be open for reading only, and by nobody for writing. Reads it to its end.
///
/// # Errors
/// `EEXIST` if it is sealed; `ENOTTY` or `EOPNOTSUPP` where the file system cannot; `ETXTBSY` while somebody writes.
pub fn seal(file: impl AsFd) -> io::Result<()> {
    let argument = EnableArgument {
        version: 1,
        hash_algorithm: SHA256,
        block_size: 4096,
        salt_size: 0,
        salt: 0,
        signature_size: 0,
        reserved1: 0,
        signature: 0,
        reserved2: [0; 11],
    };
    // SAFETY: the request takes a pointer to this structure, which is valid and read only for the length of the call.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), ENABLE, std::ptr::from_ref(&argument)) };
    crate::ret(result.into()).map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_request_is_the_kernels() {
        assert_eq!(std::mem::size_of::<super::EnableArgument>(), 128);
        assert_eq!(super::ENABLE, 0x4080_6685);
    }
}
