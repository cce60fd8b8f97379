//! File systems of images, each mounted once for all containers.

use crate::disk::DiskError;
use hull_sys::mount::{FsContext, attach, attr};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use std::collections::HashSet;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest text that the kernel takes as an option of a mount.
const MAX_OPTION: usize = 255;

/// The mounts of one store: directories named after what is mounted on them.
#[derive(Debug)]
pub(crate) struct Mounts {
    dir: PathBuf,
    mounted: Mutex<HashSet<String>>,
}

impl Mounts {
    /// Finds what an earlier process mounted in `dir`.
    pub(crate) fn open(dir: PathBuf) -> Result<Self, DiskError> {
        DirBuilder::new().mode(0o700).recursive(true).create(&dir).map_err(DiskError::new("making", &dir))?;
        // As the kernel names it.
        let dir = fs::canonicalize(&dir).map_err(DiskError::new("finding", &dir))?;
        let path = Path::new("/proc/thread-self/mountinfo");
        let table = fs::read(path).map_err(DiskError::new("reading", path))?;
        let mounted = mount_points(&table)
            .filter(|(_, kind)| *kind == b"erofs")
            .filter_map(|(point, _)| Some(point.strip_prefix(&dir).ok()?.to_str()?.to_owned()))
            .collect();
        Ok(Self { dir, mounted: Mutex::new(mounted) })
    }

    fn mounted(&self) -> MutexGuard<'_, HashSet<String>> {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where something of that name is mounted, if it is.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        self.mounted().contains(name).then(|| self.dir.join(name))
    }

    /// Mounts a file system and its devices, read-only. Only one caller at a time.
    pub(crate) fn mount(&self, name: &str, index: &Path, devices: &[PathBuf]) -> Result<PathBuf, DiskError> {
        let target = self.dir.join(name);
        match DirBuilder::new().mode(0o700).create(&target) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::new("making", &target)(error));
            }
            _ => {}
        }
        let run = || -> io::Result<()> {
            let mount = open(index, devices)?;
            attach(mount.as_fd(), File::open(&target)?.as_fd())
        };
        run().map_err(DiskError::new("mounting", &target))?;
        self.mounted().insert(name.to_owned());
        Ok(target)
    }

    /// Takes a file system away; who uses it keeps it. Nothing there is success.
    pub(crate) fn unmount(&self, name: &str) -> Result<(), DiskError> {
        let target = self.dir.join(name);
        // What somebody mounted over it goes as well.
        loop {
            match umount2(&target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => break,
                Err(errno) => return Err(DiskError::new("unmounting", &target)(errno.into())),
            }
        }
        self.mounted().remove(name);
        match fs::remove_dir(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::new("removing", &target)(error))
            }
            _ => Ok(()),
        }
    }

    /// Names of everything that is mounted, or has a place for it.
    pub(crate) fn names(&self) -> Result<Vec<String>, DiskError> {
        crate::disk::names(&self.dir)
    }
}

/// A detached mount of a file system: no devices of containers, but set-user-id programs work.
pub(super) fn open(index: &Path, devices: &[PathBuf]) -> io::Result<std::os::fd::OwnedFd> {
    let context = FsContext::open(c"erofs")?;
    // Held until the kernel has opened them itself.
    let mut held = Vec::new();
    let mut option = |key: &std::ffi::CStr, path: &Path| -> io::Result<()> {
        let mut text = path.as_os_str().to_owned();
        if text.len() > MAX_OPTION {
            let file = File::open(path)?;
            text = OsString::from(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
            held.push(file);
        }
        context.string(key, &CString::new(text.as_bytes())?)
    };
    option(c"source", index)?;
    for device in devices {
        option(c"device", device)?;
    }
    context.mount(attr::RDONLY | attr::NODEV).map_err(|error| match context.message() {
        message if message.is_empty() => error,
        message => io::Error::new(error.kind(), format!("{error} ({message})")),
    })
}

/// Mount points and types of file systems in a mountinfo file (proc(5)).
fn mount_points(table: &[u8]) -> impl Iterator<Item = (PathBuf, &[u8])> {
    table.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b' ');
        let point = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some((PathBuf::from(OsString::from_vec(unescaped(point))), kind))
    })
}

/// Spaces and the like stand there in octal.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|o| u8::from_str_radix(OsStr::from_bytes(o).to_str()?, 8).ok());
        match value {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let table = b"36 35 98:0 / /a\\040b/c rw,noatime master:1 - erofs /x ro\n\
            37 35 0:1 / /plain rw - tmpfs none rw\nnonsense\n";
        let found: Vec<_> = mount_points(table).collect();
        assert_eq!(found, [(PathBuf::from("/a b/c"), &b"erofs"[..]), (PathBuf::from("/plain"), b"tmpfs")]);
    }
}
