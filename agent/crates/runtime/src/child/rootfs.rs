//! The root file system: overlay, mounts, what is hidden, and the change into it.

use super::launch::{self, Message};
use super::mounts::{self, Opened};
use super::rootdir::{Links, RootDir};
use super::{dev, paths};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::{ContainerPlan, MountKind, RootSource};
use hull_sys::mount::{self, FsContext, attr};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Leaves the host's mounts behind, then mounts the root file system on a directory. Only our own mount namespace sees it.
pub(super) fn mount_root(plan: &ContainerPlan, mountpoint: &Path) -> Result<(RootDir, Opened)> {
    let opened = mounts::open_early(plan)?;
    leave_host_mounts()?;
    let tree = detached_root(plan)?;
    Ok((attach_root(tree, mountpoint)?, opened))
}

/// Attaches a root file system and opens it.
fn attach_root(tree: OwnedFd, mountpoint: &Path) -> Result<RootDir> {
    let target = RootDir::open_host(mountpoint)?;
    mount::attach(tree.as_fd(), target.as_fd())
        .doing(|| format!("mounting the root on {}", mountpoint.display()))?;
    // The descriptor of the tree is the root directory of what is attached now.
    Ok(RootDir::new(tree))
}

/// Nothing that is mounted here reaches the host, nor the other way; binds that share mounts are open already.
fn leave_host_mounts() -> Result<()> {
    use nix::mount::{MsFlags, mount};
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing(|| "leaving the host's mounts".to_owned())
}

/// The root file system, mounted nowhere.
fn detached_root(plan: &ContainerPlan) -> Result<OwnedFd> {
    let attributes = if plan.device_access.own_nodes { 0 } else { attr::NODEV };
    match &plan.root {
        RootSource::Directory(path) => {
            let tree = mount::clone_tree(nix::fcntl::AT_FDCWD, &path_of(path)?, true, false)
                .doing(|| format!("opening root file system {}", path.display()))?;
            mount::set_attributes(tree.as_fd(), attributes, 0, false, None)
                .doing(|| format!("restricting root file system {}", path.display()))?;
            Ok(tree)
        }
        RootSource::Overlay { lower, upper, work } => overlay(lower, upper, work, attributes),
    }
}

fn overlay(lower: &[PathBuf], upper: &Path, work: &Path, attributes: u64) -> Result<OwnedFd> {
    let context = FsContext::open(c"overlay").doing(|| "making an overlay".to_owned())?;
    for layer in lower {
        set_layer(&context, c"lowerdir+", layer)?;
    }
    set_layer(&context, c"upperdir", upper)?;
    set_layer(&context, c"workdir", work)?;
    context.mount(attributes).map_err(|error| overlay_failure(&context, upper, &error))
}

fn overlay_failure(context: &FsContext, path: &Path, error: &io::Error) -> Failure {
    let mut failure = Failure::from_io(format!("mounting the overlay of {}", path.display()), error);
    let said = context.message();
    if !said.is_empty() {
        failure.reason = format!("{}: {said}", failure.reason);
    }
    failure
}

fn set_layer(context: &FsContext, key: &std::ffi::CStr, path: &Path) -> Result<()> {
    let dir = RootDir::open_host(path)?;
    match context.fd(key, dir.as_fd()) {
        // Before Linux 6.13 layers are only taken by name.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => context.string(key, &path_of(path)?),
        other => other,
    }
    .map_err(|error| overlay_failure(context, path, &error))
}

pub(super) fn path_of(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Failure::permanent("reading a path", format!("{} contains a NUL byte", path.display())))
}

/// What furnishing leaves open.
pub(super) struct Furnished {
    /// The terminal, if there is to be one.
    pub(super) console: Option<OwnedFd>,
    /// The container's procfs, known to be one.
    pub(super) procfs: OwnedFd,
}

/// Mounts, devices, kernel parameters and what is hidden; then the root becomes `/`.
pub(super) fn furnish(
    plan: &ContainerPlan,
    root: &RootDir,
    mut opened: Opened,
    channel: BorrowedFd<'_>,
) -> Result<Furnished> {
    let mut procfs = None;
    for (index, one) in plan.mounts.iter().enumerate() {
        let tree = mounts::mount_one(root, one, opened.remove(&index))?;
        if matches!(&one.kind, MountKind::New { fstype, .. } if fstype == "proc")
            && one.set & attr::RDONLY == 0
        {
            procfs = Some(tree);
        }
    }
    let procfs = match procfs {
        Some(procfs) => procfs,
        None => paths::procfs()?,
    };
    if plan.fill_dev {
        dev::fill(root)?;
        dev::make(root, &plan.devices, plan.device_access.own_nodes)?;
    }
    let console = if plan.process.terminal {
        let (master, slave) = dev::open_terminal(root, plan.process.size)?;
        launch::send(channel, &Message::Terminal, &[master.as_fd()])?;
        dev::show_console(root, slave.as_fd())?;
        Some(slave)
    } else {
        None
    };
    set_parameters(procfs.as_fd(), &plan.sysctls)?;
    if let Some(name) = &plan.domainname {
        write_below(procfs.as_fd(), "sys/kernel/domainname", name)
            .doing(|| format!("setting the domain name to {name:?}"))?;
    }
    protect(plan, root)?;
    make_cwd(root, &plan.process.cwd)?;
    if plan.readonly_root {
        mount::set_attributes(root.as_fd(), attr::RDONLY, 0, false, None)
            .doing(|| "making the root file system read-only".to_owned())?;
    }
    change_root(root)?;
    Ok(Furnished { console, procfs })
}

/// Kernel parameters, through a procfs that is surely one.
fn set_parameters(procfs: BorrowedFd<'_>, parameters: &[(String, String)]) -> Result<()> {
    for (name, value) in parameters {
        write_below(procfs, &format!("sys/{name}"), value)
            .doing(|| format!("setting kernel parameter {}", name.replace('/', ".")))?;
    }
    Ok(())
}

/// Writes a file below a directory, following no link.
pub(super) fn write_below(dir: BorrowedFd<'_>, path: &str, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    let flags = hull_sys::resolve::flags::BENEATH | hull_sys::resolve::flags::NO_SYMLINKS;
    let fd = hull_sys::resolve::open(dir, &CString::new(path)?, libc::O_WRONLY, 0, flags)?;
    std::fs::File::from(fd).write_all(value.as_bytes())
}

/// Hides and write-protects paths. What does not exist needs neither.
fn protect(plan: &ContainerPlan, root: &RootDir) -> Result<()> {
    for path in &plan.readonly_paths {
        let what = || format!("write-protecting {}", path.display());
        let Some(target) = existing(root, path).doing(what)? else { continue };
        let tree = mount::clone_tree(target.as_fd(), c"", true, true).doing(what)?;
        mount::set_attributes(tree.as_fd(), attr::RDONLY, 0, true, None).doing(what)?;
        mount::attach(tree.as_fd(), target.as_fd()).doing(what)?;
    }
    let mut empty: Option<OwnedFd> = None;
    for path in &plan.masked_paths {
        let what = || format!("hiding {}", path.display());
        let Some(target) = existing(root, path).doing(what)? else { continue };
        let stat = nix::sys::stat::fstat(&target).doing(what)?;
        let tree = if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
            match &empty {
                // One empty directory hides them all.
                Some(empty) => mount::clone_tree(empty.as_fd(), c"", false, true).doing(what)?,
                None => empty_directory().doing(what)?,
            }
        } else {
            dev::host_node(Path::new("/dev/null"), (1, 3))?
        };
        mount::attach(tree.as_fd(), target.as_fd()).doing(what)?;
        if stat.st_mode & libc::S_IFMT == libc::S_IFDIR && empty.is_none() {
            empty = Some(tree);
        }
    }
    Ok(())
}

fn empty_directory() -> io::Result<OwnedFd> {
    let context = FsContext::open(c"tmpfs")?;
    context.string(c"size", c"0")?;
    context.string(c"mode", c"555")?;
    context.mount(attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)
}

fn existing(root: &RootDir, path: &Path) -> io::Result<Option<OwnedFd>> {
    match root.open(path, libc::O_PATH, Links::Refused) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The working directory is made while the root can still be written.
fn make_cwd(root: &RootDir, cwd: &Path) -> Result<()> {
    match root.directory(cwd, Links::Inside) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EROFS) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => {
            Err(Failure::permanent("Cannot mkdir", format!("{} is not a directory", cwd.display())))
        }
        Err(error) => Err(error).doing(|| format!("making working directory {}", cwd.display())),
    }
}

fn change_root(root: &RootDir) -> Result<()> {
    nix::unistd::fchdir(root.as_fd())
        .map_err(io::Error::from)
        .and_then(|()| mount::pivot_to_current_directory())
        .doing(|| "changing into the root file system".to_owned())
}
