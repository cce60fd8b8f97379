//! The file-descriptor based mount interface: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), mount_setattr(2), move_mount(2).

use crate::{owned, ret};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `MOUNT_ATTR_*`: properties of one mount.
pub mod attr {
    /// Cannot be written.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits and file capabilities have no effect.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NOEXEC: u64 = 0x8;
    /// Access times are never updated.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always updated.
    pub const STRICTATIME: u64 = 0x20;
    /// All bits of the access-time mode.
    pub const ATIME: u64 = 0x70;
    /// Access times of directories are not updated.
    pub const NODIRATIME: u64 = 0x80;
    /// Owners are mapped through a user namespace.
    pub const IDMAP: u64 = 0x0010_0000;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// A file system being configured.
#[derive(Debug)]
pub struct FsContext(OwnedFd);

const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FD: libc::c_uint = 5;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

impl FsContext {
    /// Begins a new instance of a file system type.
    pub fn open(fstype: &CStr) -> io::Result<Self> {
        // SAFETY: the name is NUL-terminated. Flag 1 is FSOPEN_CLOEXEC.
        owned(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1) }).map(Self)
    }

    fn config(
        &self,
        command: libc::c_uint,
        key: Option<&CStr>,
        value: Option<&CStr>,
        aux: i32,
    ) -> io::Result<()> {
        let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: key and value are null or NUL-terminated and outlive the call.
        ret(unsafe {
            libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, pointer(key), pointer(value), aux)
        })
        .map(drop)
    }

    /// Sets an option without a value.
    pub fn flag(&self, key: &CStr) -> io::Result<()> {
        self.config(FSCONFIG_SET_FLAG, Some(key), None, 0)
    }

    /// Sets an option to a text of at most 255 bytes.
    pub fn string(&self, key: &CStr, value: &CStr) -> io::Result<()> {
        self.config(FSCONFIG_SET_STRING, Some(key), Some(value), 0)
    }

    /// Sets an option to an open file.
    pub fn fd(&self, key: &CStr, value: BorrowedFd<'_>) -> io::Result<()> {
        self.config(FSCONFIG_SET_FD, Some(key), None, value.as_raw_fd())
    }

    /// Makes the instance and a detached mount of it, with `MOUNT_ATTR_*` properties.
    pub fn mount(&self, attributes: u64) -> io::Result<OwnedFd> {
        self.config(FSCONFIG_CMD_CREATE, None, None, 0)?;
        // SAFETY: no memory is passed. Flag 1 is FSMOUNT_CLOEXEC.
        owned(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), 1, attributes as libc::c_uint) })
    }

    /// What the kernel said about the last failure; empty if it said nothing.
    pub fn message(&self) -> String {
        let mut buffer = [0u8; 512];
        match nix::unistd::read(&self.0, &mut buffer) {
            Ok(length) => String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned(),
            Err(_) => String::new(),
        }
    }
}

const OPEN_TREE_CLONE: libc::c_uint = 1;
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// A detached copy of the mount at `path` below `dir` (the directory itself if `path` is empty), with everything mounted
/// below it if `recursive`. Symbolic links at the end are followed unless `nofollow`.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool, nofollow: bool) -> io::Result<OwnedFd> {
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    if recursive {
        flags |= AT_RECURSIVE;
    }
    if nofollow {
        flags |= libc::AT_SYMLINK_NOFOLLOW as libc::c_uint;
    }
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    // SAFETY: the path is NUL-terminated.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Changes properties of a mount, and of everything below it if `recursive`. `userns` is needed with [`attr::IDMAP`].
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    recursive: bool,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let userns = userns.map_or(0, |fd| fd.as_raw_fd() as u64);
    set_attr(mount, &MountAttr { set, clear, propagation: 0, userns }, recursive)
}

/// Where mounts made below a mount appear, and which appear there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Nowhere, and none.
    Private,
    /// Nowhere, and those made below the mount this one was cloned from.
    Slave,
    /// Below all mounts of one group, and theirs.
    Shared,
}

/// Sets the propagation of a mount, and of everything below it if `recursive`.
pub fn set_propagation(mount: BorrowedFd<'_>, propagation: Propagation, recursive: bool) -> io::Result<()> {
    let propagation = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
    };
    set_attr(mount, &MountAttr { set: 0, clear: 0, propagation, userns: 0 }, recursive)
}

fn set_attr(mount: BorrowedFd<'_>, attributes: &MountAttr, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the structure is valid and its true size is passed.
    ret(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            std::mem::size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a detached mount on an open directory or file.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    const F_EMPTY_PATH: libc::c_uint = 0x4;
    const T_EMPTY_PATH: libc::c_uint = 0x40;
    // SAFETY: both paths are empty NUL-terminated strings; the descriptors are open.
    ret(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Makes the current directory the root of this mount namespace and detaches everything that was there before.
pub fn pivot_to_current_directory() -> io::Result<()> {
    // SAFETY: both paths are NUL-terminated. With new and old root the same, the old one ends up mounted over the new one.
    ret(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}
