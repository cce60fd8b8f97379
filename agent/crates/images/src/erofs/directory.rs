//! Blocks of directories: in each, entries first and then their names, all names in the order of their bytes.

use super::format::{BLOCK, DIRENT};

/// One name: bytes, inode number, type.
pub(super) struct Dirent<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u64,
    pub(super) kind: u8,
}

/// Bytes of a directory with these names, in order.
pub(super) fn size<'a>(names: impl Iterator<Item = &'a [u8]>) -> usize {
    let (mut whole, mut used) = (0, 0);
    for name in names {
        let more = DIRENT + name.len();
        if used + more > BLOCK {
            (whole, used) = (whole + BLOCK, 0);
        }
        used += more;
    }
    whole + used
}

/// Writes [`size`] bytes.
pub(super) fn write(entries: &[Dirent<'_>], out: &mut [u8]) {
    let mut rest = entries;
    let mut begin = 0;
    while !rest.is_empty() {
        let mut used = 0;
        let fitting = rest.iter().take_while(|entry| {
            used += DIRENT + entry.name.len();
            used <= BLOCK
        });
        let count = fitting.count();
        let mut name_at = count * DIRENT;
        for (i, entry) in rest[..count].iter().enumerate() {
            let at = begin + i * DIRENT;
            out[at..at + 8].copy_from_slice(&entry.inode.to_le_bytes());
            out[at + 8..at + 10].copy_from_slice(&u16::try_from(name_at).unwrap_or(0).to_le_bytes());
            out[at + 10] = entry.kind;
            out[begin + name_at..begin + name_at + entry.name.len()].copy_from_slice(entry.name);
            name_at += entry.name.len();
        }
        rest = &rest[count..];
        begin += BLOCK;
    }
}

/// Reads the names and inode numbers of a directory; `None` if it is not one.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<(&[u8], u64)>> {
    let mut found = Vec::new();
    for block in bytes.chunks(BLOCK) {
        let name_at = |i: usize| -> Option<usize> {
            Some(usize::from(u16::from_le_bytes(
                block.get(i * DIRENT + 8..i * DIRENT + 10)?.try_into().ok()?,
            )))
        };
        let first = name_at(0)?;
        if first == 0 || !first.is_multiple_of(DIRENT) {
            return None;
        }
        let count = first / DIRENT;
        for i in 0..count {
            let inode = u64::from_le_bytes(block.get(i * DIRENT..i * DIRENT + 8)?.try_into().ok()?);
            let end = if i + 1 < count { name_at(i + 1)? } else { block.len() };
            let name = block.get(name_at(i)?..end)?;
            // The last name of a block ends at a zero, if not at the block's end.
            let name = name.split(|b| *b == 0).next().unwrap_or(name);
            found.push((name, inode));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_come_back(names in proptest::collection::btree_set("[a-z]{1,255}", 1..60)) {
            let entries: Vec<Dirent<'_>> = names.iter().zip(5..).map(|(n, inode)| Dirent { name: n.as_bytes(), inode, kind: 1 }).collect();
            let mut bytes = vec![0; size(entries.iter().map(|e| e.name))];
            write(&entries, &mut bytes);
            let found = read(&bytes).unwrap();
            prop_assert_eq!(found.len(), entries.len());
            for ((name, inode), entry) in found.into_iter().zip(&entries) {
                prop_assert_eq!((name, inode), (entry.name, entry.inode));
            }
        }
    }
}
