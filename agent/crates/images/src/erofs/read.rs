//! A file system that [`super::write`] made, as a tree again. Others are refused: nobody else writes what is read here, and
//! what the disk changed must not be believed.

use super::checksum::crc32c;
use super::directory;
use super::format::{
    BLOCK, BLOCK_BITS, CHUNK_BITS, CHUNKED, HOLE, INDEX, INLINE, INODE, MAGIC, PLAIN, SLOT, SUPER,
    decode_device, mode,
};
use super::write::{IMPLIED, OPAQUE};
use super::xattr;
use crate::tree::{Contents, Directory, Extent, Id, Node, ROOT, Tree, What};
use std::collections::HashMap;

/// The bytes are no file system of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the index is damaged: {0}")]
pub(crate) struct InvalidIndex(&'static str);

/// Reads the whole file system.
pub(crate) fn read(bytes: &[u8]) -> Result<Tree, InvalidIndex> {
    let mut block: [u8; BLOCK] = part(bytes, SUPER)?;
    let checksum = u32_at(&block, 4);
    block[4..8].fill(0);
    if u32_at(&block, 0) != MAGIC || block[12] != BLOCK_BITS || crc32c(&block) != checksum {
        return Err(InvalidIndex("its super block is not what was written"));
    }
    if bytes.len() != u32_at(&block, 36) as usize * BLOCK {
        return Err(InvalidIndex("its size is not what was written"));
    }
    let root = u64::from(u16::from_le_bytes([block[14], block[15]]));
    let mut reading = Reading { bytes, tree: Tree { nodes: Vec::new() }, known: HashMap::new() };
    if reading.node(root)? != ROOT || reading.tree.directory(ROOT).is_none() {
        return Err(InvalidIndex("its root is no directory"));
    }
    let mut open = vec![(ROOT, root)];
    while let Some((id, number)) = open.pop() {
        reading.directory(id, number, &mut open)?;
    }
    Ok(reading.tree)
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], InvalidIndex> {
    let slice = at.checked_add(N).and_then(|end| bytes.get(at..end));
    slice.and_then(|slice| slice.try_into().ok()).ok_or(InvalidIndex("it ends too early"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

struct Reading<'a> {
    bytes: &'a [u8],
    tree: Tree,
    /// Nodes by their inode numbers.
    known: HashMap<u64, Id>,
}

impl Reading<'_> {
    fn inode(&self, number: u64) -> Result<(usize, [u8; INODE]), InvalidIndex> {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_mul(SLOT));
        let at = at.ok_or(InvalidIndex("an inode is out of range"))?;
        Ok((at, part(self.bytes, at)?))
    }

    fn slice(&self, at: usize, size: u64) -> Result<&[u8], InvalidIndex> {
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size));
        end.and_then(|end| self.bytes.get(at..end)).ok_or(InvalidIndex("data are out of range"))
    }

    /// The node of an inode, read when it is first met. Names in directories are not read here.
    fn node(&mut self, number: u64) -> Result<Id, InvalidIndex> {
        if let Some(id) = self.known.get(&number) {
            return Ok(*id);
        }
        let (at, inode) = self.inode(number)?;
        let size = u64_at(&inode, 8);
        let xattrs = self.slice(at + INODE, xattr::size_of_count(u16_at(&inode, 2)) as u64)?;
        let tail = at + INODE + xattrs.len();
        let mut xattrs = if xattrs.is_empty() { Some(xattr::Xattrs::new()) } else { xattr::read(xattrs) }
            .ok_or(InvalidIndex("extended attributes are broken"))?;
        let full = u16_at(&inode, 4);
        let (format, union) = (u16_at(&inode, 0), u32_at(&inode, 16));
        let what = match full & mode::TYPE {
            mode::DIRECTORY => {
                let (opaque, implied) = (xattrs.remove(OPAQUE).is_some(), xattrs.remove(IMPLIED).is_some());
                What::Directory(Directory { opaque, implied, ..Directory::default() })
            }
            mode::FILE if format == CHUNKED => What::File(self.contents(tail, size, union)?),
            mode::FILE => What::File(Contents { size, ..Contents::default() }),
            mode::SYMLINK if format == INLINE => What::Symlink(self.slice(tail, size)?.to_vec()),
            mode::SYMLINK if format == PLAIN => {
                What::Symlink(self.slice(union as usize * BLOCK, size)?.to_vec())
            }
            mode::CHAR if union == 0 => What::Whiteout,
            mode::CHAR => device(union, What::Char),
            mode::BLOCK => device(union, What::Block),
            mode::FIFO => What::Fifo,
            _ => return Err(InvalidIndex("a file is of no known type")),
        };
        let node = Node {
            mode: full & !mode::TYPE,
            uid: u32_at(&inode, 24),
            gid: u32_at(&inode, 28),
            mtime: (u64_at(&inode, 32).cast_signed(), u32_at(&inode, 40)),
            xattrs,
            what,
        };
        let id = self.tree.push(node);
        self.known.insert(number, id);
        Ok(id)
    }

    fn contents(&self, tail: usize, size: u64, union: u32) -> Result<Contents, InvalidIndex> {
        let bits = union & u32::from(CHUNK_BITS);
        let chunk = (BLOCK as u64) << bits;
        let count = size.div_ceil(chunk);
        let indexes = count.checked_mul(INDEX as u64).ok_or(InvalidIndex("a file is too large"))?;
        let indexes = self.slice(tail.next_multiple_of(INDEX), indexes)?;
        let mut extents: Vec<Extent> = Vec::new();
        for (number, index) in (0..count).zip(indexes.chunks_exact(INDEX)) {
            let (device, block) = (u16_at(index, 2), u32_at(index, 4));
            if block == HOLE {
                continue;
            }
            let source = device.checked_sub(1).ok_or(InvalidIndex("a chunk is on no device"))?;
            let (offset, position) = (number * chunk, u64::from(block) * BLOCK as u64);
            let length = chunk.min(size - offset);
            match extents.last_mut() {
                Some(last)
                    if last.source == source
                        && last.offset + last.length == offset
                        && last.position + last.length == position =>
                {
                    last.length += length;
                }
                _ => extents.push(Extent { offset, length, source, position }),
            }
        }
        Ok(Contents { size, extents })
    }

    fn directory(&mut self, id: Id, number: u64, open: &mut Vec<(Id, u64)>) -> Result<(), InvalidIndex> {
        let (_, inode) = self.inode(number)?;
        let data = self.slice(u32_at(&inode, 16) as usize * BLOCK, u64_at(&inode, 8))?;
        let broken = InvalidIndex("a directory is broken");
        let names: Vec<(Vec<u8>, u64)> =
            directory::read(data).ok_or(broken)?.into_iter().map(|(name, n)| (name.to_vec(), n)).collect();
        for (name, child_number) in names {
            if name == b"." || name == b".." {
                continue;
            }
            let fresh = !self.known.contains_key(&child_number);
            let child = self.node(child_number)?;
            if self.tree.directory(child).is_some() {
                // A directory has one name, or the walk would not end.
                if !fresh {
                    return Err(broken);
                }
                open.push((child, child_number));
            }
            self.tree.link(id, &name, child);
        }
        Ok(())
    }
}

fn device(number: u32, make: impl FnOnce(u32, u32) -> What) -> What {
    let (major, minor) = decode_device(number);
    make(major, minor)
}
