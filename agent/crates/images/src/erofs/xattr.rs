//! Extended attributes behind an inode.

use super::format::{XATTR_ENTRY, XATTR_HEADER, XATTR_PREFIXES};
use std::collections::BTreeMap;

/// Names and values.
pub(super) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The number of a name's prefix and the rest of the name. `None` for a name the format does not have.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    XATTR_PREFIXES.iter().find_map(|(index, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        (prefix.ends_with(b".") || rest.is_empty()).then_some((*index, rest))
    })
}

/// Bytes that attributes take; a multiple of four, and 0 if there are none.
pub(super) fn size(xattrs: &Xattrs) -> usize {
    let entry = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        split(name).map(|(_, rest)| (XATTR_ENTRY + rest.len() + value.len()).next_multiple_of(4))
    };
    let sum: usize = xattrs.iter().filter_map(entry).sum();
    if sum == 0 { 0 } else { XATTR_HEADER + sum }
}

/// What `i_xattr_icount` says of so many bytes.
pub(super) fn count(size: usize) -> u16 {
    // Attributes of one file are at most 128 KiB.
    if size == 0 { 0 } else { u16::try_from((size - XATTR_HEADER) / 4 + 1).unwrap_or(u16::MAX) }
}

/// Bytes that `i_xattr_icount` stands for.
pub(super) fn size_of_count(count: u16) -> usize {
    if count == 0 { 0 } else { XATTR_HEADER + (usize::from(count) - 1) * 4 }
}

/// Writes [`size`] bytes.
pub(super) fn write(xattrs: &Xattrs, out: &mut [u8]) {
    let mut at = XATTR_HEADER;
    for (name, value) in xattrs {
        let Some((index, rest)) = split(name) else { continue };
        out[at] = u8::try_from(rest.len()).unwrap_or(u8::MAX);
        out[at + 1] = index;
        out[at + 2..at + 4].copy_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
        at += XATTR_ENTRY;
        out[at..at + rest.len()].copy_from_slice(rest);
        out[at + rest.len()..at + rest.len() + value.len()].copy_from_slice(value);
        at = (at + rest.len() + value.len()).next_multiple_of(4);
    }
}

/// Reads what [`write`] wrote; `None` if it is not that.
pub(super) fn read(bytes: &[u8]) -> Option<Xattrs> {
    let mut xattrs = Xattrs::new();
    let mut rest = bytes.get(XATTR_HEADER..)?;
    while !rest.is_empty() {
        let (entry, after) = rest.split_at_checked(XATTR_ENTRY)?;
        let (name, value) = (usize::from(entry[0]), usize::from(u16::from_le_bytes([entry[2], entry[3]])));
        let (_, prefix) = XATTR_PREFIXES.iter().find(|(index, _)| *index == entry[1])?;
        let name_bytes = after.get(..name)?;
        xattrs.insert([prefix, name_bytes].concat(), after.get(name..name + value)?.to_vec());
        rest = rest.get((XATTR_ENTRY + name + value).next_multiple_of(4)..)?;
    }
    Some(xattrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back() {
        let names = ["user.a", "user.", "trusted.x.y", "security.capability", "system.posix_acl_access"];
        let xattrs: Xattrs =
            names.iter().enumerate().map(|(i, n)| (n.as_bytes().to_vec(), vec![7; i * 3])).collect();
        let mut bytes = vec![0; size(&xattrs)];
        write(&xattrs, &mut bytes);
        assert_eq!(size_of_count(count(bytes.len())), bytes.len());
        assert_eq!(read(&bytes).unwrap(), xattrs);
        assert_eq!((size(&Xattrs::new()), count(0)), (0, 0));
    }
}
