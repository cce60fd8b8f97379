//! A container's root directory as a descriptor: every path in a container is resolved below it and never by a host path.

use crate::failure::{Doing as _, Failure, Result};
use hull_sys::resolve::{self, flags};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// An open root directory.
#[derive(Debug)]
pub(crate) struct RootDir(OwnedFd);

/// How symbolic links in a path are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed, but never out of the root directory.
    Inside,
    /// Refused.
    Refused,
}

impl Links {
    fn bits(self) -> u64 {
        match self {
            Self::Inside => flags::IN_ROOT | flags::NO_MAGICLINKS,
            Self::Refused => flags::IN_ROOT | flags::NO_MAGICLINKS | flags::NO_SYMLINKS,
        }
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl RootDir {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The root directory of this process.
    pub(crate) fn open_current() -> Result<Self> {
        Self::open_host(Path::new("/"))
    }

    /// A directory of the host.
    pub(crate) fn open_host(path: &Path) -> Result<Self> {
        use nix::fcntl::{OFlag, open};
        open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
            .map(Self)
            .doing(|| format!("opening directory {}", path.display()))
    }

    /// Opens what is at a path.
    pub(crate) fn open(&self, path: &Path, open_flags: i32, links: Links) -> io::Result<OwnedFd> {
        resolve::open(self.as_fd(), &relative(path)?, open_flags, 0, links.bits())
    }

    /// A directory, made with its parents where it is missing.
    pub(crate) fn directory(&self, path: &Path, links: Links) -> io::Result<OwnedFd> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match self.open(path, flags, links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut so_far = PathBuf::from("/");
        let mut at = self.open(&so_far, flags, links)?;
        for name in path.iter().filter(|name| *name != OsStr::new("/")) {
            so_far.push(name);
            at = match self.open(&so_far, flags, links) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Below the open parent and by its own name: a dangling link there is an error, not a way elsewhere.
                    match nix::sys::stat::mkdirat(
                        &at,
                        Path::new(name),
                        nix::sys::stat::Mode::from_bits_truncate(0o755),
                    ) {
                        Ok(()) | Err(nix::errno::Errno::EEXIST) => self.open(&so_far, flags, links)?,
                        Err(error) => return Err(error.into()),
                    }
                }
                other => other?,
            };
        }
        Ok(at)
    }

    /// Anything that is not a directory, or an empty file made where nothing is.
    pub(crate) fn file(&self, path: &Path, links: Links) -> io::Result<OwnedFd> {
        match self.open(path, libc::O_PATH, links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let parent = self.directory(path.parent().unwrap_or(Path::new("/")), links)?;
        let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
        let name = CString::new(name.as_bytes())?;
        let made = resolve::open(
            parent.as_fd(),
            &name,
            libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW,
            0o644,
            flags::BENEATH,
        );
        match made {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        resolve::open(parent.as_fd(), &name, libc::O_PATH | libc::O_NOFOLLOW, 0, flags::BENEATH)
    }

    /// A regular file's content. At most `limit` bytes: a longer file, a link, a device or a pipe is refused.
    pub(crate) fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let what = || format!("reading {} of the container", path.display());
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = match self.open(path, flags, Links::Inside) {
            Ok(fd) => std::fs::File::from(fd),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing(what),
        };
        let metadata = file.metadata().doing(what)?;
        if !metadata.is_file() || metadata.len() > limit {
            return Err(Failure::permanent(
                what(),
                format!("it is not a regular file of at most {limit} bytes"),
            ));
        }
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content).doing(what)?;
        Ok(Some(content))
    }
}

fn relative(path: &Path) -> io::Result<CString> {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().position(|b| *b != b'/').unwrap_or(bytes.len());
    let rest = if start == bytes.len() { b"." } else { &bytes[start..] };
    Ok(CString::new(rest)?)
}
