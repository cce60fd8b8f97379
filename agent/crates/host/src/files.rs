//! Files below the host's root: written in one step, through no symbolic link.

use hull_sys::openat2::open_beneath;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The root directory of the host: `/`, or a directory in tests.
#[derive(Debug, Clone)]
pub(crate) struct Root(PathBuf);

/// Who a file belongs to, and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
}

impl Access {
    /// Root's own.
    pub(crate) fn root(mode: u32) -> Self {
        Self { mode, uid: 0, gid: 0 }
    }
}

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY);

impl Root {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Where an absolute path of the host is, for reading what the image or the kernel put there.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A text of the host; empty if there is none.
    pub(crate) fn text(&self, path: &str) -> io::Result<String> {
        match std::fs::read_to_string(self.at(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other,
        }
    }

    /// Opens a directory, no symbolic link on the way; missing ones are made for root.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut dir: OwnedFd = File::open(&self.0)?.into();
        for name in path.strip_prefix("/").unwrap_or(path) {
            match mkdirat(&dir, name, Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                Err(e) => return Err(e.into()),
            }
            dir = open_beneath(&dir, name.as_bytes(), DIRECTORY)?;
        }
        Ok(dir)
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    /// What a regular file holds; `None` if there is none. A symbolic link in its place counts as none.
    pub(crate) fn regular(&self, path: &Path) -> io::Result<Option<(Vec<u8>, Access)>> {
        let (dir, name) = self.parent(path)?;
        let fd = match open_beneath(&dir, name.as_bytes(), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(fd) => fd,
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ELOOP) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let mut file = File::from(fd);
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is there, and no regular file"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some((bytes, Access { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })))
    }

    /// Makes a file be this. Whether anything had to change.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: &[u8], access: Access) -> io::Result<bool> {
        let path = path.as_ref();
        if self.regular(path)?.is_some_and(|(bytes, found)| bytes == content && found == access) {
            return Ok(false);
        }
        let (dir, name) = self.parent(path)?;
        let temporary = temporary_name();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&dir, temporary.as_str(), flags, Mode::from_bits_truncate(0o600))?;
        let mut file = File::from(fd);
        let written = (|| {
            file.write_all(content)?;
            // Changing the owner clears set-user-id bits: the mode comes last.
            fchown(&file, Some(Uid::from_raw(access.uid)), Some(Gid::from_raw(access.gid)))?;
            fchmod(&file, Mode::from_bits_truncate(access.mode))?;
            file.sync_all()?;
            renameat(&dir, temporary.as_str(), &dir, name)?;
            fsync(&dir).map_err(io::Error::from)
        })();
        if written.is_err() {
            _ = unlinkat(&dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written.map(|()| true)
    }

    /// Makes a path be a symbolic link. Whether anything had to change.
    pub(crate) fn link(&self, target: &str, path: &str) -> io::Result<bool> {
        let (dir, name) = self.parent(Path::new(path))?;
        if nix::fcntl::readlinkat(&dir, name).is_ok_and(|found| found == target) {
            return Ok(false);
        }
        let temporary = temporary_name();
        symlinkat(target, &dir, temporary.as_str())?;
        renameat(&dir, temporary.as_str(), &dir, name)?;
        fsync(&dir)?;
        Ok(true)
    }

    /// Removes a file or link. Whether there was one.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        let (dir, name) = self.parent(path.as_ref())?;
        match unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => Ok(true),
            Err(nix::errno::Errno::ENOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes a directory that is not there yet, with its owner and mode; the parents are root's. Whether it was made.
    pub(crate) fn make_directory(&self, path: &Path, access: Access) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) => {}
            Err(nix::errno::Errno::EEXIST) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        let dir = open_beneath(&parent, name.as_bytes(), DIRECTORY)?;
        fchown(&dir, Some(Uid::from_raw(access.uid)), Some(Gid::from_raw(access.gid)))?;
        fchmod(&dir, Mode::from_bits_truncate(access.mode))?;
        Ok(true)
    }

    /// Who owns what is at a path, the last component not followed.
    pub(crate) fn owner(&self, path: &Path) -> Option<u32> {
        let (parent, name) = path.parent().zip(path.file_name())?;
        let root = File::open(&self.0).ok()?;
        let parent = parent.strip_prefix("/").unwrap_or(parent);
        let dir =
            open_beneath(&root, parent.as_os_str().as_bytes(), OFlag::O_PATH | OFlag::O_DIRECTORY).ok()?;
        let stat = nix::sys::stat::fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        Some(stat.st_uid)
    }
}

/// A name that no other write of this process has; what a dead process left does not stop this one.
fn temporary_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(".hull-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_are_replaced_whole_and_only_when_they_differ() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().into());
        let access = Access { mode: 0o640, uid: 5, gid: 6 };
        assert!(root.write("/etc/a/b", b"one", access).unwrap());
        assert!(!root.write("/etc/a/b", b"one", access).unwrap());
        assert!(root.write("/etc/a/b", b"two", access).unwrap());
        assert!(root.write("/etc/a/b", b"two", Access::root(0o4755)).unwrap());
        assert_eq!(
            root.regular(Path::new("/etc/a/b")).unwrap(),
            Some((b"two".to_vec(), Access::root(0o4755)))
        );
        assert_eq!(
            std::fs::read_dir(dir.path().join("etc/a")).unwrap().count(),
            1,
            "nothing temporary stays"
        );
    }

    #[test]
    fn no_symbolic_link_leads_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().into());
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        symlink(outside.path(), dir.path().join("etc/out")).unwrap();
        symlink(outside.path().join("target"), dir.path().join("etc/file")).unwrap();
        assert!(root.write("/etc/out/x", b"x", Access::root(0o644)).is_err());
        // A link in the file's own place is replaced, not followed.
        assert!(root.write("/etc/file", b"x", Access::root(0o644)).unwrap());
        assert!(root.make_directory(Path::new("/etc/out/d"), Access::root(0o700)).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(root.remove("/etc/file").unwrap() && !root.remove("/etc/file").unwrap());
    }
}
