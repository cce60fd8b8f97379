//! What a layer or a whole image holds, as a value. Pure.
//!
//! [`Growing`] makes a tree of the entries of one archive and knows every rule about them; [`Tree::cover`] puts one layer's
//! tree over another's. The bytes of files are not here: a file's extents say in which source, at which position, they
//! lie.

mod grow;
mod merge;

pub(crate) use grow::{Growing, Placement, SPILL};

use std::collections::BTreeMap;

/// A node of a tree. Several names may share one: those are hard links.
pub(crate) type Id = u32;
/// The node that is the root directory.
pub(crate) const ROOT: Id = 0;
/// Data lie at multiples of this in their sources: it is the block of a tar archive.
pub(crate) const BLOCK: u64 = 512;
/// The most chunks that are written down for one file; files that would need more are laid out anew.
pub(crate) const MAX_CHUNKS: u64 = 1 << 16;
/// The largest chunk, as a power of two of blocks (1 TiB).
pub(crate) const MAX_CHUNK_BITS: u32 = 31;

/// Files and directories. Nodes that no name leads to any more stay in the list and mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
}

/// A file of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Names and values.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) what: What,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Directory(Directory),
    File(Contents),
    Symlink(Vec<u8>),
    /// Character device, major and minor number; never 0:0.
    Char(u32, u32),
    /// Block device, major and minor number.
    Block(u32, u32),
    Fifo,
    /// Nothing, whatever lower layers have here. Only in the tree of one layer.
    Whiteout,
}

/// Names in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) names: BTreeMap<Vec<u8>, Id>,
    /// What lower layers have in it is hidden. Only in the tree of one layer.
    pub(crate) opaque: bool,
    /// The archive has no entry for it: its attributes are those of lower layers, if they have it. Only in the tree of one
    /// layer.
    pub(crate) implied: bool,
}

/// The bytes of a file; what no extent covers are zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) size: u64,
    /// In order, not overlapping, and so that [`Contents::chunking`] is `Some`.
    pub(crate) extents: Vec<Extent>,
}

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where in the file.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Which of the tree's sources has it.
    pub(crate) source: u16,
    /// Where in the source, in bytes.
    pub(crate) position: u64,
}

/// How a file is cut into pieces of equal size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunking {
    /// Blocks of one chunk, as a power of two.
    pub(crate) bits: u32,
    /// Number of chunks.
    pub(crate) count: u64,
}

impl Contents {
    /// The largest chunks in which every one lies in one extent or in none. `None` if extents do not begin and end at
    /// blocks, or if there would be too many chunks.
    pub(crate) fn chunking(&self) -> Option<Chunking> {
        let blocks = self.size.div_ceil(BLOCK);
        let mut bits = blocks.next_power_of_two().trailing_zeros().min(MAX_CHUNK_BITS);
        for extent in &self.extents {
            let end = extent.offset + extent.length;
            for edge in [extent.offset, if end == self.size { 0 } else { end }] {
                if !edge.is_multiple_of(BLOCK) || !extent.position.is_multiple_of(BLOCK) {
                    return None;
                }
                if edge != 0 {
                    bits = bits.min((edge / BLOCK).trailing_zeros());
                }
            }
        }
        let count = blocks.div_ceil(1 << bits);
        (count <= MAX_CHUNKS).then_some(Chunking { bits, count })
    }

    /// The extent that has the byte at `offset`, if it is no hole.
    pub(crate) fn extent_at(&self, offset: u64) -> Option<&Extent> {
        let after = self.extents.partition_point(|extent| extent.offset <= offset);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        (offset < extent.offset + extent.length).then_some(extent)
    }
}

impl Node {
    /// A directory that nothing describes.
    pub(crate) fn implied_directory(mtime: (i64, u32)) -> Self {
        let directory = Directory { implied: true, ..Directory::default() };
        Self { mode: 0o755, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new(), what: What::Directory(directory) }
    }
}

impl Tree {
    /// An empty root directory.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::implied_directory((0, 0))] }
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// The names in a directory; `None` if the node is none.
    pub(crate) fn directory(&self, id: Id) -> Option<&Directory> {
        match &self.node(id).what {
            What::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn directory_mut(&mut self, id: Id) -> Option<&mut Directory> {
        match &mut self.node_mut(id).what {
            What::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// What a directory has under a name.
    pub(crate) fn child(&self, id: Id, name: &[u8]) -> Option<Id> {
        self.directory(id)?.names.get(name).copied()
    }

    /// Adds a node that no name leads to yet.
    pub(crate) fn push(&mut self, node: Node) -> Id {
        // More nodes than this are refused long before.
        let id = Id::try_from(self.nodes.len()).unwrap_or(Id::MAX);
        self.nodes.push(node);
        id
    }

    /// Gives a node a name in a directory, in the place of whatever had it.
    pub(crate) fn link(&mut self, directory: Id, name: &[u8], node: Id) {
        if let Some(directory) = self.directory_mut(directory) {
            directory.names.insert(name.to_vec(), node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(size: u64, extents: &[(u64, u64)]) -> Contents {
        let mut position = 0;
        let extent = |&(offset, length): &(u64, u64)| {
            let extent = Extent { offset, length, source: 0, position };
            position += length.next_multiple_of(BLOCK);
            extent
        };
        Contents { size, extents: extents.iter().map(extent).collect() }
    }

    #[test]
    fn chunks_are_as_large_as_extents_allow() {
        type Row = (u64, &'static [(u64, u64)], Option<(u32, u64)>);
        let rows: [Row; 12] = [
            (0, &[], Some((0, 0))),
            (1, &[(0, 1)], Some((0, 1))),
            (513, &[(0, 513)], Some((1, 1))),
            (5 << 20, &[(0, 5 << 20)], Some((14, 1))),
            (1 << 40, &[], Some((31, 1))),
            ((1 << 40) + 1, &[(0, (1 << 40) + 1)], Some((31, 2))),
            (8192, &[(4096, 4096)], Some((3, 2))),
            (8192, &[(512, 512)], Some((0, 16))),
            (8192, &[(0, 100), (4096, 4096)], None),
            (8192, &[(100, 100)], None),
            (1 << 30, &[(1 << 20, 1 << 20)], Some((11, 1 << 10))),
            (1 << 40, &[(512, 512)], None),
        ];
        for (size, extents, wanted) in rows {
            let found = contents(size, extents).chunking().map(|c| (c.bits, c.count));
            assert_eq!(found, wanted, "{size} {extents:?}");
        }
    }

    #[test]
    fn holes_have_no_extent() {
        let contents = contents(8192, &[(512, 512), (4096, 512)]);
        let rows = [(0, None), (511, None), (512, Some(0)), (1023, Some(0)), (1024, None), (4096, Some(512))];
        for (offset, wanted) in rows {
            assert_eq!(contents.extent_at(offset).map(|e| e.position), wanted, "{offset}");
        }
    }
}
