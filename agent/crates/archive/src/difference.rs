//! What a container changed: its writable layer compared with what lies below it (Linux kernel, "Overlay Filesystem",
//! sections "whiteouts and opaque directories").

use crate::descend::{is, look};
use crate::failure::Failure;
use hull_ports::ChangeKind;
use hull_sys::openat2::open_beneath;
use hull_sys::xattr;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

/// Places that the runtime makes for its own mounts, as long as nothing is in them: they are no change of the container.
const MOUNT_POINTS: [&[u8]; 11] = [
    b".dockerenv",
    b"dev",
    b"dev/console",
    b"dev/mqueue",
    b"dev/pts",
    b"dev/shm",
    b"etc/hostname",
    b"etc/hosts",
    b"etc/resolv.conf",
    b"proc",
    b"sys",
];
/// Directories in one another; each keeps descriptors open. No path that deep can be named.
const MAX_DEPTH: usize = 2048;

/// One path that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Relative to the root.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: ChangeKind,
    /// A directory of this layer that hides what is below it.
    pub(crate) opaque: bool,
    /// Hidden by an opaque directory, and by nothing of its own.
    pub(crate) implied: bool,
}

/// A directory being compared.
struct Level {
    upper: OwnedFd,
    /// What is below it, unless it is hidden or missing.
    lower: Option<OwnedFd>,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Names that are hidden by this directory being opaque.
    hidden: BTreeSet<Vec<u8>>,
    /// Whiteouts are files with an attribute here.
    xwhiteouts: bool,
    prefix: usize,
    /// Its own difference, if it only is one should something in it have changed.
    tentative: Option<usize>,
}

/// All differences, parents before what is in them, in order of names.
pub(crate) fn differences(upper: OwnedFd, lower: OwnedFd) -> Result<Vec<Difference>, Failure> {
    let mut found: Vec<Difference> = Vec::new();
    let mut path = Vec::new();
    let mut levels = vec![Level::new(upper, Some(lower), None, &path)?];
    while let Some(level) = levels.last_mut() {
        path.truncate(level.prefix);
        let Some(name) = level.names.next() else {
            if level.tentative.is_some_and(|at| at + 1 == found.len()) {
                found.pop();
            }
            levels.pop();
            continue;
        };
        path.extend_from_slice(&name);
        if let Some(next) = level.compare(&name, &mut path, &mut found)? {
            if levels.len() >= MAX_DEPTH {
                let path = hull_tar::shown(&path);
                return Err(Failure::Failed(format!("{path} is more than {MAX_DEPTH} directories deep")));
            }
            levels.push(next);
        }
    }
    Ok(found)
}

impl Level {
    fn new(
        upper: OwnedFd,
        lower: Option<OwnedFd>,
        hidden: Option<&OwnedFd>,
        path: &[u8],
    ) -> Result<Self, Failure> {
        let fails = || Failure::system("reading directory", path);
        let mut names: BTreeSet<Vec<u8>> =
            crate::reader::names(&upper).map_err(fails())?.into_iter().collect();
        let mut gone = BTreeSet::new();
        if let Some(below) = hidden {
            gone = crate::reader::names(below)
                .map_err(fails())?
                .into_iter()
                .filter(|n| !names.contains(n))
                .collect();
            names.extend(gone.iter().cloned());
        }
        let xwhiteouts =
            matches!(overlay_mark(&upper, c"trusted.overlay.opaque"), Some(mark) if mark == b"x");
        let names: Vec<Vec<u8>> = names.into_iter().collect();
        Ok(Self {
            upper,
            lower,
            names: names.into_iter(),
            hidden: gone,
            xwhiteouts,
            prefix: path.len(),
            tentative: None,
        })
    }

    /// Notes what became of one name; a directory of both sides is returned to be gone through.
    fn compare(
        &mut self,
        name: &[u8],
        path: &mut Vec<u8>,
        found: &mut Vec<Difference>,
    ) -> Result<Option<Self>, Failure> {
        let difference = |kind| Difference { path: path.clone(), kind, opaque: false, implied: false };
        if self.hidden.contains(name) {
            found.push(Difference { implied: true, ..difference(ChangeKind::Deleted) });
            return Ok(None);
        }
        let new = match look(&self.upper, name) {
            Err(Errno::ENOENT) => return Ok(None),
            stat => stat.map_err(Failure::system("lstat", path))?,
        };
        let old = self.below(name, path)?;
        if self.is_whiteout(&new, name) {
            if old.is_some() {
                found.push(difference(ChangeKind::Deleted));
            }
            return Ok(None);
        }
        let kind = if old.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        let known = MOUNT_POINTS.contains(&path.as_slice()) && old.is_none();
        if !is(&new, SFlag::S_IFDIR) {
            if !(known && is(&new, SFlag::S_IFREG) && new.st_size == 0) {
                found.push(difference(kind));
            }
            return Ok(None);
        }
        let at = found.len();
        found.push(difference(kind));
        let mut next = self.enter(name, path, old.as_ref(), &mut found[at])?;
        let only_in_it = old.is_some_and(|old| same(&old, &new, path)) && !found[at].opaque;
        next.tentative = (known || only_in_it).then_some(at);
        Ok(Some(next))
    }

    fn enter(
        &self,
        name: &[u8],
        path: &mut Vec<u8>,
        old: Option<&FileStat>,
        own: &mut Difference,
    ) -> Result<Self, Failure> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let fails = || Failure::system("open", &own.path);
        let upper = open_beneath(&self.upper, name, flags).map_err(fails())?;
        let below = match (&self.lower, old) {
            (Some(lower), Some(old)) if is(old, SFlag::S_IFDIR) => {
                Some(open_beneath(lower, name, flags).map_err(fails())?)
            }
            _ => None,
        };
        let opaque = overlay_mark(&upper, c"trusted.overlay.opaque").is_some_and(|mark| mark == b"y");
        own.opaque = opaque && old.is_some();
        path.push(b'/');
        if opaque {
            Self::new(upper, None, below.as_ref(), path)
        } else {
            Self::new(upper, below, None, path)
        }
    }

    /// What the layers below have under a name.
    fn below(&self, name: &[u8], path: &[u8]) -> Result<Option<FileStat>, Failure> {
        let Some(lower) = &self.lower else { return Ok(None) };
        match look(lower, name) {
            Err(Errno::ENOENT) => Ok(None),
            // The only layer is looked at as it is, with whiteouts that hide nothing.
            Ok(stat) if is(&stat, SFlag::S_IFCHR) && stat.st_rdev == 0 => Ok(None),
            stat => stat.map(Some).map_err(Failure::system("lstat", path)),
        }
    }

    fn is_whiteout(&self, stat: &FileStat, name: &[u8]) -> bool {
        if is(stat, SFlag::S_IFCHR) {
            return stat.st_rdev == 0;
        }
        self.xwhiteouts
            && is(stat, SFlag::S_IFREG)
            && stat.st_size == 0
            && open_beneath(&self.upper, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
                .is_ok_and(|file| overlay_mark(&file, c"trusted.overlay.whiteout").is_some())
    }
}

/// Whether a directory was only copied up because of something in it.
fn same(old: &FileStat, new: &FileStat, path: &[u8]) -> bool {
    let attributes = (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid);
    let times = (old.st_mtime, old.st_mtime_nsec) == (new.st_mtime, new.st_mtime_nsec);
    // The runtime makes places for its own mounts in these.
    let disturbed = matches!(path, b"dev/" | b"etc/");
    attributes && (times || disturbed)
}

fn overlay_mark(file: &OwnedFd, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    xattr::get(file, name).ok().flatten()
}
