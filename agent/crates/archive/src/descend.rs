//! Walking down paths whose components and symbolic links somebody else chose.
//!
//! Two ways, both below a directory that is the root for them: openat2(2) with `RESOLVE_IN_ROOT` for what has to exist, and
//! a walk component by component for what may have to be made, or whose end may be missing.

use hull_sys::openat2::open_beneath;
use hull_sys::resolve::{self, flags};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstatat, mkdirat};
use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::rc::Rc;

/// Symbolic links on one path: as many as Docker follows.
const MAX_LINKS: usize = 255;

/// Opens what is at `path`, all symbolic links followed as if `root` were the root; magic links are refused. An empty path
/// is the root itself. `ENAMETOOLONG` and `EINVAL` (a zero byte) are told as the kernel tells them.
pub(crate) fn open_in(root: BorrowedFd<'_>, path: &[u8], how: OFlag) -> nix::Result<OwnedFd> {
    let path = CString::new(if path.is_empty() { b"." } else { path }).map_err(|_| Errno::EINVAL)?;
    resolve::open(root, &path, how.bits(), 0, flags::IN_ROOT | flags::NO_MAGICLINKS)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
}

/// What a name in a directory is; the name is never followed.
pub(crate) fn look(dir: impl AsFd, name: &[u8]) -> nix::Result<FileStat> {
    fstatat(dir, OsStr::from_bytes(name), AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// The type of file.
pub(crate) fn is(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// What a symbolic link says.
pub(crate) fn link(dir: impl AsFd, name: &[u8]) -> nix::Result<Vec<u8>> {
    readlinkat(dir, OsStr::from_bytes(name)).map(|target| target.into_vec())
}

/// The directory at `path` below `root`, with all that is missing on the way made (mode 0755), behind symbolic links too.
///
/// # Errors
/// `ENOTDIR` if something on the way is no directory, `ELOOP` for too many symbolic links.
pub(crate) fn make_directories(root: &Rc<OwnedFd>, path: &[u8]) -> nix::Result<Rc<OwnedFd>> {
    let mut walk = Walk::new(root, path);
    while let Some(part) = walk.next_part() {
        let step = walk.step(&part)?;
        if step == Step::NoDirectory {
            return Err(Errno::ENOTDIR);
        }
        if step == Step::Missing {
            let name = OsStr::from_bytes(&part);
            let mode = Mode::from_bits_truncate(0o755);
            match mkdirat(walk.here(), name, mode) {
                // Whatever the umask is. The name is not followed: somebody else may be in this tree.
                Ok(()) => fchmodat(walk.here(), name, mode, FchmodatFlags::NoFollowSymlink)?,
                Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
            walk.enter(&part)?;
        }
    }
    Ok(Rc::clone(walk.here()))
}

/// The path, from the root on and without symbolic links, of what `path` leads to. What is missing at its end is kept as
/// text.
///
/// # Errors
/// `ENOTDIR` if something on the way is no directory, `ELOOP` for too many symbolic links.
pub(crate) fn real_path(root: &Rc<OwnedFd>, path: &[u8]) -> nix::Result<Vec<u8>> {
    let mut walk = Walk::new(root, path);
    let mut rest: Vec<Vec<u8>> = Vec::new();
    while let Some(part) = walk.next_part() {
        match walk.step(&part)? {
            Step::Done => {}
            Step::Missing => {
                rest = std::iter::once(part).chain(walk.parts).collect();
                break;
            }
            Step::NoDirectory if walk.parts.is_empty() => rest = vec![part],
            Step::NoDirectory => return Err(Errno::ENOTDIR),
        }
    }
    let names = walk.dirs.iter().map(|(_, name)| name.as_slice());
    let whole: Vec<&[u8]> = names.chain(rest.iter().map(Vec::as_slice)).collect();
    let text = whole.join(&b'/');
    Ok([b"/", crate::path::clean(&text).join(&b'/').as_slice()].concat())
}

#[derive(PartialEq, Eq)]
enum Step {
    Done,
    Missing,
    NoDirectory,
}

/// A walk under way. `..` goes back to a descriptor that was held, never to wherever the directory is by then.
struct Walk {
    root: Rc<OwnedFd>,
    dirs: Vec<(Rc<OwnedFd>, Vec<u8>)>,
    parts: VecDeque<Vec<u8>>,
    links: usize,
}

impl Walk {
    fn new(root: &Rc<OwnedFd>, path: &[u8]) -> Self {
        Self { root: Rc::clone(root), dirs: Vec::new(), parts: parts(path).collect(), links: 0 }
    }

    fn here(&self) -> &Rc<OwnedFd> {
        self.dirs.last().map_or(&self.root, |(dir, _)| dir)
    }

    /// The next component that is a name.
    fn next_part(&mut self) -> Option<Vec<u8>> {
        loop {
            let part = self.parts.pop_front()?;
            if part != b".." {
                return Some(part);
            }
            self.dirs.pop();
        }
    }

    fn step(&mut self, part: &[u8]) -> nix::Result<Step> {
        let stat = match look(self.here(), part) {
            Err(Errno::ENOENT) => return Ok(Step::Missing),
            stat => stat?,
        };
        if is(&stat, SFlag::S_IFLNK) {
            self.links += 1;
            if self.links > MAX_LINKS {
                return Err(Errno::ELOOP);
            }
            let target = link(self.here(), part)?;
            if target.starts_with(b"/") {
                self.dirs.clear();
            }
            let rest = std::mem::take(&mut self.parts);
            self.parts = parts(&target).chain(rest).collect();
            return Ok(Step::Done);
        }
        if !is(&stat, SFlag::S_IFDIR) {
            return Ok(Step::NoDirectory);
        }
        self.enter(part).map(|()| Step::Done)
    }

    fn enter(&mut self, part: &[u8]) -> nix::Result<()> {
        let dir = open_beneath(self.here(), part, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        self.dirs.push((Rc::new(dir), part.to_vec()));
        Ok(())
    }
}

fn parts(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec)
}
