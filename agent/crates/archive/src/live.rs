//! What a running container has mounted, taken out of its mount namespace.
//!
//! Only the overlay itself and the volumes are taken: neither proc nor anything else that the kernel makes up can be met in
//! the copy, and what a process of the container mounts afterwards does not matter.

use crate::descend::open_in;
use crate::failure::Failure;
use crate::ids::Ids;
use hull_ports::ContainerTree;
use hull_sys::{mount, namespace, pidfd};
use nix::fcntl::OFlag;
use nix::libc;
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Detached copies of the mounts of a container.
pub(crate) struct Live {
    /// Its root file system, without anything mounted over it.
    pub(crate) root: OwnedFd,
    /// What it sees at the places where its volumes are, in their order.
    pub(crate) mounts: Vec<OwnedFd>,
    pub(crate) ids: Ids,
}

/// Copies the mounts of the container whose main process is `pid`. `None` if there is no such process any more, or if it is
/// another one by now: its root is not this container's.
pub(crate) fn take(tree: &ContainerTree, pid: i32) -> Result<Option<Live>, Failure> {
    let Ok(process) = pidfd::open(pid) else { return Ok(None) };
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (mounts, ids) = (read("mountinfo"), Ids::parse(&read("uid_map"), &read("gid_map")));
    // All of that was read from this very process if it still lives.
    if pidfd::send_signal(process.as_fd(), 0).is_err() || !same_upper(&mounts, &tree.rootfs.upper) {
        return Ok(None);
    }
    let targets: Vec<PathBuf> = tree.mounts.iter().map(|m| m.target.clone()).collect();
    // A thread of its own: it never comes back from the container's namespace.
    let copied = std::thread::scope(|scope| scope.spawn(|| copy(process.as_fd(), &targets)).join());
    let (root, mounts) = copied
        .map_err(|_| Failure::Failed("copying the mounts of the container stopped".to_owned()))?
        .map_err(Failure::io("looking at the mounts of process", pid.to_string().as_bytes()))?;
    Ok(Some(Live { root, mounts, ids }))
}

fn copy(process: BorrowedFd<'_>, targets: &[PathBuf]) -> io::Result<(OwnedFd, Vec<OwnedFd>)> {
    namespace::unshare(libc::CLONE_FS as u64)?;
    namespace::join(process, libc::CLONE_NEWNS as u64)?;
    // Joining a mount namespace goes to its root, wherever its processes have moved theirs.
    let root = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut mounts = Vec::with_capacity(targets.len());
    for target in targets {
        let place = open_in(root.as_fd(), target.as_os_str().as_bytes(), OFlag::O_PATH)?;
        mounts.push(mount::clone_tree(place.as_fd(), c"", true, true)?);
    }
    Ok((mount::clone_tree(root.as_fd(), c"", false, true)?, mounts))
}

/// Whether the root in this mount table (proc_pid_mountinfo(5)) is an overlay that is written to `upper`.
pub(crate) fn same_upper(mountinfo: &str, upper: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let field = |line: &&str, at: usize| line.split(' ').nth(at).map(str::to_owned);
    let roots: Vec<&str> = mountinfo.lines().filter(|line| field(line, 4).as_deref() == Some("/")).collect();
    // The one on top of all others: none of them is mounted on it. Their order says nothing.
    let on_it = |root: &&str| {
        let on = |other: &&str| field(other, 1) == field(root, 0) && field(other, 0) != field(root, 0);
        roots.iter().any(on)
    };
    let root = roots.iter().find(|root| !on_it(root));
    let Some((_, special)) = root.and_then(|line| line.split_once(" - ")) else { return false };
    let mut fields = special.split(' ');
    if fields.next() != Some("overlay") {
        return false;
    }
    let options = fields.nth(1).unwrap_or_default();
    let shown = options.split(',').find_map(|option| option.strip_prefix("upperdir="));
    let shown = shown.map(|path| PathBuf::from(unescaped(path)));
    shown.is_some_and(|path| identity(&path).is_some() && identity(&path) == identity(upper))
}

/// Takes back the octal escapes of a mount table.
fn unescaped(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        let code =
            digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        out.push(code.unwrap_or(bytes[at]));
        at += if code.is_some() { 4 } else { 1 };
    }
    std::ffi::OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_a_mount_table_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("an upper, one");
        std::fs::create_dir(&upper).unwrap();
        let shown = upper.to_str().unwrap().replace(' ', "\\040").replace(',', "\\054");
        let table = |kind: &str| {
            format!(
                "22 1 0:5 / /proc rw - proc proc rw\n30 1 0:41 / / rw,nodev - {kind} none rw,lowerdir=/a,upperdir={shown},workdir=/w\n"
            )
        };
        assert!(same_upper(&table("overlay"), &upper));
        assert!(!same_upper(&table("overlay"), dir.path()));
        assert!(!same_upper(&table("ext4"), &upper));
        assert!(!same_upper("", &upper));
    }
}
