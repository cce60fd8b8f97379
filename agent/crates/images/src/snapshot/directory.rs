//! Unpacks a layer into a directory, in the form that overlayfs takes as a lower layer.
//!
//! Everything happens relative to descriptors: a parent directory is opened below the layer's root with openat2(2), which
//! leaves it through no `..` and no symbolic link, and what is made is a single name in it. What is refused:
//! - paths with `..`, paths that go through a symbolic link or another non-directory of the same layer, hard links to
//!   anything but an earlier file of the same layer, owners beyond 32 bits;
//! - character devices 0:0 (overlayfs takes them as whiteouts), whiteouts that name nothing.
//!
//! What is dropped: extended attributes other than `security.capability` and `user.*` (overlayfs's own among them), since
//! they would steer the host; records of historic union file systems.
//!
//! Devices are made as Docker makes them. They are inert: layers lie below a directory that only root enters, and whoever
//! mounts the overlay mounts it `nodev`.

use super::UnpackError;
use super::space::Space;
use hull_sys::{openat2::open_beneath, tree, xattr};
use hull_tar::layer::{Target, classify, link_target};
use hull_tar::{Archive, Entry, Kind};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstatat, futimens, makedev,
    mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, Uid, UnlinkatFlags, Whence, fchown, fchownat, ftruncate, linkat, lseek64, symlinkat, unlinkat, write,
};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

/// Parents that are kept open.
const OPEN_PARENTS: usize = 32;
/// Overlayfs hides everything below a directory that carries this.
const OPAQUE: (&std::ffi::CStr, &[u8]) = (c"trusted.overlay.opaque", b"y");
/// Times beyond this many seconds from 1970 are cut: file systems refuse or wrap them.
const MAX_SECONDS: i64 = 1 << 40;

/// Unpacks the archive into the empty directory `root`. Returns the bytes of all files.
pub(super) fn unpack(input: impl BufRead, root: OwnedFd) -> Result<u64, UnpackError> {
    let disk = root.try_clone().map_err(UnpackError::Input)?;
    let mut layer = Layer {
        space: Space::new(disk)?,
        root: Rc::new(root),
        parents: HashMap::new(),
        times: BTreeMap::new(),
        stored: 0,
    };
    let mut archive = Archive::new(input);
    while let Some(entry) = archive.next_entry()? {
        layer.space.entry()?;
        layer.add(&entry, &mut archive)?;
    }
    layer.finish()?;
    Ok(layer.stored)
}

struct Layer {
    root: Rc<OwnedFd>,
    /// Directories by path, open for use as parents. Forgotten whenever a directory is replaced.
    parents: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// When directories were changed; set at the end, because filling them changes it.
    times: BTreeMap<Vec<u8>, (i64, u32)>,
    space: Space,
    /// Bytes of file data.
    stored: u64,
}

/// One name in an open directory, and the raw path for messages.
struct Place<'a> {
    dir: Rc<OwnedFd>,
    name: &'a OsStr,
    raw: &'a [u8],
}

impl Place<'_> {
    fn fails(&self, action: &'static str) -> impl FnOnce(Errno) -> UnpackError + use<> {
        UnpackError::system(action, self.raw)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    fn stat(&self) -> Result<FileStat, UnpackError> {
        fstatat(self.fd(), self.name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(self.fails("looking at"))
    }
}

impl Layer {
    fn add<R: BufRead>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), UnpackError> {
        match classify(&entry.path)? {
            Target::Ignored => Ok(()),
            Target::Root if entry.kind == Kind::Directory => {
                self.times.insert(Vec::new(), entry.mtime);
                let dir = open_directory(&self.root, b"", &entry.path)?;
                directory_attributes(dir.as_fd(), entry)
            }
            Target::Root => Err(UnpackError::refused(&entry.path, "the root is a directory")),
            Target::Opaque { parent } => self.opaque(&parent, entry),
            Target::Whiteout { parent, name } => self.whiteout(&parent, &name, entry),
            Target::Entry { parent, name } => self.object(&parent, &name, entry, archive),
        }
    }

    fn object<R: BufRead>(
        &mut self,
        parent: &[u8],
        name: &[u8],
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), UnpackError> {
        let place =
            Place { dir: self.parent(parent, &entry.path)?, name: OsStr::from_bytes(name), raw: &entry.path };
        match &entry.kind {
            Kind::Directory => self.directory(&place, parent, name, entry),
            Kind::File => self.file(&place, entry, archive),
            Kind::Symlink(target) => {
                if target.is_empty() || target.contains(&0) {
                    return Err(UnpackError::refused(place.raw, "the symbolic link points to nothing"));
                }
                let target = OsStr::from_bytes(target);
                self.make(&place, |p| symlinkat(target, p.fd(), p.name))?;
                node_attributes(&place, entry)
            }
            Kind::HardLink(target) => self.hard_link(&place, target),
            Kind::Char(0, 0) => Err(UnpackError::refused(
                place.raw,
                "a character device 0:0 would hide a file of another layer",
            )),
            Kind::Char(major, minor) => self.node(&place, SFlag::S_IFCHR, (*major, *minor), entry),
            Kind::Block(major, minor) => self.node(&place, SFlag::S_IFBLK, (*major, *minor), entry),
            Kind::Fifo => self.node(&place, SFlag::S_IFIFO, (0, 0), entry),
        }
    }

    /// Makes one name with `make`; if something of that name is there, it is removed first: the last entry wins.
    fn make<T>(
        &mut self,
        place: &Place<'_>,
        make: impl Fn(&Place<'_>) -> nix::Result<T>,
    ) -> Result<T, UnpackError> {
        match make(place) {
            Err(Errno::EEXIST) => {
                self.clear(place)?;
                make(place).map_err(place.fails("making"))
            }
            result => result.map_err(place.fails("making")),
        }
    }

    fn clear(&mut self, place: &Place<'_>) -> Result<(), UnpackError> {
        match unlinkat(place.fd(), place.name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR | Errno::EPERM) => {}
            Err(errno) => return Err(place.fails("replacing")(errno)),
        }
        self.parents.clear();
        tree::remove(place.fd(), place.name).map_err(place.fails("replacing"))
    }

    fn directory(
        &mut self,
        place: &Place<'_>,
        parent: &[u8],
        name: &[u8],
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let path = join(parent, name);
        let mode = Mode::from_bits_truncate(entry.mode);
        let mut opaque = false;
        match mkdirat(place.fd(), place.name, mode) {
            Ok(()) => {}
            Err(Errno::EEXIST) => {
                let old = place.stat()?;
                if !is(&old, SFlag::S_IFDIR) {
                    opaque = is_whiteout(&old);
                    self.clear(place)?;
                    mkdirat(place.fd(), place.name, mode).map_err(place.fails("making"))?;
                }
            }
            Err(errno) => return Err(place.fails("making")(errno)),
        }
        self.times.insert(path.clone(), entry.mtime);
        if opaque || !entry.xattrs.is_empty() {
            let dir = open_directory(&self.root, &path, place.raw)?;
            if opaque {
                xattr::set(&dir, OPAQUE.0, OPAQUE.1).map_err(place.fails("marking"))?;
            }
            return directory_attributes(dir.as_fd(), entry);
        }
        let (uid, gid) = owner(entry)?;
        fchownat(place.fd(), place.name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(place.fails("setting the owner of"))?;
        // The name was just seen to be a directory, and nobody else is in this tree.
        fchmodat(place.fd(), place.name, mode, FchmodatFlags::FollowSymlink)
            .map_err(place.fails("setting the mode of"))
    }

    fn file<R: BufRead>(
        &mut self,
        place: &Place<'_>,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), UnpackError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = self.make(place, |p| openat(p.fd(), p.name, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
        self.contents(&file, place, entry, archive)?;
        let (uid, gid) = owner(entry)?;
        fchown(&file, Some(uid), Some(gid)).map_err(place.fails("setting the owner of"))?;
        fchmod(&file, Mode::from_bits_truncate(entry.mode)).map_err(place.fails("setting the mode of"))?;
        // After the data and the owner: writing and changing the owner both drop file capabilities.
        attributes(file.as_fd(), place.raw, entry)?;
        let time = timespec(entry.mtime);
        futimens(&file, &time, &time).map_err(place.fails("setting the time of"))
    }

    fn contents<R: BufRead>(
        &mut self,
        file: &OwnedFd,
        place: &Place<'_>,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), UnpackError> {
        let whole = [(0, entry.size)];
        let segments = entry.sparse.as_ref().map_or(&whole[..], |sparse| &sparse.segments);
        for &(offset, length) in segments {
            if entry.sparse.is_some() {
                let offset =
                    i64::try_from(offset).map_err(|_| UnpackError::malformed("a file is too large"))?;
                lseek64(file, offset, Whence::SeekSet).map_err(place.fails("writing"))?;
            }
            let space = &mut self.space;
            let done = archive.data(length, |mut piece| {
                space.write(piece.len() as u64)?;
                while !piece.is_empty() {
                    match write(file, piece) {
                        Ok(count) => piece = &piece[count..],
                        Err(Errno::EINTR) => {}
                        Err(errno) => return Err(place.fails("writing")(errno)),
                    }
                }
                Ok(())
            })?;
            if done != length {
                return Err(UnpackError::Truncated);
            }
            self.stored += length;
        }
        match &entry.sparse {
            Some(sparse) => {
                let size =
                    i64::try_from(sparse.size).map_err(|_| UnpackError::malformed("a file is too large"))?;
                ftruncate(file, size).map_err(place.fails("writing"))
            }
            None => Ok(()),
        }
    }

    fn hard_link(&mut self, place: &Place<'_>, target: &[u8]) -> Result<(), UnpackError> {
        let (parent, name) = link_target(place.raw, target)?;
        let missing = || {
            UnpackError::refused(place.raw, "the hard link names nothing that came before it in the layer")
        };
        let dir = self.existing(&parent, place.raw)?.ok_or_else(missing)?;
        let source = Place { dir, name: OsStr::from_bytes(&name), raw: place.raw };
        let stat = fstatat(source.fd(), source.name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        if is(&stat, SFlag::S_IFDIR) || is_whiteout(&stat) {
            return Err(UnpackError::refused(place.raw, "a hard link must name a file of the same layer"));
        }
        // A link to itself is there already; removing it first would lose the file.
        if let Ok(old) = fstatat(place.fd(), place.name, AtFlags::AT_SYMLINK_NOFOLLOW)
            && (old.st_dev, old.st_ino) == (stat.st_dev, stat.st_ino)
        {
            return Ok(());
        }
        // Without AT_SYMLINK_FOLLOW: a hard link to a symbolic link is another name of the link itself.
        self.make(place, |p| linkat(source.fd(), source.name, p.fd(), p.name, AtFlags::empty()))
    }

    fn node(
        &mut self,
        place: &Place<'_>,
        kind: SFlag,
        (major, minor): (u32, u32),
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let device = makedev(u64::from(major), u64::from(minor));
        self.make(place, |p| mknodat(p.fd(), p.name, kind, Mode::S_IRUSR | Mode::S_IWUSR, device))?;
        node_attributes(place, entry)?;
        // The name was just made and is no link, and nobody else is in this tree.
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(place.fd(), place.name, mode, FchmodatFlags::FollowSymlink)
            .map_err(place.fails("setting the mode of"))
    }

    /// Hides what lower layers have under this name. What this very layer has there stays (OCI image specification,
    /// "Whiteouts"): a directory then only hides what is below it in lower layers.
    fn whiteout(&mut self, parent: &[u8], name: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        if !matches!(entry.kind, Kind::File | Kind::HardLink(_)) {
            return Err(UnpackError::refused(&entry.path, "a whiteout must be an ordinary file"));
        }
        let place =
            Place { dir: self.parent(parent, &entry.path)?, name: OsStr::from_bytes(name), raw: &entry.path };
        match mknodat(place.fd(), place.name, SFlag::S_IFCHR, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) if is(&place.stat()?, SFlag::S_IFDIR) => {
                self.opaque(&join(parent, name), entry)
            }
            Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(place.fails("hiding")(errno)),
        }
    }

    fn opaque(&mut self, path: &[u8], entry: &Entry) -> Result<(), UnpackError> {
        self.parent(path, &entry.path)?;
        let dir = open_directory(&self.root, path, &entry.path)?;
        xattr::set(&dir, OPAQUE.0, OPAQUE.1).map_err(UnpackError::system("marking", &entry.path))
    }

    /// The directory `path`, made with all directories above it if it is not there. Goes down step by step: the depth is chosen
    /// by whoever made the layer, and the stack of the thread is not.
    fn parent(&mut self, path: &[u8], raw: &[u8]) -> Result<Rc<OwnedFd>, UnpackError> {
        let mut end = path.len();
        let mut dir = loop {
            if let Some(dir) = self.existing(&path[..end], raw)? {
                break dir;
            }
            end = path[..end].iter().rposition(|b| *b == b'/').unwrap_or(0);
        };
        while end < path.len() {
            let begin = if end == 0 { 0 } else { end + 1 };
            end = path[begin..].iter().position(|b| *b == b'/').map_or(path.len(), |slash| begin + slash);
            dir =
                self.implied(Place { dir, name: OsStr::from_bytes(&path[begin..end]), raw }, &path[..end])?;
        }
        Ok(dir)
    }

    /// Makes the directory `path`, which is `place`, and which the layer uses without having an entry for it.
    fn implied(&mut self, place: Place<'_>, path: &[u8]) -> Result<Rc<OwnedFd>, UnpackError> {
        let raw = place.raw;
        let mode = Mode::from_bits_truncate(0o755);
        let mut hides = false;
        match mkdirat(place.fd(), place.name, mode) {
            Err(Errno::EEXIST) if is_whiteout(&place.stat()?) => {
                hides = true;
                self.clear(&place)?;
                mkdirat(place.fd(), place.name, mode).map_err(place.fails("making"))?;
            }
            Err(Errno::EEXIST) => {
                return Err(UnpackError::refused(raw, "the path goes through a file of the layer"));
            }
            result => result.map_err(place.fails("making"))?,
        }
        // Whatever the umask is.
        fchmodat(place.fd(), place.name, mode, FchmodatFlags::FollowSymlink)
            .map_err(place.fails("making"))?;
        if hides {
            let dir = open_directory(&self.root, path, raw)?;
            xattr::set(&dir, OPAQUE.0, OPAQUE.1).map_err(place.fails("marking"))?;
        }
        self.existing(path, raw)?.ok_or_else(|| place.fails("opening")(Errno::ENOENT))
    }

    /// The directory `path`, if it is one.
    fn existing(&mut self, path: &[u8], raw: &[u8]) -> Result<Option<Rc<OwnedFd>>, UnpackError> {
        if path.is_empty() {
            return Ok(Some(Rc::clone(&self.root)));
        }
        if let Some(dir) = self.parents.get(path) {
            return Ok(Some(Rc::clone(dir)));
        }
        let dir = match open_beneath(&*self.root, path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(dir) => Rc::new(dir),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(Errno::ELOOP) => {
                return Err(UnpackError::refused(raw, "the path goes through a symbolic link of the layer"));
            }
            Err(errno) => return Err(UnpackError::system("opening the directory of", raw)(errno)),
        };
        if self.parents.len() >= OPEN_PARENTS {
            self.parents.clear();
        }
        self.parents.insert(path.to_vec(), Rc::clone(&dir));
        Ok(Some(dir))
    }

    /// Sets the times of directories, now that nothing is made in them any more.
    fn finish(&mut self) -> Result<(), UnpackError> {
        for (path, time) in std::mem::take(&mut self.times) {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
            match open_beneath(&*self.root, &path, flags) {
                Ok(dir) => {
                    let time = timespec(time);
                    futimens(&dir, &time, &time)
                        .map_err(UnpackError::system("setting the time of", &path))?;
                }
                // A later entry of another type replaced it, or a directory above it.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => return Err(UnpackError::system("opening", &path)(errno)),
            }
        }
        Ok(())
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// Overlayfs's mark for "nothing here, whatever lower layers say".
fn is_whiteout(stat: &FileStat) -> bool {
    is(stat, SFlag::S_IFCHR) && stat.st_rdev == 0
}

fn timespec((seconds, nanos): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds.clamp(-MAX_SECONDS, MAX_SECONDS), i64::from(nanos))
}

/// All ones means "leave as it is" to chown(2), so it is no owner.
fn owner(entry: &Entry) -> Result<(Uid, Gid), UnpackError> {
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    match (id(entry.uid), id(entry.gid)) {
        (Some(uid), Some(gid)) => Ok((Uid::from_raw(uid), Gid::from_raw(gid))),
        _ => Err(UnpackError::refused(&entry.path, "the owner is not a 32-bit number")),
    }
}

fn open_directory(root: &OwnedFd, path: &[u8], raw: &[u8]) -> Result<OwnedFd, UnpackError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    open_beneath(root, path, flags).map_err(UnpackError::system("opening", raw))
}

fn directory_attributes(dir: BorrowedFd<'_>, entry: &Entry) -> Result<(), UnpackError> {
    let (uid, gid) = owner(entry)?;
    fchown(dir, Some(uid), Some(gid)).map_err(UnpackError::system("setting the owner of", &entry.path))?;
    fchmod(dir, Mode::from_bits_truncate(entry.mode))
        .map_err(UnpackError::system("setting the mode of", &entry.path))?;
    attributes(dir, &entry.path, entry)
}

/// Owner and time of what cannot be opened.
fn node_attributes(place: &Place<'_>, entry: &Entry) -> Result<(), UnpackError> {
    let (uid, gid) = owner(entry)?;
    fchownat(place.fd(), place.name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(place.fails("setting the owner of"))?;
    let time = timespec(entry.mtime);
    utimensat(place.fd(), place.name, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(place.fails("setting the time of"))
}

fn attributes(file: BorrowedFd<'_>, raw: &[u8], entry: &Entry) -> Result<(), UnpackError> {
    for (name, value) in &entry.xattrs {
        let user = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        if !user && name != b"security.capability" {
            continue;
        }
        let c_name = CString::new(name.as_slice()).map_err(|_| {
            UnpackError::refused(raw, "the name of an extended attribute contains a zero byte")
        })?;
        match xattr::set(file, &c_name, value) {
            // Without its capabilities a program fails later and mysteriously; without a user attribute it rarely does.
            Err(Errno::EOPNOTSUPP) if user => {}
            result => result.map_err(UnpackError::system("setting an extended attribute of", raw))?,
        }
    }
    Ok(())
}
