//! Devices and terminals of a container.

use super::rootdir::{Links, RootDir};
use super::rootfs::path_of;
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::DevicePlan;
use hull_sys::{mount, resolve, terminal};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Devices every program may expect: path, major, minor (Documentation/admin-guide/devices.txt).
const NODES: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// Fills an empty /dev. Nodes are the host's own, mounted one by one: /dev itself and every other file system of the container
/// are `nodev`, so nodes that the container makes for itself open nothing, whatever capabilities it has.
pub(super) fn fill(root: &RootDir) -> Result<()> {
    for (path, major, minor) in NODES {
        show(root, Path::new(path), (major, minor))?;
    }
    let dev = root
        .open(Path::new("/dev"), libc::O_PATH | libc::O_DIRECTORY, Links::Refused)
        .doing(|| "opening /dev of the container".to_owned())?;
    for (target, name) in LINKS {
        match nix::unistd::symlinkat(target, dev.as_fd(), name) {
            Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
            Err(errno) => return Err(errno).doing(|| format!("making link /dev/{name}")),
        }
    }
    Ok(())
}

/// Makes further nodes: the container's own, with the numbers of the host's. Where file systems are `nodev` each is mounted over
/// itself without.
pub(super) fn make(root: &RootDir, devices: &[DevicePlan], own_nodes: bool) -> Result<()> {
    let there = |path: &Path| {
        path == Path::new("/dev/ptmx") || NODES.iter().any(|(known, ..)| Path::new(known) == path)
    };
    for device in devices.iter().filter(|device| !there(&device.path)) {
        let what = || format!("making device {} in the container", device.path.display());
        let node = make_one(root, device).doing(what)?;
        if !own_nodes {
            let tree = mount::clone_tree(node.as_fd(), c"", false, true).doing(what)?;
            mount::set_attributes(tree.as_fd(), 0, mount::attr::NODEV, false, None).doing(what)?;
            mount::attach(tree.as_fd(), node.as_fd()).doing(what)?;
        }
    }
    Ok(())
}

fn make_one(root: &RootDir, device: &DevicePlan) -> io::Result<OwnedFd> {
    use nix::fcntl::AtFlags;
    use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknodat};
    use nix::unistd::{Gid, Uid, fchownat};
    let links = if device.path.starts_with("/dev") { Links::Refused } else { Links::Inside };
    let parent = root.directory(device.path.parent().unwrap_or(Path::new("/")), links)?;
    let name = device.path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    let kind = if device.character { SFlag::S_IFCHR } else { SFlag::S_IFBLK };
    let number = makedev(u64::from(device.major), u64::from(device.minor));
    let mode = Mode::from_bits_truncate(device.mode);
    let open = || {
        let name = CString::new(name.as_bytes())?;
        let flags = resolve::flags::BENEATH | resolve::flags::NO_SYMLINKS;
        resolve::open(parent.as_fd(), &name, libc::O_PATH | libc::O_NOFOLLOW, 0, flags)
    };
    match mknodat(&parent, name, kind, mode, number) {
        Ok(()) => {}
        // What a former start left in the container's own layer.
        Err(nix::errno::Errno::EEXIST) => {
            let stat = nix::sys::stat::fstat(open()?)?;
            let same = stat.st_mode & libc::S_IFMT == kind.bits() && stat.st_rdev == number;
            if !same {
                return Err(io::Error::from_raw_os_error(libc::EEXIST));
            }
        }
        Err(errno) => return Err(errno.into()),
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    fchownat(&parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    // The mode that mknod(2) was given went through the file mode creation mask.
    fchmodat(&parent, name, mode, FchmodatFlags::FollowSymlink)?;
    open()
}

fn show(root: &RootDir, path: &Path, expected: (u64, u64)) -> Result<()> {
    let what = || format!("showing device {} in the container", path.display());
    let node = host_node(path, expected)?;
    let target = root.file(path, Links::Refused).doing(what)?;
    mount::attach(node.as_fd(), target.as_fd()).doing(what)
}

/// The host's device node, as a detached mount. The mount is read-only, which hinders no write to the device, but root in the
/// container must not change the mode, owner or times of a node that is the host's own.
pub(super) fn host_node(path: &Path, expected: (u64, u64)) -> Result<OwnedFd> {
    let what = || format!("opening device {} of the host", path.display());
    let node = mount::clone_tree(nix::fcntl::AT_FDCWD, &path_of(path)?, false, true).map_err(|error| {
        let failure = Failure::from_io(what(), &error);
        failure.remedy("the host must have the device")
    })?;
    let stat = nix::sys::stat::fstat(&node).doing(what)?;
    let number = (nix::sys::stat::major(stat.st_rdev), nix::sys::stat::minor(stat.st_rdev));
    if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || number != expected {
        return Err(Failure::permanent(what(), "it is not the device that was asked for"));
    }
    mount::set_attributes(node.as_fd(), mount::attr::RDONLY, 0, false, None).doing(what)?;
    Ok(node)
}

/// A new terminal of the container's own devpts: master and slave.
pub(super) fn open_terminal(root: &RootDir, size: Option<(u16, u16)>) -> Result<(OwnedFd, OwnedFd)> {
    let what = || "making a terminal in the container".to_owned();
    let pts =
        root.open(Path::new("/dev/pts"), libc::O_PATH | libc::O_DIRECTORY, Links::Refused).doing(what)?;
    let kind = nix::sys::statfs::fstatfs(&pts).doing(what)?.filesystem_type();
    if kind != nix::sys::statfs::FsType(0x1cd1) {
        return Err(Failure::permanent(what(), "/dev/pts of the container is not a devpts"));
    }
    let master = resolve::open(
        pts.as_fd(),
        c"ptmx",
        libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW,
        0,
        resolve::flags::BENEATH | resolve::flags::NO_SYMLINKS,
    )
    .doing(what)?;
    let slave = terminal::open_peer(master.as_fd()).doing(what)?;
    if let Some((rows, columns)) = size.filter(|size| *size != (0, 0)) {
        terminal::set_size(slave.as_fd(), rows, columns).doing(what)?;
    }
    Ok((master, slave))
}

/// Shows the terminal as /dev/console.
pub(super) fn show_console(root: &RootDir, slave: BorrowedFd<'_>) -> Result<()> {
    let what = || "showing the terminal as /dev/console".to_owned();
    let attempt = || -> io::Result<()> {
        let target = root.file(Path::new("/dev/console"), Links::Refused)?;
        let tree = mount::clone_tree(slave, c"", false, true)?;
        mount::attach(tree.as_fd(), target.as_fd())
    };
    attempt().doing(what)
}
