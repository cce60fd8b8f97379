//! Numbers of the format (fs/erofs/erofs_fs.h). All are little-endian on the disk.

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;
/// The block size as a power of two.
pub(super) const BLOCK_BITS: u8 = 9;
/// Where the super block begins.
pub(super) const SUPER: usize = 1024;
/// Bytes of the super block.
pub(super) const SUPER_SIZE: usize = 128;
/// The super block's first field.
pub(super) const MAGIC: u32 = 0xe0f5_e1e2;
/// Bytes of an entry of the device table, and what its beginning is counted in.
pub(super) const DEVICE_SIZE: usize = 128;
/// Inodes are numbered by their place, in units of this.
pub(super) const SLOT: usize = 32;
/// Bytes of an inode in the long form, the only one written here: the short one cannot hold owners and times of layers.
pub(super) const INODE: usize = 64;

/// Times of inodes are those of the last change of their contents.
pub(super) const COMPAT_MTIME: u32 = 0x2;
/// Files are made of chunks.
pub(super) const INCOMPAT_CHUNKED: u32 = 0x4;
/// There is a device table.
pub(super) const INCOMPAT_DEVICES: u32 = 0x8;

/// The long form, as `i_format` has it.
pub(super) const LONG: u16 = 1;
/// Data in consecutive blocks, as `i_format` has it.
pub(super) const PLAIN: u16 = LONG;
/// Data behind the inode, as `i_format` has it.
pub(super) const INLINE: u16 = LONG | 2 << 1;
/// Data in chunks, as `i_format` has it.
pub(super) const CHUNKED: u16 = LONG | 4 << 1;

/// Chunks are described by indexes of 8 bytes, which name a device.
pub(super) const CHUNK_INDEXES: u16 = 0x20;
/// The bits of the chunk size, as a power of two of blocks.
pub(super) const CHUNK_BITS: u16 = 0x1f;
/// Bytes of a chunk index.
pub(super) const INDEX: usize = 8;
/// The block number of a hole.
pub(super) const HOLE: u32 = u32::MAX;

/// Bytes of a directory entry without its name.
pub(super) const DIRENT: usize = 12;

/// Bytes before the extended attributes of an inode.
pub(super) const XATTR_HEADER: usize = 12;
/// Bytes of an extended attribute without its name and value.
pub(super) const XATTR_ENTRY: usize = 4;

/// Prefixes of names of extended attributes, with their numbers. Those that are whole names come first.
pub(super) const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
];

/// File types in `i_mode`.
pub(super) mod mode {
    pub(in super::super) const TYPE: u16 = 0o17_0000;
    pub(in super::super) const FIFO: u16 = 0o01_0000;
    pub(in super::super) const CHAR: u16 = 0o02_0000;
    pub(in super::super) const DIRECTORY: u16 = 0o04_0000;
    pub(in super::super) const BLOCK: u16 = 0o06_0000;
    pub(in super::super) const FILE: u16 = 0o10_0000;
    pub(in super::super) const SYMLINK: u16 = 0o12_0000;
}

/// The type of a file in the directory entry that names it.
pub(super) fn dirent_type(mode: u16) -> u8 {
    match mode & mode::TYPE {
        mode::FILE => 1,
        mode::DIRECTORY => 2,
        mode::CHAR => 3,
        mode::BLOCK => 4,
        mode::FIFO => 5,
        mode::SYMLINK => 7,
        _ => 0,
    }
}

/// A device number as the kernel's `new_encode_dev` has it: 12 bits of major, 20 of minor.
pub(super) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The reverse.
pub(super) fn decode_device(device: u32) -> (u32, u32) {
    ((device & 0xf_ff00) >> 8, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_back() {
        for pair in [(0, 0), (1, 3), (8, 0x1_2345), (4095, (1 << 20) - 1)] {
            let encoded = encode_device(pair.0, pair.1);
            assert_eq!(decode_device(encoded), pair);
        }
        assert_eq!(encode_device(1, 3), 0x103);
    }
}
