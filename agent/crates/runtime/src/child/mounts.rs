//! Mounting one thing after the other below the container's root.

use super::rootdir::{Links, RootDir};
use super::rootfs::path_of;
use super::sharing;
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::plan::{ContainerPlan, MountKind, MountPlan, Propagation};
use hull_sys::mount::{self, FsContext};
use hull_sys::resolve;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Sources of binds by their place in the plan, opened before the host's mounts were left behind.
pub(super) type Opened = BTreeMap<usize, OwnedFd>;

/// Opens sources that are only what they are as long as our mounts are the host's: those that share mounts with it, and those in
/// another container.
pub(super) fn open_early(plan: &ContainerPlan) -> Result<Opened> {
    let mut opened = Opened::new();
    for (index, one) in plan.mounts.iter().enumerate() {
        let MountKind::Bind { source, recursive, subpath } = &one.kind else { continue };
        if let Some((process, inside)) = sharing::process_root(source) {
            let tree = sharing::clone_from(&process, &inside, *recursive)
                .map_err(|error| source_failure(source, one, &error))?;
            opened.insert(index, tree);
        } else if one.propagation != Propagation::Private {
            sharing::check(source, one.propagation)?;
            let tree = open_source(source, *recursive, subpath.as_deref(), one)?;
            let propagation = match one.propagation {
                Propagation::Slave => mount::Propagation::Slave,
                _ => mount::Propagation::Shared,
            };
            // A copy of a shared mount is shared with it already; what is private below it becomes so too.
            mount::set_propagation(tree.as_fd(), propagation, true)
                .doing(|| format!("setting the propagation of the mount on {}", one.target.display()))?;
            opened.insert(index, tree);
        }
    }
    Ok(opened)
}

/// Mounts one thing. `opened` is its source, if it was opened before.
pub(super) fn mount_one(root: &RootDir, plan: &MountPlan, opened: Option<OwnedFd>) -> Result<OwnedFd> {
    let at = plan.target.display();
    let links = if plan.strict { Links::Refused } else { Links::Inside };
    let tree = match (&plan.kind, opened) {
        (MountKind::Bind { recursive, .. }, Some(tree)) => restrict(tree, *recursive, plan)?,
        (MountKind::Bind { source, recursive, subpath }, None) => {
            let tree = open_source(source, *recursive, subpath.as_deref(), plan)?;
            restrict(tree, *recursive, plan)?
        }
        (MountKind::New { fstype, options }, _) => new_filesystem(fstype, options, plan)?,
    };
    let stat = nix::sys::stat::fstat(&tree).doing(|| format!("looking at the mount for {at}"))?;
    let target = if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        root.directory(&plan.target, links)
    } else {
        root.file(&plan.target, links)
    }
    .map_err(|error| {
        let failure = Failure::from_io(format!("opening mount point {at} in the container"), &error);
        match error.raw_os_error() {
            Some(libc::ELOOP) => failure.remedy("the image has a symbolic link there, which is not followed"),
            _ => failure,
        }
    })?;
    mount::attach(tree.as_fd(), target.as_fd()).map_err(|error| {
        let failure = Failure::from_io(format!("mounting on {at}"), &error);
        match error.raw_os_error() {
            Some(libc::ENOTDIR) => failure.remedy(
                "a file cannot be mounted on a directory, nor a directory on a file: check that the host path exists and is of \
                 the expected kind",
            ),
            _ => failure,
        }
    })?;
    Ok(tree)
}

/// The source is opened by the host's path while the host's root is still ours; a part of it without leaving it.
fn open_source(source: &Path, recursive: bool, subpath: Option<&Path>, plan: &MountPlan) -> Result<OwnedFd> {
    let Some(subpath) = subpath else {
        return mount::clone_tree(nix::fcntl::AT_FDCWD, &path_of(source)?, recursive, false)
            .map_err(|error| source_failure(source, plan, &error));
    };
    let directory = RootDir::open_host(source)?;
    let name = CString::new(subpath.as_os_str().as_bytes()).map_err(io::Error::from);
    let flags = resolve::flags::IN_ROOT | resolve::flags::NO_MAGICLINKS;
    name.and_then(|name| resolve::open(directory.as_fd(), &name, libc::O_PATH, 0, flags))
        .and_then(|part| mount::clone_tree(part.as_fd(), c"", recursive, true))
        .map_err(|error| {
            let path = source.join(subpath);
            let doing = format!("cannot access path {}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => Failure::permanent(
                    format!("{doing}: lstat {}", path.display()),
                    "no such file or directory",
                ),
                _ => Failure::from_io(doing, &error),
            }
        })
}

fn source_failure(source: &Path, plan: &MountPlan, error: &io::Error) -> Failure {
    let (from, at) = (source.display(), plan.target.display());
    if error.kind() == io::ErrorKind::NotFound {
        let doing = "invalid mount config for type \"bind\"";
        return Failure::permanent(doing, format!("bind source path does not exist: {from}"));
    }
    let failure = Failure::from_io(format!("opening {from} to be mounted on {at}"), error);
    Failure { class: Class::Permanent, ..failure }
}

fn restrict(tree: OwnedFd, recursive: bool, plan: &MountPlan) -> Result<OwnedFd> {
    let what = || format!("setting properties of the mount on {}", plan.target.display());
    mount::set_attributes(tree.as_fd(), plan.set & !plan.top_only, plan.clear, recursive, None)
        .doing(what)?;
    if plan.top_only != 0 {
        mount::set_attributes(tree.as_fd(), plan.top_only, 0, false, None).doing(what)?;
    }
    Ok(tree)
}

fn new_filesystem(fstype: &str, options: &[(String, Option<String>)], plan: &MountPlan) -> Result<OwnedFd> {
    let at = plan.target.display();
    let bad = |_| Failure::permanent(format!("mounting {fstype} on {at}"), "an option contains a NUL byte");
    let context = FsContext::open(&CString::new(fstype).map_err(bad)?)
        .doing(|| format!("making a {fstype} for {at}"))?;
    for (key, value) in options {
        let name = CString::new(key.as_str()).map_err(bad)?;
        match value {
            Some(value) => context.string(&name, &CString::new(value.as_str()).map_err(bad)?),
            None => context.flag(&name),
        }
        .doing(|| format!("setting option {key} of the {fstype} on {at}"))?;
    }
    // What mount(8) shows as the source; no file system here has a use for it.
    let _ = context.string(c"source", &CString::new(fstype).map_err(bad)?);
    context.mount(plan.set).doing(|| format!("making a {fstype} for {at}"))
}
