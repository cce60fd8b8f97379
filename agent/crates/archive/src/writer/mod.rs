//! An archive unpacked into a directory of a tree in which somebody else may be at work.
//!
//! The directory is the root for everything in the archive: symbolic links, those that were there and those that the
//! archive brings, lead nowhere else. What is made is always one name in an open directory, and no name that may be a
//! symbolic link is ever followed. Names that mean something in layers of images mean nothing here.

mod place;

use crate::descend::{is, look, make_directories, open_in};
use crate::failure::Failure;
use crate::ids::Ids;
use crate::path::inside;
use crate::reader::Detail;
use hull_sys::{openat2::open_beneath, tree, xattr};
use hull_tar::{Archive, Entry, Kind, shown};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, futimens, makedev, mkdirat, mknodat,
    utimensat,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};
use place::{Place, contents, timespec};
use std::ffi::{CString, OsStr};
use std::io::BufRead;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

/// How an archive is unpacked.
pub(crate) struct Rules<'a> {
    /// Refuse to replace a directory by something else, or something else by a directory.
    pub(crate) keep_types: bool,
    /// Everything belongs to this user and group, if it is given.
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) ids: &'a Ids,
    pub(crate) detail: Detail,
    /// The directory, for messages.
    pub(crate) shown: String,
}

/// Unpacks an archive into the directory `root`.
pub(crate) fn unpack(input: impl BufRead, root: OwnedFd, rules: &Rules<'_>) -> Result<(), Failure> {
    let mut archive = Archive::new(input);
    let mut writer = Writer { root: Rc::new(root), rules, parent: None, times: Vec::new() };
    while let Some(entry) = archive.next_entry()? {
        writer.add(&entry, &mut archive)?;
    }
    writer.finish()?;
    crate::source::drain(archive.into_inner());
    Ok(())
}

struct Writer<'a> {
    root: Rc<OwnedFd>,
    rules: &'a Rules<'a>,
    /// The directory that was used last. Forgotten when something is removed or linked.
    parent: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// When directories were changed; set at the end, because filling them changes it.
    times: Vec<(Vec<u8>, (i64, u32))>,
}

impl Writer<'_> {
    fn add<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), Failure> {
        let raw = entry.path.as_slice();
        let parts =
            inside(raw).ok_or_else(|| Failure::Failed(format!("invalid entry name {:?}", shown(raw))))?;
        let Some((name, parents)) = parts.split_last() else { return Ok(()) };
        let place =
            Place { dir: self.parent(&parents.join(&b'/'), raw)?, name: OsStr::from_bytes(name), raw };
        let there = self.make_room(&place, entry)?;
        match &entry.kind {
            Kind::Directory => self.directory(&place, &parts.join(&b'/'), there, entry),
            Kind::File => self.file(&place, entry, archive),
            Kind::Symlink(target) => {
                self.parent = None;
                symlinkat(OsStr::from_bytes(target), place.fd(), place.name)
                    .map_err(place.fails("symlink"))?;
                self.owner_and_time(&place, entry)
            }
            Kind::HardLink(target) => self.hard_link(&place, target),
            Kind::Char(major, minor) => self.node(&place, SFlag::S_IFCHR, (*major, *minor), entry),
            Kind::Block(major, minor) => self.node(&place, SFlag::S_IFBLK, (*major, *minor), entry),
            Kind::Fifo => self.node(&place, SFlag::S_IFIFO, (0, 0), entry),
        }
    }

    /// The directory at a path, made with everything above it if it is missing.
    fn parent(&mut self, path: &[u8], raw: &[u8]) -> Result<Rc<OwnedFd>, Failure> {
        if let Some((known, dir)) = &self.parent
            && known == path
        {
            return Ok(Rc::clone(dir));
        }
        let dir = match open_in(self.root.as_fd(), path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(Errno::ENOENT) => {
                make_directories(&self.root, path).map_err(Failure::system("mkdir", raw))?
            }
            dir => Rc::new(dir.map_err(Failure::system("open", raw))?),
        };
        self.parent = Some((path.to_vec(), Rc::clone(&dir)));
        Ok(dir)
    }

    /// Removes what is in the way. A directory stays where a directory is to be: then `true` is returned.
    fn make_room(&mut self, place: &Place<'_>, entry: &Entry) -> Result<bool, Failure> {
        let stat = match look(place.fd(), place.name.as_bytes()) {
            Err(Errno::ENOENT) => return Ok(false),
            stat => stat.map_err(place.fails("lstat"))?,
        };
        let (is_dir, wants_dir) = (is(&stat, SFlag::S_IFDIR), entry.kind == Kind::Directory);
        if is_dir && wants_dir {
            return Ok(true);
        }
        if self.rules.keep_types && is_dir != wants_dir {
            let (name, dest) = (shown(place.raw), &self.rules.shown);
            let name = name.trim_end_matches('/');
            return Err(Failure::Failed(if is_dir {
                format!("cannot overwrite directory {name:?} with non-directory {dest:?}")
            } else {
                format!("cannot overwrite non-directory {name:?} with directory {dest:?}")
            }));
        }
        if let Kind::HardLink(target) = &entry.kind
            && let Ok((dir, name)) = self.link_source(target)
            && look(&dir, &name).is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
        {
            // A link to itself: removing it first would lose the file.
            return Ok(true);
        }
        self.parent = None;
        match unlinkat(place.fd(), place.name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(false),
            Err(Errno::EISDIR | Errno::EPERM) if is_dir => {
                tree::remove(place.fd(), place.name).map(|()| false).map_err(place.fails("unlinkat"))
            }
            Err(errno) => Err(place.fails("unlinkat")(errno)),
        }
    }

    fn directory(
        &mut self,
        place: &Place<'_>,
        path: &[u8],
        there: bool,
        entry: &Entry,
    ) -> Result<(), Failure> {
        if !there {
            match mkdirat(place.fd(), place.name, Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(place.fails("mkdir")(errno)),
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let dir = open_beneath(place.fd(), place.name.as_bytes(), flags).map_err(place.fails("open"))?;
        self.times.push((path.to_vec(), entry.mtime));
        self.describe(&dir, entry)
    }

    fn file<R: BufRead>(
        &mut self,
        place: &Place<'_>,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), Failure> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(place.fd(), place.name, flags, mode).map_err(place.fails("open"))?;
        contents(&file, place, entry, archive)?;
        self.describe(&file, entry)?;
        let time = timespec(entry.mtime);
        futimens(&file, &time, &time).map_err(place.fails("chtimes"))
    }

    /// Owner, mode and attributes of an open file or directory, in this order: writing and changing the owner both drop
    /// capabilities.
    fn describe(&self, file: &OwnedFd, entry: &Entry) -> Result<(), Failure> {
        let fails = |action| Failure::system(action, &entry.path);
        let (uid, gid) = self.owner(entry)?;
        fchown(file, Some(uid), Some(gid)).map_err(fails("lchown"))?;
        fchmod(file, Mode::from_bits_truncate(entry.mode)).map_err(fails("chmod"))?;
        for (name, value) in entry.xattrs.iter().filter(|(name, _)| self.rules.detail.keeps(name)) {
            let invalid =
                |_| Failure::Failed(format!("{}: an attribute's name has a zero byte", shown(&entry.path)));
            let c_name = CString::new(name.as_slice()).map_err(invalid)?;
            match xattr::set(file, &c_name, value) {
                // Without its capabilities a program fails later and mysteriously; without another attribute it rarely does.
                Err(Errno::EOPNOTSUPP) if name != b"security.capability" => {}
                result => result.map_err(fails("setting an attribute of"))?,
            }
        }
        Ok(())
    }

    fn link_source(&self, target: &[u8]) -> nix::Result<(OwnedFd, Vec<u8>)> {
        let parts = inside(target).ok_or(Errno::EXDEV)?;
        let (name, parents) = parts.split_last().ok_or(Errno::EXDEV)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Ok((open_in(self.root.as_fd(), &parents.join(&b'/'), flags)?, name.to_vec()))
    }

    fn hard_link(&mut self, place: &Place<'_>, target: &[u8]) -> Result<(), Failure> {
        let (dir, name) = match self.link_source(target) {
            Err(Errno::EXDEV) => {
                return Err(Failure::Failed(format!("invalid hardlink target {:?}", shown(target))));
            }
            source => source.map_err(place.fails("link"))?,
        };
        // Without AT_SYMLINK_FOLLOW: a hard link to a symbolic link is another name of the link itself.
        match linkat(&dir, OsStr::from_bytes(&name), place.fd(), place.name, AtFlags::empty()) {
            // A link to itself was left where it is.
            Err(Errno::EEXIST) => Ok(()),
            result => result.map_err(place.fails("link")),
        }
    }

    fn node(
        &self,
        place: &Place<'_>,
        kind: SFlag,
        (major, minor): (u32, u32),
        entry: &Entry,
    ) -> Result<(), Failure> {
        let device = makedev(u64::from(major), u64::from(minor));
        mknodat(place.fd(), place.name, kind, Mode::S_IRUSR | Mode::S_IWUSR, device)
            .map_err(place.fails("mknod"))?;
        self.owner_and_time(place, entry)?;
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(place.fd(), place.name, mode, FchmodatFlags::NoFollowSymlink).map_err(place.fails("chmod"))
    }

    /// Of what cannot be opened.
    fn owner_and_time(&self, place: &Place<'_>, entry: &Entry) -> Result<(), Failure> {
        let (uid, gid) = self.owner(entry)?;
        fchownat(place.fd(), place.name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(place.fails("lchown"))?;
        let time = timespec(entry.mtime);
        utimensat(place.fd(), place.name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(place.fails("chtimes"))
    }

    fn owner(&self, entry: &Entry) -> Result<(Uid, Gid), Failure> {
        let (uid, gid) =
            self.rules.owner.map_or((entry.uid, entry.gid), |(uid, gid)| (uid.into(), gid.into()));
        let mapped = self.rules.ids.outside(uid, gid);
        let (uid, gid) = mapped.ok_or_else(|| {
            Failure::Failed(format!(
                "lchown {}: {uid}:{gid} is no owner in the container",
                shown(&entry.path)
            ))
        })?;
        Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// Sets the times of directories, now that nothing is made in them any more.
    fn finish(&mut self) -> Result<(), Failure> {
        for (path, time) in std::mem::take(&mut self.times) {
            match open_in(self.root.as_fd(), &path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)
            {
                Ok(dir) => {
                    let time = timespec(time);
                    futimens(&dir, &time, &time).map_err(Failure::system("chtimes", &path))?;
                }
                // A later entry, or somebody else, replaced it.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => return Err(Failure::system("open", &path)(errno)),
            }
        }
        Ok(())
    }
}
