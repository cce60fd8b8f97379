//! Removing whole directory trees whose contents somebody else chose.
//!
//! No symbolic link is followed, no other file system entered, and neither the depth of the tree nor the length of its
//! paths matters: what lies too deep is moved up before it is removed.

use crate::openat2::open_beneath_same_mount;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, renameat};
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Directories deeper than this below the top are moved to the top before they are emptied.
const MAX_DEPTH: usize = 64;

/// Removes `name`, which must be a single component, from the directory `parent`, with everything in it. Nothing there is
/// success.
///
/// # Errors
/// The first thing that could not be removed; `EXDEV` or `EBUSY` if something is mounted inside. What was removed by then
/// stays removed, and the call can be repeated.
pub fn remove(parent: impl AsFd, name: impl AsRef<OsStr>) -> nix::Result<()> {
    let (parent, name) = (parent.as_fd(), name.as_ref());
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err(Errno::EINVAL);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let top = match open_beneath_same_mount(parent, bytes, flags) {
        Ok(top) => top,
        Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            return gone(unlinkat(parent, name, UnlinkatFlags::NoRemoveDir));
        }
        Err(errno) => return Err(errno),
    };
    let mut moved = 0u64;
    loop {
        let before = moved;
        let keep = top.try_clone().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
        empty(keep, top.as_fd(), 0, &mut moved)?;
        // What was moved up may have been missed by the listing that was under way.
        if before == moved {
            break;
        }
    }
    gone(unlinkat(parent, name, UnlinkatFlags::RemoveDir))
}

/// Empties a directory. `top` receives what lies too deep, under the next number.
fn empty(dir: OwnedFd, top: BorrowedFd<'_>, depth: usize, moved: &mut u64) -> nix::Result<()> {
    let mut dir = Dir::from_fd(dir)?;
    let mut directories: Vec<CString> = Vec::new();
    // Removing while listing may make the kernel skip entries, so the list is taken in full for directories only.
    let names: Vec<(CString, Option<Type>)> = dir
        .iter()
        .map(|entry| entry.map(|e| (e.file_name().to_owned(), e.file_type())))
        .collect::<nix::Result<_>>()?;
    for (name, kind) in names {
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if is_directory(&dir, &name, kind)? {
            directories.push(name);
        } else {
            gone(unlinkat(&dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir))?;
        }
    }
    for name in directories {
        if depth >= MAX_DEPTH {
            move_up(&dir, &name, top, moved)?;
            continue;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        match open_beneath_same_mount(&dir, name.to_bytes(), flags) {
            Ok(sub) => empty(sub, top, depth + 1, moved)?,
            Err(Errno::ENOENT) => continue,
            Err(errno) => return Err(errno),
        }
        gone(unlinkat(&dir, name.as_c_str(), UnlinkatFlags::RemoveDir))?;
    }
    Ok(())
}

fn is_directory(dir: impl AsFd, name: &CString, kind: Option<Type>) -> nix::Result<bool> {
    match kind {
        Some(kind) => Ok(kind == Type::Directory),
        None => match fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno),
        },
    }
}

/// Moves a directory to the top under a name that is free there.
fn move_up(dir: impl AsFd, name: &CString, top: BorrowedFd<'_>, moved: &mut u64) -> nix::Result<()> {
    loop {
        *moved += 1;
        let target = format!(".moved-{moved}");
        match fstatat(top, target.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => return renameat(dir.as_fd(), name.as_c_str(), top, target.as_str()),
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Somebody else having removed it already is success.
fn gone(result: nix::Result<()>) -> nix::Result<()> {
    match result {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("hull-tree-{name}-{}", std::process::id()));
        fs::create_dir_all(&top).unwrap();
        top
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let top = scratch("links");
        fs::create_dir_all(top.join("victim/a/b")).unwrap();
        fs::create_dir_all(top.join("kept")).unwrap();
        fs::write(top.join("kept/file"), "x").unwrap();
        symlink(top.join("kept"), top.join("victim/a/link")).unwrap();
        symlink(top.join("kept"), top.join("outer")).unwrap();
        let dir = File::open(&top).unwrap();
        remove(&dir, "victim").unwrap();
        remove(&dir, "outer").unwrap();
        remove(&dir, "victim").unwrap();
        assert_eq!(fs::read_to_string(top.join("kept/file")).unwrap(), "x");
        assert_eq!(fs::read_dir(&top).unwrap().count(), 1);
        for bad in ["", ".", "..", "a/b"] {
            assert_eq!(remove(&dir, bad), Err(Errno::EINVAL), "{bad:?}");
        }
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        use nix::sys::stat::{Mode, mkdirat};
        let top = scratch("deep");
        fs::create_dir(top.join("victim")).unwrap();
        let parent = File::open(&top).unwrap();
        let mut at: OwnedFd = File::open(top.join("victim")).unwrap().into();
        for level in 0..3000 {
            let name = if level % 2 == 0 { "directory" } else { ".moved-1" };
            mkdirat(&at, name, Mode::S_IRWXU).unwrap();
            at = open_beneath_same_mount(&at, name.as_bytes(), OFlag::O_RDONLY | OFlag::O_DIRECTORY).unwrap();
        }
        drop(at);
        remove(&parent, "victim").unwrap();
        assert!(!top.join("victim").exists());
        fs::remove_dir_all(top).unwrap();
    }
}
