//! Copying in and out of a container, and what is at a path.

use crate::descend::{is, link, look, open_in, real_path};
use crate::failure::{Failure, READ_ONLY_ROOT, READ_ONLY_VOLUME};
use crate::layer::reopened;
use crate::path::Asked;
use crate::reader::{Detail, Reader};
use crate::sink::Sink;
use crate::source::{Incoming, inflated};
use crate::tree::{Purpose, Tree};
use crate::writer::{Rules, unpack};
use hull_ports::{ContainerTree, PathStat, PutOptions};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// Something found in a tree, held so that it can be read.
pub(crate) struct Found {
    tree: Tree,
    asked: Asked,
    object: Object,
    stat: PathStat,
}

enum Object {
    /// A directory, links at the end of the path followed.
    Directory(OwnedFd),
    /// A name in a directory, not followed.
    Name(OwnedFd, Vec<u8>),
}

impl Found {
    /// Finds what is at a path of a container. The last component is not followed unless the path asks for a directory.
    pub(crate) fn at(tree: &ContainerTree, path: &Path) -> Result<Self, Failure> {
        let asked = Asked::new(path);
        let tree = Tree::open(tree, Purpose::Read)?;
        let looking = || Failure::looking(&asked.shown);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let (object, stat) = if asked.directory {
            let dir = open_in(tree.root.as_fd(), &asked.path, flags).map_err(looking())?;
            let stat = fstat(&dir).map_err(looking())?;
            (Object::Directory(dir), stat)
        } else {
            let (parent, name) = match asked.path.iter().rposition(|b| *b == b'/') {
                Some(slash) => (&asked.path[..slash], &asked.path[slash + 1..]),
                None => (&b""[..], asked.path.as_slice()),
            };
            let parent = open_in(tree.root.as_fd(), parent, flags).map_err(looking())?;
            let stat = look(&parent, name).map_err(looking())?;
            (Object::Name(parent, name.to_vec()), stat)
        };
        let link_target = link_target(&tree, &asked, &object, &stat)?;
        let stat = path_stat(&asked, &stat, link_target);
        Ok(Self { tree, asked, object, stat })
    }

    pub(crate) fn stat(&self) -> &PathStat {
        &self.stat
    }

    /// Writes it as an archive whose names begin with its own.
    pub(crate) fn write(self, sink: &mut Sink) -> Result<(), Failure> {
        let mut reader = Reader::new(sink, &self.tree.ids, Detail::Archive);
        match self.object {
            Object::Directory(dir) => {
                let (prefix, dir) = (self.asked.prefix(), reopened(&dir)?);
                reader.directory(&dir, &prefix)?;
                reader.contents(dir, prefix)
            }
            Object::Name(parent, name) => {
                let mut path = name.clone();
                match reader.object(parent.as_fd(), &name, &mut path)? {
                    Some(dir) => reader.contents(dir, path),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Where a symbolic link leads, from the root on; empty for anything else.
fn link_target(tree: &Tree, asked: &Asked, object: &Object, stat: &FileStat) -> Result<String, Failure> {
    let Object::Name(parent, name) = object else { return Ok(String::new()) };
    if !is(stat, SFlag::S_IFLNK) {
        return Ok(String::new());
    }
    let looking = || Failure::looking(&asked.shown);
    // Asked for only to answer `ENOENT` if it has vanished.
    link(parent, name).map_err(looking())?;
    let root = Rc::new(tree.root.try_clone().map_err(Failure::io("open", b"/"))?);
    let real = real_path(&root, &asked.path).map_err(looking())?;
    Ok(String::from_utf8_lossy(&real).into_owned())
}

fn path_stat(asked: &Asked, stat: &FileStat, link_target: String) -> PathStat {
    let nanos = i32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    PathStat {
        name: String::from_utf8_lossy(&asked.name).into_owned(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode,
        modified: Timestamp::new(stat.st_mtime, nanos).unwrap_or(Timestamp::UNIX_EPOCH),
        link_target,
    }
}

/// Unpacks an archive into the directory at a path of a container.
pub(crate) fn put(
    tree: &ContainerTree,
    path: &Path,
    archive: Incoming,
    options: PutOptions,
) -> Result<(), Failure> {
    let asked = Asked::new(path);
    let tree = Tree::open(tree, Purpose::Write)?;
    let dir = destination(&tree, &asked)?;
    let rules = Rules {
        keep_types: options.no_overwrite_dir_non_dir,
        owner: options.owner,
        ids: &tree.ids,
        detail: Detail::Archive,
        shown: String::from_utf8_lossy(&[b"/", asked.path.as_slice()].concat()).into_owned(),
    };
    unpack(inflated(archive)?, dir, &rules)
}

/// The directory to unpack into, symbolic links followed, if it can be written.
fn destination(tree: &Tree, asked: &Asked) -> Result<OwnedFd, Failure> {
    let dir = match open_in(tree.root.as_fd(), &asked.path, OFlag::O_PATH) {
        Err(Errno::ENOTDIR) => return Err(Failure::Failed("not a directory".to_owned())),
        dir => dir.map_err(Failure::looking(&asked.shown))?,
    };
    let stat = fstat(&dir).map_err(Failure::looking(&asked.shown))?;
    if !is(&stat, SFlag::S_IFDIR) {
        return Err(Failure::Invalid("extraction point is not a directory".to_owned()));
    }
    let flags = fstatvfs(&dir).map_err(Failure::system("statfs", &asked.shown))?.flags();
    if flags.contains(FsFlags::ST_RDONLY) {
        let in_root = tree.root_stat()?.st_dev == stat.st_dev;
        let words = if in_root { READ_ONLY_ROOT } else { READ_ONLY_VOLUME };
        return Err(Failure::Invalid(words.to_owned()));
    }
    Ok(dir)
}
