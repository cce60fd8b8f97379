//! Decoding one header block.

use super::BLOCK;
use crate::{Kind, TarError};

/// What a header describes.
pub(super) fn kind(header: &tar::Header, path: &[u8], link: Vec<u8>) -> Result<Kind, TarError> {
    let device = || -> Result<(u32, u32), TarError> {
        let bad = || TarError::malformed("a device number is broken");
        let major = header.device_major().map_err(|_| bad())?.ok_or_else(bad)?;
        Ok((major, header.device_minor().map_err(|_| bad())?.ok_or_else(bad)?))
    };
    Ok(match header.entry_type().as_byte() {
        // Before POSIX, a directory was a file whose name ends in a slash.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Symlink(link),
        b'3' => device().map(|(major, minor)| Kind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| Kind::Block(major, minor))?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(TarError::refused(path, "entries of this type are not part of the image format")),
    })
}

/// The sum of all bytes, the checksum field counted as spaces; some old programs summed signed bytes.
pub(super) fn checksum(block: &[u8; BLOCK]) -> Result<(), TarError> {
    let stored = tar::Header::from_byte_slice(block).cksum().ok();
    let bytes = || block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { b' ' } else { *b });
    let unsigned: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|b| i32::from(b.cast_signed())).sum();
    if stored == Some(unsigned) || stored.is_some_and(|s| i64::from(s) == i64::from(signed)) {
        Ok(())
    } else {
        Err(TarError::malformed("a header's checksum is wrong"))
    }
}
