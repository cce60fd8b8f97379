//! A layer's tree as a directory, in the form that overlayfs takes as a lower layer.
//!
//! What may be in a tree was decided before; here every name is made once, in a directory that was just made. Everything
//! happens relative to descriptors: a directory is opened below the layer's root with openat2(2), which leaves it through
//! no symbolic link.
//!
//! Devices are made as Docker makes them. They are inert: layers lie below a directory that only root enters, and whoever
//! mounts the overlay mounts it `nodev`.

use super::UnpackError;
use super::copy::copy;
use super::space::Space;
use crate::tree::{Contents, Id, Node, ROOT, SPILL, Tree, What};
use hull_sys::{openat2::open_beneath, xattr};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, futimens, makedev, mkdirat, mknodat,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, ftruncate, linkat, symlinkat};
use std::collections::{HashMap, VecDeque};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

/// Overlayfs hides everything below a directory that carries this.
const OPAQUE: (&std::ffi::CStr, &[u8]) = (c"trusted.overlay.opaque", b"y");

/// Makes the tree in the empty directory `root`. The data of files come from `sources`.
pub(super) fn make(
    tree: &Tree,
    sources: &[Option<File>],
    root: OwnedFd,
    space: &mut Space,
) -> Result<(), UnpackError> {
    let mut making = Making { tree, sources, root, space, made: HashMap::new(), links: links(tree) };
    let mut open = VecDeque::from([(ROOT, Rc::from(Vec::new()))]);
    let mut directories: Vec<(Id, Rc<Vec<u8>>)> = Vec::new();
    while let Some((id, path)) = open.pop_front() {
        making.directory(id, &path, &mut open)?;
        directories.push((id, path));
    }
    // At the end, those inside first: making something in a directory changes its time.
    for (id, path) in directories.iter().rev() {
        let dir = making.open(path)?;
        let time = timespec(tree.node(*id).mtime);
        futimens(&dir, &time, &time).map_err(UnpackError::system("setting the time of", path))?;
    }
    Ok(())
}

/// How many names each node has.
fn links(tree: &Tree) -> Vec<u32> {
    let mut links = vec![0; tree.nodes.len()];
    let mut open = vec![ROOT];
    while let Some(id) = open.pop() {
        for &child in tree.directory(id).into_iter().flat_map(|directory| directory.names.values()) {
            links[child as usize] += 1;
            if tree.directory(child).is_some() {
                open.push(child);
            }
        }
    }
    links
}

struct Making<'a> {
    tree: &'a Tree,
    sources: &'a [Option<File>],
    root: OwnedFd,
    space: &'a mut Space,
    /// Where nodes with several names were made: directory and name.
    made: HashMap<Id, (Rc<Vec<u8>>, &'a [u8])>,
    links: Vec<u32>,
}

/// One name in an open directory, and its path for messages.
struct Place<'a> {
    dir: &'a OwnedFd,
    name: &'a OsStr,
    path: Vec<u8>,
}

impl Place<'_> {
    fn fails(&self, action: &'static str) -> impl FnOnce(Errno) -> UnpackError + use<> {
        UnpackError::system(action, &self.path)
    }

    fn owner(&self, node: &Node) -> Result<(), UnpackError> {
        let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
        fchownat(self.dir, self.name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(self.fails("setting the owner of"))
    }

    fn time(&self, node: &Node) -> Result<(), UnpackError> {
        let time = timespec(node.mtime);
        utimensat(self.dir, self.name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(self.fails("setting the time of"))
    }
}

type Open = VecDeque<(Id, Rc<Vec<u8>>)>;

impl<'a> Making<'a> {
    fn open(&self, path: &[u8]) -> Result<OwnedFd, UnpackError> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        open_beneath(&self.root, path, flags).map_err(UnpackError::system("opening", path))
    }

    /// Gives a directory its attributes and makes what is in it; directories in it are made empty and left for later.
    fn directory(&mut self, id: Id, path: &Rc<Vec<u8>>, open: &mut Open) -> Result<(), UnpackError> {
        let (tree, node) = (self.tree, self.tree.node(id));
        let What::Directory(directory) = &node.what else { return Ok(()) };
        let dir = self.open(path)?;
        let fails = |action| UnpackError::system(action, path);
        fchown(&dir, Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
            .map_err(fails("setting the owner of"))?;
        fchmod(&dir, mode(node)).map_err(fails("setting the mode of"))?;
        attributes(&dir, path, node)?;
        if directory.opaque {
            xattr::set(&dir, OPAQUE.0, OPAQUE.1).map_err(fails("marking"))?;
        }
        for (name, &child) in &directory.names {
            self.space.entry()?;
            let place = Place { dir: &dir, name: OsStr::from_bytes(name), path: join(path, name) };
            if tree.directory(child).is_some() {
                let private = Mode::S_IRWXU;
                mkdirat(&dir, place.name, private).map_err(place.fails("making"))?;
                open.push_back((child, Rc::new(place.path)));
                continue;
            }
            if let Some((other, from)) = self.made.get(&child) {
                let other = self.open(other)?;
                linkat(&other, OsStr::from_bytes(from), &dir, place.name, AtFlags::empty())
                    .map_err(place.fails("linking"))?;
                continue;
            }
            self.object(child, &place)?;
            if self.links[child as usize] > 1 {
                self.made.insert(child, (Rc::clone(path), name));
            }
        }
        Ok(())
    }

    fn object(&mut self, id: Id, place: &Place<'_>) -> Result<(), UnpackError> {
        let tree = self.tree;
        let node = tree.node(id);
        let (kind, device) = match &node.what {
            What::Directory(_) => return Ok(()),
            What::File(contents) => return self.file(node, contents, place),
            What::Symlink(target) => {
                symlinkat(OsStr::from_bytes(target), place.dir, place.name).map_err(place.fails("making"))?;
                place.owner(node)?;
                return place.time(node);
            }
            What::Char(major, minor) => (SFlag::S_IFCHR, (*major, *minor)),
            What::Block(major, minor) => (SFlag::S_IFBLK, (*major, *minor)),
            What::Fifo => (SFlag::S_IFIFO, (0, 0)),
            What::Whiteout => {
                return mknodat(place.dir, place.name, SFlag::S_IFCHR, Mode::empty(), 0)
                    .map_err(place.fails("hiding"));
            }
        };
        let device = makedev(u64::from(device.0), u64::from(device.1));
        mknodat(place.dir, place.name, kind, Mode::S_IRUSR | Mode::S_IWUSR, device)
            .map_err(place.fails("making"))?;
        place.owner(node)?;
        // The name was just made and is no link, and nobody else is in this tree.
        fchmodat(place.dir, place.name, mode(node), FchmodatFlags::FollowSymlink)
            .map_err(place.fails("setting the mode of"))?;
        place.time(node)
    }

    fn file(&mut self, node: &Node, contents: &Contents, place: &Place<'_>) -> Result<(), UnpackError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(place.dir, place.name, flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(place.fails("making"))?;
        let file = File::from(file);
        for extent in &contents.extents {
            let source = self.sources.get(usize::from(extent.source)).and_then(Option::as_ref);
            let source = source.ok_or_else(|| place.fails("finding the data of")(Errno::ENOENT))?;
            copy(source, &file, extent, self.space).map_err(|error| error.about(&place.path))?;
        }
        let end = contents.extents.last().map_or(0, |extent| extent.offset + extent.length);
        if end < contents.size || contents.extents.iter().any(|extent| extent.source == SPILL) {
            let size = i64::try_from(contents.size).unwrap_or(i64::MAX);
            ftruncate(&file, size).map_err(place.fails("writing"))?;
        }
        fchown(&file, Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)))
            .map_err(place.fails("setting the owner of"))?;
        fchmod(&file, mode(node)).map_err(place.fails("setting the mode of"))?;
        // After the data and the owner: writing and changing the owner both drop file capabilities.
        attributes(&file, &place.path, node)?;
        let time = timespec(node.mtime);
        futimens(&file, &time, &time).map_err(place.fails("setting the time of"))
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

fn mode(node: &Node) -> Mode {
    Mode::from_bits_truncate(u32::from(node.mode))
}

fn timespec((seconds, nanos): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds, i64::from(nanos))
}

fn attributes(file: impl AsFd, path: &[u8], node: &Node) -> Result<(), UnpackError> {
    for (name, value) in &node.xattrs {
        let c_name = CString::new(name.as_slice()).map_err(|_| {
            UnpackError::refused(path, "the name of an extended attribute contains a zero byte")
        })?;
        match xattr::set(&file, &c_name, value) {
            // Without its capabilities a program fails later and mysteriously; without another one it rarely does.
            Err(Errno::EOPNOTSUPP) if name != b"security.capability" => {}
            result => result.map_err(UnpackError::system("setting an extended attribute of", path))?,
        }
    }
    Ok(())
}
