//! Mounts that a container has in common with the host or with another container.

use super::rootdir::{Links, RootDir};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::Propagation;
use hull_sys::process::flags;
use hull_sys::{mount, namespace};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// Reads `/proc/PID/root/PATH`: the process's directory in /proc, and the path in its root.
pub(super) fn process_root(source: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut parts = source.components();
    let fixed = [parts.next()?, parts.next()?];
    let pid = parts.next()?.as_os_str().to_str()?;
    let is_root = parts.next()?.as_os_str() == "root";
    let proc = fixed == [Component::RootDir, Component::Normal("proc".as_ref())];
    let number = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    (proc && is_root && number).then(|| (Path::new("/proc").join(pid), Path::new("/").join(parts.as_path())))
}

/// A copy of a mount in another process's mount namespace. The path is walked in that process's root, through no link. The
/// kernel copies only what is in the namespace of whoever asks, so we go there and come back.
pub(super) fn clone_from(process: &Path, path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let (own, own_root) = (File::open("/proc/self/ns/mnt")?, File::open("/")?);
    let theirs = File::open(process.join("ns/mnt"))?;
    let their_root = RootDir::open_host(&process.join("root"))
        .map_err(|failure| io::Error::new(io::ErrorKind::NotFound, failure.reason))?;
    let directory = their_root.open(path, libc::O_PATH, Links::Refused)?;
    namespace::join(theirs.as_fd(), flags::NEWNS)?;
    let tree = mount::clone_tree(directory.as_fd(), c"", recursive, true);
    namespace::join(own.as_fd(), flags::NEWNS)?;
    nix::unistd::fchdir(&own_root)?;
    nix::unistd::chroot(".")?;
    let tree = tree?;
    mount::set_propagation(tree.as_fd(), mount::Propagation::Private, true)?;
    Ok(tree)
}

/// Refuses a source whose mounts cannot spread as asked for, in Docker's words.
pub(super) fn check(source: &Path, wanted: Propagation) -> Result<()> {
    let doing = || format!("looking at the mount of {}", source.display());
    let path = source.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::permanent(
            "invalid mount config for type \"bind\"",
            format!("bind source path does not exist: {}", source.display()),
        ),
        _ => Failure::from_io(doing(), &error),
    })?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").doing(doing)?;
    let Some((point, shared, slave)) = mount_of(&table, &path) else { return Ok(()) };
    let kind = match wanted {
        Propagation::Private => return Ok(()),
        Propagation::Shared if shared => return Ok(()),
        Propagation::Slave if shared || slave => return Ok(()),
        Propagation::Shared => "shared mount",
        Propagation::Slave => "shared or slave mount",
    };
    let (path, point) = (source.display(), point.display());
    let words = format!("path {path} is mounted on {point} but it is not a {kind}");
    Err(Failure::permanent("invalid mount config for type \"bind\"", words))
}

/// The mount a path is on, by /proc/PID/mountinfo: its mount point, whether it is shared, whether it is a slave.
fn mount_of(table: &str, path: &Path) -> Option<(PathBuf, bool, bool)> {
    let mut found: Option<(PathBuf, bool, bool)> = None;
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let Some(point) = fields.get(4).map(|text| unescape(text)) else { continue };
        let better =
            found.as_ref().is_none_or(|(old, ..)| point.components().count() >= old.components().count());
        if path.starts_with(&point) && better {
            let optional = || fields.iter().skip(6).take_while(|field| **field != "-");
            let has = |tag: &str| optional().any(|field| field.starts_with(tag));
            found = Some((point, has("shared:"), has("master:")));
        }
    }
    found
}

/// Space, tab, newline and backslash are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(code, character);
    }
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_processes_are_recognised() {
        let read = |path: &str| {
            process_root(Path::new(path)).map(|(a, b)| (a.display().to_string(), b.display().to_string()))
        };
        assert_eq!(read("/proc/12/root/dev/shm"), Some(("/proc/12".into(), "/dev/shm".into())));
        assert_eq!(read("/proc/12/root"), Some(("/proc/12".into(), "/".into())));
        for other in ["/proc/self/root/x", "/proc/12/cwd", "/proc/12", "/srv/proc/12/root", "/dev/shm"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn the_mount_of_a_path_is_the_innermost_and_last() {
        let table = "20 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n21 20 0:5 / /mnt rw - tmpfs t rw\n\
            22 20 0:6 / /mnt rw master:3 - tmpfs t rw\n23 20 0:7 / /with\\040space rw shared:9 - tmpfs t rw\n";
        let of = |path: &str| mount_of(table, Path::new(path)).unwrap();
        assert_eq!(of("/srv/x"), ("/".into(), true, false));
        assert_eq!(of("/mnt/x"), ("/mnt".into(), false, true));
        assert_eq!(of("/mntx"), ("/".into(), true, false));
        assert_eq!(of("/with space/x"), ("/with space".into(), true, false));
    }
}
