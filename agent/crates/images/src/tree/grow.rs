//! A tree from the entries of one archive. Every rule about what a layer may hold is here.
//!
//! What is refused:
//! - paths with `..`, paths that go through a symbolic link or another non-directory of the same layer, hard links to
//!   anything but an earlier file of the same layer, owners beyond 32 bits, devices beyond Linux's numbers;
//! - character devices 0:0 (overlayfs takes them as whiteouts), whiteouts that name nothing.
//!
//! What is dropped: extended attributes that would steer the host: overlayfs's own, and those of security modules; records
//! of historic union file systems. Of several entries with one name the last one wins, as with GNU tar; a directory stays
//! and takes the attributes of the last one.

use super::{BLOCK, Contents, Directory, Extent, Id, Node, ROOT, Tree, What};
use crate::snapshot::UnpackError;
use hull_tar::layer::{Target, classify, link_target};
use hull_tar::{Entry, Kind};
use std::collections::BTreeMap;

/// Times beyond this many seconds from 1970 are cut: file systems refuse or wrap them.
const MAX_SECONDS: i64 = 1 << 40;
/// Memory that one layer's tree may take, about.
const MAX_WEIGHT: u64 = 1 << 29;
/// What a node takes besides its texts, about.
const NODE_WEIGHT: u64 = 256;
/// Blocks of a source that can be named; the last number means a hole.
const MAX_BLOCKS: u64 = u32::MAX as u64;
/// The longest target of a symbolic link (PATH_MAX without its terminator).
const MAX_TARGET: usize = 4095;
/// The largest value of an extended attribute that is kept.
const MAX_VALUE: usize = 65_535;
/// The most bytes of all extended attributes of a file.
const MAX_XATTRS: usize = 128 << 10;

/// The source of data that lie in the archive itself.
const ARCHIVE: u16 = 0;
/// The source of data that were laid out anew, because the archive has them in pieces that no block begins with.
pub(crate) const SPILL: u16 = 1;

/// Where the data of an entry are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// They stay where they are.
    Archive,
    /// To the spill: for each piece, in the order of the archive, a position there and its length.
    Spill(Vec<(u64, u64)>),
}

/// A tree that is growing.
#[derive(Debug)]
pub(crate) struct Growing {
    tree: Tree,
    weight: u64,
    /// Bytes of file data.
    stored: u64,
    /// Bytes of the spill, a multiple of blocks.
    spilled: u64,
}

impl Growing {
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(), weight: 0, stored: 0, spilled: 0 }
    }

    /// The tree, the bytes of all files' data, and the size of the spill.
    pub(crate) fn finish(self) -> (Tree, u64, u64) {
        (self.tree, self.stored, self.spilled)
    }

    /// Adds an entry whose data begin at `data` in the archive.
    pub(crate) fn add(&mut self, entry: &Entry, data: u64) -> Result<Placement, UnpackError> {
        match classify(&entry.path)? {
            Target::Ignored => {}
            Target::Root if entry.kind == Kind::Directory => self.describe(ROOT, entry)?,
            Target::Root => return Err(UnpackError::refused(&entry.path, "the root is a directory")),
            Target::Opaque { parent } => {
                let id = self.parent(&parent, entry)?;
                self.opaque(id);
            }
            Target::Whiteout { parent, name } => self.whiteout(&parent, &name, entry)?,
            Target::Entry { parent, name } => return self.object(&parent, &name, entry, data),
        }
        Ok(Placement::Archive)
    }

    fn object(
        &mut self,
        parent: &[u8],
        name: &[u8],
        entry: &Entry,
        data: u64,
    ) -> Result<Placement, UnpackError> {
        let dir = self.parent(parent, entry)?;
        let refused = |reason| Err(UnpackError::refused(&entry.path, reason));
        let mut placement = Placement::Archive;
        let what = match &entry.kind {
            Kind::Directory => return self.make_directory(dir, name, entry).map(|()| placement),
            Kind::HardLink(target) => return self.hard_link(dir, name, target, entry).map(|()| placement),
            Kind::File => {
                let (contents, place) = self.contents(entry, data)?;
                placement = place;
                What::File(contents)
            }
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                return refused("the symbolic link points to nothing");
            }
            Kind::Symlink(target) if target.len() > MAX_TARGET => {
                return refused("the target of the symbolic link is longer than 4095 bytes");
            }
            Kind::Symlink(target) => What::Symlink(target.clone()),
            Kind::Char(0, 0) => {
                return refused("a character device 0:0 would hide a file of another layer");
            }
            Kind::Char(major, minor) | Kind::Block(major, minor)
                if *major >= 1 << 12 || *minor >= 1 << 20 =>
            {
                return refused("the device number is larger than Linux has");
            }
            Kind::Char(major, minor) => What::Char(*major, *minor),
            Kind::Block(major, minor) => What::Block(*major, *minor),
            Kind::Fifo => What::Fifo,
        };
        let node = node(entry, what)?;
        self.weigh(&node, name, entry)?;
        let id = self.tree.push(node);
        self.tree.link(dir, name, id);
        Ok(placement)
    }

    fn weigh(&mut self, node: &Node, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let texts = match &node.what {
            What::Symlink(target) => target.len(),
            What::File(contents) => contents.extents.len() * 32,
            _ => 0,
        };
        let xattrs: usize = node.xattrs.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        self.weight += NODE_WEIGHT + (name.len() + texts + xattrs) as u64;
        if self.weight > MAX_WEIGHT {
            return Err(UnpackError::refused(&entry.path, "the layer has too many entries"));
        }
        Ok(())
    }

    /// Makes the directory, or gives the one that is there the entry's attributes.
    fn make_directory(&mut self, dir: Id, name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let old = self.tree.child(dir, name);
        if let Some(id) = old
            && self.tree.directory(id).is_some()
        {
            return self.describe(id, entry);
        }
        let opaque = old.is_some_and(|id| self.tree.node(id).what == What::Whiteout);
        let node = node(entry, What::Directory(Directory { opaque, ..Directory::default() }))?;
        self.weigh(&node, name, entry)?;
        let id = self.tree.push(node);
        self.tree.link(dir, name, id);
        Ok(())
    }

    /// Gives a directory an entry's attributes.
    fn describe(&mut self, id: Id, entry: &Entry) -> Result<(), UnpackError> {
        let new = node(entry, What::Fifo)?;
        self.weigh(&new, b"", entry)?;
        let old = self.tree.node_mut(id);
        (old.mode, old.uid, old.gid, old.mtime) = (new.mode, new.uid, new.gid, new.mtime);
        old.xattrs.extend(new.xattrs);
        if let What::Directory(directory) = &mut old.what {
            directory.implied = false;
        }
        Ok(())
    }

    fn contents(&mut self, entry: &Entry, data: u64) -> Result<(Contents, Placement), UnpackError> {
        let (size, segments) = match &entry.sparse {
            Some(sparse) => (sparse.size, sparse.segments.clone()),
            None if entry.size == 0 => (0, Vec::new()),
            None => (entry.size, vec![(0, entry.size)]),
        };
        if i64::try_from(size).is_err() {
            return Err(UnpackError::malformed("a file is too large"));
        }
        if (data + entry.size).div_ceil(BLOCK) >= MAX_BLOCKS {
            return Err(UnpackError::refused(&entry.path, "the layer is larger than 2 TiB"));
        }
        self.stored += entry.size;
        let mut extents: Vec<Extent> = Vec::with_capacity(segments.len());
        let mut position = data;
        for &(offset, length) in &segments {
            match extents.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => extents.push(Extent { offset, length, source: ARCHIVE, position }),
            }
            position += length;
        }
        let contents = Contents { size, extents };
        if contents.chunking().is_some() {
            return Ok((contents, Placement::Archive));
        }
        let base = self.spilled;
        self.spilled = base.saturating_add(size.next_multiple_of(BLOCK));
        if self.spilled / BLOCK >= MAX_BLOCKS {
            return Err(UnpackError::refused(&entry.path, "files with holes are larger than 2 TiB together"));
        }
        let pieces = segments.iter().map(|&(offset, length)| (base + offset, length)).collect();
        let whole = Extent { offset: 0, length: size, source: SPILL, position: base };
        Ok((Contents { size, extents: vec![whole] }, Placement::Spill(pieces)))
    }

    fn hard_link(&mut self, dir: Id, name: &[u8], target: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        let raw = &entry.path;
        let (parent, last) = link_target(raw, target)?;
        let missing =
            || UnpackError::refused(raw, "the hard link names nothing that came before it in the layer");
        let from = self.existing(&parent, raw)?.ok_or_else(missing)?;
        let id = self.tree.child(from, &last).ok_or_else(missing)?;
        if matches!(self.tree.node(id).what, What::Directory(_) | What::Whiteout) {
            return Err(UnpackError::refused(raw, "a hard link must name a file of the same layer"));
        }
        self.weight += name.len() as u64 + NODE_WEIGHT / 4;
        self.tree.link(dir, name, id);
        Ok(())
    }

    /// Hides what lower layers have under this name. What this very layer has there stays (OCI image specification,
    /// "Whiteouts"): a directory then only hides what is below it in lower layers.
    fn whiteout(&mut self, parent: &[u8], name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        if !matches!(entry.kind, Kind::File | Kind::HardLink(_)) {
            return Err(UnpackError::refused(&entry.path, "a whiteout must be an ordinary file"));
        }
        let dir = self.parent(parent, entry)?;
        match self.tree.child(dir, name) {
            Some(id) => self.opaque(id),
            None => {
                let mut node = Node::implied_directory((0, 0));
                (node.what, node.mode) = (What::Whiteout, 0);
                self.weigh(&node, name, entry)?;
                let id = self.tree.push(node);
                self.tree.link(dir, name, id);
            }
        }
        Ok(())
    }

    fn opaque(&mut self, id: Id) {
        if let Some(directory) = self.tree.directory_mut(id) {
            directory.opaque = true;
        }
    }

    /// The directory `path`, made with all directories above it if it is not there.
    fn parent(&mut self, path: &[u8], entry: &Entry) -> Result<Id, UnpackError> {
        let mut id = ROOT;
        for name in components(path) {
            let found = self.tree.child(id, name);
            let hides = match found.map(|id| &self.tree.node(id).what) {
                None => false,
                Some(What::Whiteout) => true,
                Some(What::Directory(_)) => {
                    id = found.unwrap_or(id);
                    continue;
                }
                Some(other) => return Err(through(other, &entry.path)),
            };
            let mut node = Node::implied_directory(time(entry));
            if let What::Directory(directory) = &mut node.what {
                directory.opaque = hides;
            }
            self.weigh(&node, name, entry)?;
            let made = self.tree.push(node);
            self.tree.link(id, name, made);
            id = made;
        }
        Ok(id)
    }

    /// The directory `path`, if it is one.
    fn existing(&self, path: &[u8], raw: &[u8]) -> Result<Option<Id>, UnpackError> {
        let mut id = ROOT;
        for name in components(path) {
            let Some(next) = self.tree.child(id, name) else { return Ok(None) };
            match &self.tree.node(next).what {
                What::Directory(_) => id = next,
                other @ What::Symlink(_) => return Err(through(other, raw)),
                _ => return Ok(None),
            }
        }
        Ok(Some(id))
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty())
}

fn through(what: &What, raw: &[u8]) -> UnpackError {
    let reason = match what {
        What::Symlink(_) => "the path goes through a symbolic link of the layer",
        _ => "the path goes through a file of the layer",
    };
    UnpackError::refused(raw, reason)
}

fn time(entry: &Entry) -> (i64, u32) {
    (entry.mtime.0.clamp(-MAX_SECONDS, MAX_SECONDS), entry.mtime.1)
}

fn node(entry: &Entry, what: What) -> Result<Node, UnpackError> {
    // All ones means "leave as it is" to chown(2), so it is no owner.
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
        return Err(UnpackError::refused(&entry.path, "the owner is not a 32-bit number"));
    };
    let xattrs = match entry.kind {
        Kind::File | Kind::Directory => xattrs(entry)?,
        // The kernel keeps none that matter on other types.
        _ => BTreeMap::new(),
    };
    let mode = match what {
        // The kernel asks nobody.
        What::Symlink(_) => 0o777,
        _ => u16::try_from(entry.mode & 0o7777).unwrap_or(0),
    };
    Ok(Node { mode, uid, gid, mtime: time(entry), xattrs, what })
}

fn xattrs(entry: &Entry) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, UnpackError> {
    let refused = |reason| Err(UnpackError::refused(&entry.path, reason));
    let mut kept = BTreeMap::new();
    let mut bytes = 0;
    for (name, value) in &entry.xattrs {
        if !is_kept(name) {
            continue;
        }
        if name.contains(&0) {
            return refused("the name of an extended attribute contains a zero byte");
        }
        bytes += name.len() + value.len() + 8;
        if name.len() > 255 || value.len() > MAX_VALUE || bytes > MAX_XATTRS {
            return refused("the extended attributes are larger than Linux has");
        }
        match name.as_slice() {
            b"security.capability" if !is_capability(value) => {
                return refused("the file capabilities are broken");
            }
            name if name.starts_with(b"system.") && !is_acl(value) => {
                return refused("the access control list is broken");
            }
            _ => drop(kept.insert(name.clone(), value.clone())),
        }
    }
    Ok(kept)
}

/// Whether an attribute means something to the container only.
fn is_kept(name: &[u8]) -> bool {
    let inside = |prefix: &[u8], not: &[u8]| {
        name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(not))
    };
    inside(b"user.", b"overlay.")
        || inside(b"trusted.", b"overlay.")
        || [&b"security.capability"[..], b"system.posix_acl_access", b"system.posix_acl_default"]
            .contains(&name)
}

/// struct vfs_cap_data and vfs_ns_cap_data (linux/capability.h), revisions 1 to 3.
fn is_capability(value: &[u8]) -> bool {
    matches!((value.len(), value.get(3)), (12, Some(1)) | (20, Some(2)) | (24, Some(3)))
}

/// struct posix_acl_xattr_header and entries (linux/posix_acl_xattr.h), version 2.
fn is_acl(value: &[u8]) -> bool {
    let entry = |entry: &[u8]| {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        matches!(tag, 1 | 2 | 4 | 8 | 0x10 | 0x20) && entry[2] <= 7 && entry[3] == 0
    };
    value.strip_prefix(&[2, 0, 0, 0]).is_some_and(|entries| {
        !entries.is_empty() && entries.len().is_multiple_of(8) && entries.chunks_exact(8).all(entry)
    })
}
