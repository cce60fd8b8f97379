//! A tree as a file system.

use super::checksum::crc32c;
use super::directory::{self, Dirent};
use super::format::{
    BLOCK, BLOCK_BITS, CHUNK_INDEXES, CHUNKED, COMPAT_MTIME, DEVICE_SIZE, HOLE, INCOMPAT_CHUNKED,
    INCOMPAT_DEVICES, INDEX, INLINE, INODE, MAGIC, PLAIN, SLOT, SUPER, SUPER_SIZE, dirent_type,
    encode_device, mode,
};
use super::xattr;
use crate::tree::{Contents, Id, Node, ROOT, Tree, What};
use std::collections::VecDeque;

/// A file that has data of the file system's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Tells people what it is: the digest of its contents.
    pub(crate) tag: String,
    /// Its size in bytes, at most 2 TiB.
    pub(crate) size: u64,
}

/// Marks a directory whose attributes are those of lower layers, in the index of one layer. No archive can bring it: what
/// begins like this is dropped from layers.
pub(super) const IMPLIED: &[u8] = b"trusted.overlay.implied";
/// Overlayfs hides everything below a directory that carries this.
pub(super) const OPAQUE: &[u8] = b"trusted.overlay.opaque";

/// A file system of the tree whose sources are the devices, in order. The tree of one layer is written as overlayfs has
/// layers: whiteouts are character devices 0:0, opaque directories are marked. The same tree, devices and `uuid` make
/// the same bytes.
pub(crate) fn write(tree: &Tree, devices: &[Device], uuid: [u8; 16]) -> Vec<u8> {
    let plan = Plan::new(tree, devices.len());
    let mut out = vec![0; plan.end];
    for (&id, place) in plan.order.iter().zip(&plan.places) {
        plan.node(id, place, &mut out);
    }
    for (device, slot) in devices.iter().zip(out[SUPER + SUPER_SIZE..].chunks_exact_mut(DEVICE_SIZE)) {
        let tag = device.tag.as_bytes();
        slot[..tag.len().min(64)].copy_from_slice(&tag[..tag.len().min(64)]);
        slot[64..68].copy_from_slice(&blocks(device.size).to_le_bytes());
    }
    plan.super_block(devices.len(), uuid, &mut out);
    out
}

fn blocks(size: u64) -> u32 {
    u32::try_from(size.div_ceil(BLOCK as u64)).unwrap_or(u32::MAX)
}

/// Where a node lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Byte of its inode.
    inode: usize,
    /// Byte of its data, for directories and long symbolic links.
    data: usize,
    /// Bytes of its data, for directories.
    size: usize,
    /// Number of its directory entries, or what stands for it with directories.
    links: u32,
    /// The directory it is in, for directories.
    parent: Id,
}

struct Plan<'a> {
    tree: &'a Tree,
    /// Nodes as their inodes lie.
    order: Vec<Id>,
    /// Their places.
    places: Vec<Place>,
    /// Which place a node has; `u32::MAX` if it has no name.
    place_of: Vec<u32>,
    end: usize,
}

impl<'a> Plan<'a> {
    fn new(tree: &'a Tree, devices: usize) -> Self {
        let (order, place_of, links, parents) = walk(tree);
        let mut plan = Self { tree, order, places: Vec::new(), place_of, end: 0 };
        let mut at = SUPER + SUPER_SIZE + devices * DEVICE_SIZE;
        let place = |id: &Id| {
            let node = tree.node(*id);
            let (inode, end) = inode_place(node, at);
            at = end;
            let size = directory_size(node);
            let (links, parent) = (links[*id as usize], parents[*id as usize]);
            Place { inode, data: 0, size, links, parent }
        };
        plan.places = plan.order.iter().map(place).collect();
        at = at.next_multiple_of(BLOCK);
        for (id, place) in plan.order.iter().zip(&mut plan.places) {
            let data = match &tree.node(*id).what {
                What::Directory(_) => place.size,
                What::Symlink(target) if !is_inline(target, tree.node(*id)) => target.len(),
                _ => continue,
            };
            place.data = at;
            at += data.next_multiple_of(BLOCK);
        }
        plan.end = at;
        plan
    }

    fn place(&self, id: Id) -> &Place {
        &self.places[self.place_of[id as usize] as usize]
    }

    fn number(&self, id: Id) -> u64 {
        (self.place(id).inode / SLOT) as u64
    }

    fn node(&self, id: Id, place: &Place, out: &mut [u8]) {
        let node = self.tree.node(id);
        let xattrs = marked(node);
        let xattrs_size = xattr::size(&xattrs);
        let tail = place.inode + INODE + xattrs_size;
        xattr::write(&xattrs, &mut out[place.inode + INODE..tail]);
        let block = u32::try_from(place.data / BLOCK).unwrap_or(HOLE);
        let (format, size, union) = match &node.what {
            What::Directory(_) => {
                self.directory(id, place, out);
                (PLAIN, place.size as u64, block)
            }
            What::File(contents) if contents.size == 0 => (PLAIN, 0, 0),
            What::File(contents) => {
                let bits = chunks(contents, &mut out[tail.next_multiple_of(INDEX)..]);
                (CHUNKED, contents.size, u32::from(bits | CHUNK_INDEXES))
            }
            What::Symlink(target) => {
                let inline = is_inline(target, node);
                let at = if inline { tail } else { place.data };
                out[at..at + target.len()].copy_from_slice(target);
                let format = if inline { INLINE } else { PLAIN };
                (format, target.len() as u64, if inline { 0 } else { block })
            }
            What::Char(major, minor) | What::Block(major, minor) => (PLAIN, 0, encode_device(*major, *minor)),
            What::Fifo | What::Whiteout => (PLAIN, 0, 0),
        };
        let number = u32::try_from(place.inode / SLOT).unwrap_or(u32::MAX);
        let inode = &mut out[place.inode..place.inode + INODE];
        inode[0..2].copy_from_slice(&format.to_le_bytes());
        inode[2..4].copy_from_slice(&xattr::count(xattrs_size).to_le_bytes());
        inode[4..6].copy_from_slice(&full_mode(node).to_le_bytes());
        inode[8..16].copy_from_slice(&size.to_le_bytes());
        inode[16..20].copy_from_slice(&union.to_le_bytes());
        inode[20..24].copy_from_slice(&number.to_le_bytes());
        inode[24..28].copy_from_slice(&node.uid.to_le_bytes());
        inode[28..32].copy_from_slice(&node.gid.to_le_bytes());
        inode[32..40].copy_from_slice(&node.mtime.0.to_le_bytes());
        inode[40..44].copy_from_slice(&node.mtime.1.to_le_bytes());
        inode[44..48].copy_from_slice(&place.links.to_le_bytes());
    }

    fn directory(&self, id: Id, place: &Place, out: &mut [u8]) {
        let Some(directory) = self.tree.directory(id) else { return };
        let entry = |name, id| {
            let kind = dirent_type(full_mode(self.tree.node(id)));
            Dirent { name, inode: self.number(id), kind }
        };
        let mut entries: Vec<Dirent<'_>> =
            directory.names.iter().map(|(name, id)| entry(name.as_slice(), *id)).collect();
        entries.push(entry(b".", id));
        entries.push(entry(b"..", place.parent));
        entries.sort_unstable_by_key(|entry| entry.name);
        directory::write(&entries, &mut out[place.data..place.data + place.size]);
    }

    fn super_block(&self, devices: usize, uuid: [u8; 16], out: &mut [u8]) {
        let blocks = u32::try_from(out.len() / BLOCK).unwrap_or(u32::MAX);
        let root = u16::try_from(self.number(ROOT)).unwrap_or(0);
        let incompat = INCOMPAT_CHUNKED | if devices == 0 { 0 } else { INCOMPAT_DEVICES };
        let (count, table) = match u16::try_from(devices) {
            Ok(0) | Err(_) => (0, 0),
            Ok(count) => (count, ((SUPER + SUPER_SIZE) / DEVICE_SIZE) as u16),
        };
        let block = &mut out[SUPER..SUPER + BLOCK];
        block[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        block[8..12].copy_from_slice(&COMPAT_MTIME.to_le_bytes());
        block[12] = BLOCK_BITS;
        block[14..16].copy_from_slice(&root.to_le_bytes());
        block[16..24].copy_from_slice(&(self.order.len() as u64).to_le_bytes());
        block[36..40].copy_from_slice(&blocks.to_le_bytes());
        block[48..64].copy_from_slice(&uuid);
        block[80..84].copy_from_slice(&incompat.to_le_bytes());
        block[86..88].copy_from_slice(&count.to_le_bytes());
        block[88..90].copy_from_slice(&table.to_le_bytes());
        // With the field itself zero, as it is until now. For ourselves: the flag that has others check it is not set,
        // because erofs-utils before 1.9 crash on it in blocks of 512 bytes.
        let checksum = crc32c(block);
        block[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Every node that has a name, directory by directory; for each node its place in that order, the number of its links and
/// the directory it is in.
fn walk(tree: &Tree) -> (Vec<Id>, Vec<u32>, Vec<u32>, Vec<Id>) {
    let count = tree.nodes.len();
    let (mut place_of, mut links, mut parents) =
        (vec![u32::MAX; count], vec![0u32; count], vec![ROOT; count]);
    let mut order = vec![ROOT];
    place_of[ROOT as usize] = 0;
    links[ROOT as usize] = 2;
    let mut open = VecDeque::from([ROOT]);
    while let Some(dir) = open.pop_front() {
        for &id in tree.directory(dir).into_iter().flat_map(|directory| directory.names.values()) {
            let at = id as usize;
            if tree.directory(id).is_some() {
                links[dir as usize] += 1;
                links[at] = 2;
                parents[at] = dir;
                open.push_back(id);
            } else {
                links[at] += 1;
            }
            if place_of[at] == u32::MAX {
                place_of[at] = u32::try_from(order.len()).unwrap_or(0);
                order.push(id);
            }
        }
    }
    (order, place_of, links, parents)
}

/// Where the inode of a node goes at or behind `at`, and where it ends with what belongs to it. An inode lies in one
/// block, and so does a symbolic link behind it with its target.
fn inode_place(node: &Node, at: usize) -> (usize, usize) {
    let xattrs = xattr::size(&marked(node));
    let mut size = INODE + xattrs;
    let mut together = INODE;
    match &node.what {
        What::File(contents) if contents.size > 0 => {
            let count = contents.chunking().map_or(0, |chunking| chunking.count);
            size = size.next_multiple_of(INDEX) + usize::try_from(count).unwrap_or(0) * INDEX;
        }
        What::Symlink(target) if is_inline(target, node) => {
            size += target.len();
            together = size;
        }
        _ => {}
    }
    let mut begin = at.next_multiple_of(SLOT);
    if begin % BLOCK + together > BLOCK {
        begin = begin.next_multiple_of(BLOCK);
    }
    (begin, begin + size)
}

/// Whether a symbolic link's target stands behind its inode.
fn is_inline(target: &[u8], node: &Node) -> bool {
    INODE + xattr::size(&node.xattrs) + target.len() <= BLOCK
}

fn directory_size(node: &Node) -> usize {
    let What::Directory(directory) = &node.what else { return 0 };
    let mut names: Vec<&[u8]> = directory.names.keys().map(Vec::as_slice).collect();
    names.extend([&b"."[..], b".."]);
    names.sort_unstable();
    directory::size(names.into_iter())
}

/// Writes the chunk indexes; returns the chunk size as a power of two of blocks.
fn chunks(contents: &Contents, out: &mut [u8]) -> u16 {
    let Some(chunking) = contents.chunking() else { return 0 };
    for (number, index) in (0..chunking.count).zip(out.chunks_exact_mut(INDEX)) {
        let offset = (number << chunking.bits) * BLOCK as u64;
        let (device, block) = match contents.extent_at(offset) {
            Some(extent) => {
                let block = (extent.position + offset - extent.offset) / BLOCK as u64;
                (extent.source + 1, u32::try_from(block).unwrap_or(HOLE))
            }
            None => (0, HOLE),
        };
        index[2..4].copy_from_slice(&device.to_le_bytes());
        index[4..8].copy_from_slice(&block.to_le_bytes());
    }
    u16::try_from(chunking.bits).unwrap_or(0)
}

fn full_mode(node: &Node) -> u16 {
    let kind = match node.what {
        What::Directory(_) => mode::DIRECTORY,
        What::File(_) => mode::FILE,
        What::Symlink(_) => return mode::SYMLINK | 0o777,
        What::Char(..) | What::Whiteout => mode::CHAR,
        What::Block(..) => mode::BLOCK,
        What::Fifo => mode::FIFO,
    };
    kind | node.mode
}

/// The attributes of a node with the marks of the tree of one layer.
fn marked(node: &Node) -> std::borrow::Cow<'_, xattr::Xattrs> {
    use std::borrow::Cow;
    let What::Directory(directory) = &node.what else { return Cow::Borrowed(&node.xattrs) };
    if !directory.opaque && !directory.implied {
        return Cow::Borrowed(&node.xattrs);
    }
    let mut xattrs = node.xattrs.clone();
    for (is, name) in [(directory.opaque, OPAQUE), (directory.implied, IMPLIED)] {
        if is {
            xattrs.insert(name.to_vec(), b"y".to_vec());
        }
    }
    Cow::Owned(xattrs)
}
