//! A tree as entries of an archive, in order of names, parents before what is in them.
//!
//! No path is looked up twice: everything is opened by its name in a directory that is open. Nothing but directories and
//! ordinary files is ever opened, and pipes put in their place meanwhile do not block.

use crate::descend::{is, link, look};
use crate::failure::Failure;
use crate::ids::Ids;
use crate::sink::Sink;
use hull_sys::openat2::open_beneath;
use hull_sys::xattr;
use hull_tar::{Entry, Kind};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat, major, minor};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories in one another; each keeps a descriptor open. No path that deep can be named.
const MAX_DEPTH: usize = 2048;

/// How exact entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Times in whole seconds, capabilities and `user.*` attributes: what archives of Docker have, and no less.
    Archive,
    /// Fractions of seconds and access control lists too.
    Copy,
}

impl Detail {
    /// Whether an extended attribute belongs to the file rather than to the host or to overlayfs.
    pub(crate) fn keeps(self, name: &[u8]) -> bool {
        let user = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.contains(&b'=');
        let list = name == b"system.posix_acl_access" || name == b"system.posix_acl_default";
        user || name == b"security.capability" || (list && self == Self::Copy)
    }
}

/// Writes entries.
pub(crate) struct Reader<'a> {
    sink: &'a mut Sink,
    ids: &'a Ids,
    detail: Detail,
    /// First names of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// A directory whose contents are being written.
struct Level {
    dir: OwnedFd,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of the path before its names.
    prefix: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(sink: &'a mut Sink, ids: &'a Ids, detail: Detail) -> Self {
        Self { sink, ids, detail, links: HashMap::new() }
    }

    /// Everything in a directory; `prefix` stands before its names in the archive.
    pub(crate) fn contents(&mut self, dir: OwnedFd, prefix: Vec<u8>) -> Result<(), Failure> {
        let mut path = prefix;
        let mut levels = vec![Level::new(dir, &path)?];
        while let Some(level) = levels.last_mut() {
            path.truncate(level.prefix);
            let Some(name) = level.names.next() else {
                levels.pop();
                continue;
            };
            path.extend_from_slice(&name);
            if let Some(dir) = self.object(level.dir.as_fd(), &name, &mut path)? {
                if levels.len() >= MAX_DEPTH {
                    let path = hull_tar::shown(&path);
                    return Err(Failure::Failed(format!("{path} is more than {MAX_DEPTH} directories deep")));
                }
                levels.push(Level::new(dir, &path)?);
            }
        }
        Ok(())
    }

    /// What has a name in a directory, as the entry `path`, to which a slash is added if it is a directory. That directory
    /// is returned, its contents are not written. Nothing happens for sockets, and for what vanished.
    pub(crate) fn object(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &mut Vec<u8>,
    ) -> Result<Option<OwnedFd>, Failure> {
        let stat = match look(parent, name) {
            Err(Errno::ENOENT) => return Ok(None),
            stat => stat.map_err(Failure::system("lstat", path))?,
        };
        let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => {
                let dir = match open_beneath(parent, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
                    Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
                    dir => dir.map_err(Failure::system("open", path))?,
                };
                path.push(b'/');
                self.directory(&dir, path)?;
                return Ok(Some(dir));
            }
            SFlag::S_IFREG => return self.file(parent, name, &stat, path).map(|()| None),
            SFlag::S_IFLNK => match link(parent, name) {
                Err(Errno::ENOENT | Errno::EINVAL) => return Ok(None),
                target => Kind::Symlink(target.map_err(Failure::system("readlink", path))?),
            },
            SFlag::S_IFCHR => Kind::Char(number(major(stat.st_rdev)), number(minor(stat.st_rdev))),
            SFlag::S_IFBLK => Kind::Block(number(major(stat.st_rdev)), number(minor(stat.st_rdev))),
            SFlag::S_IFIFO => Kind::Fifo,
            // No archive can hold a socket.
            _ => return Ok(None),
        };
        let kind = self.first_name(&stat, path).unwrap_or(kind);
        self.sink.entry(&self.entry(&stat, path, kind))?;
        Ok(None)
    }

    /// An entry that stands for nothing in the tree.
    pub(crate) fn mark(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.sink.entry(entry)
    }

    /// A directory's own entry.
    pub(crate) fn directory(&mut self, dir: &OwnedFd, path: &[u8]) -> Result<(), Failure> {
        let stat = fstat(dir).map_err(Failure::system("stat", path))?;
        let mut entry = self.entry(&stat, path, Kind::Directory);
        self.attributes(dir, &mut entry)?;
        self.sink.entry(&entry)
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        stat: &FileStat,
        path: &[u8],
    ) -> Result<(), Failure> {
        if let Some(link) = self.first_name(stat, path) {
            return self.sink.entry(&self.entry(stat, path, link));
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match open_beneath(parent, name, flags) {
            // Gone, or something else by now that must not be opened.
            Err(Errno::ENOENT | Errno::ELOOP | Errno::ENXIO | Errno::EACCES) => return Ok(()),
            file => file.map_err(Failure::system("open", path))?,
        };
        let stat = fstat(&file).map_err(Failure::system("stat", path))?;
        if !is(&stat, SFlag::S_IFREG) {
            return Ok(());
        }
        let mut entry = self.entry(&stat, path, Kind::File);
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        self.attributes(&file, &mut entry)?;
        self.sink.entry(&entry)?;
        self.sink.file(&file, entry.size, path)
    }

    /// If the file was written under another name: the link to it. Else the name is noted if there are others.
    fn first_name(&mut self, stat: &FileStat, path: &[u8]) -> Option<Kind> {
        if stat.st_nlink < 2 {
            return None;
        }
        let id = (stat.st_dev, stat.st_ino);
        let known = self.links.get(&id).map(|first| Kind::HardLink(first.clone()));
        if known.is_none() {
            self.links.insert(id, path.to_vec());
        }
        known
    }

    fn entry(&self, stat: &FileStat, path: &[u8], kind: Kind) -> Entry {
        let (uid, gid) = self.ids.inside(stat.st_uid, stat.st_gid);
        let nanos =
            if self.detail == Detail::Copy { u32::try_from(stat.st_mtime_nsec).unwrap_or(0) } else { 0 };
        Entry {
            path: path.to_vec(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: uid.into(),
            gid: gid.into(),
            mtime: (stat.st_mtime, nanos),
            size: 0,
            sparse: None,
            xattrs: Vec::new(),
        }
    }

    /// Adds the extended attributes of an open file or directory to its entry.
    fn attributes(&self, file: &OwnedFd, entry: &mut Entry) -> Result<(), Failure> {
        let path = entry.path.clone();
        let fails = |action| Failure::system(action, &path);
        let names = match xattr::list(file) {
            Err(Errno::EOPNOTSUPP) => return Ok(()),
            names => names.map_err(fails("listing attributes of"))?,
        };
        for name in names.iter().filter(|name| self.detail.keeps(name.to_bytes())) {
            if let Some(value) = xattr::get(file, name).map_err(fails("reading attributes of"))? {
                entry.xattrs.push((name.to_bytes().to_vec(), value));
            }
        }
        entry.xattrs.sort();
        Ok(())
    }
}

impl Level {
    fn new(dir: OwnedFd, path: &[u8]) -> Result<Self, Failure> {
        let names = names(&dir).map_err(Failure::system("reading directory", path))?;
        Ok(Self { dir, names: names.into_iter(), prefix: path.len() })
    }
}

/// Names in an open directory, sorted.
pub(crate) fn names(dir: &OwnedFd) -> nix::Result<Vec<Vec<u8>>> {
    let copy = dir.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(nix::libc::EIO)))?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(copy)?.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn number(device: u64) -> u32 {
    u32::try_from(device).unwrap_or(u32::MAX)
}
