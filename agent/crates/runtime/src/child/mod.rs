//! What happens between clone3(2) and execve(2), in the child.
//!
//! The supervisor has one thread, so its child may allocate and format as any program may. Everything the child needs is
//! decided before ([`ContainerPlan`](crate::plan::ContainerPlan)); here is only the order in which the kernel is asked.
//! Whatever fails is sent back over the channel with the step's name, and the child ends.

mod dev;
mod identity;
mod init;
mod launch;
mod mounts;
mod paths;
mod program;
mod rootdir;
mod rootfs;
mod sharing;

pub(crate) use launch::{Message, Stdio};
pub(crate) use rootdir::RootDir;

use crate::failure::{Doing as _, EXEC, Failure, Result, START};
use crate::plan::{ContainerPlan, ProcessPlan};
use crate::seccomp::Filter;
use hull_sys::process::flags;
use hull_sys::{namespace, process};
use std::convert::Infallible;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

/// Everything a container's first process needs beside its plan.
pub(crate) struct Start<'a> {
    pub(crate) plan: &'a ContainerPlan,
    pub(crate) filter: Option<&'a Filter>,
    /// Ours to report on; closes by itself when the program is executed.
    pub(crate) channel: OwnedFd,
    pub(crate) stdio: Stdio,
    /// An empty directory on the host to mount the root file system on, in our own mount namespace.
    pub(crate) mountpoint: PathBuf,
    /// `cgroup.procs` files of hierarchies that clone3 could not place us in.
    pub(crate) join_cgroups: Vec<PathBuf>,
}

/// A further process in a running container.
pub(crate) struct Enter<'a> {
    pub(crate) process: &'a ProcessPlan,
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) channel: OwnedFd,
    pub(crate) stdio: Stdio,
    /// The container's main process.
    pub(crate) pidfd: OwnedFd,
    /// `CLONE_NEW*` bits of the namespaces it does not share with us.
    pub(crate) namespaces: u64,
    pub(crate) join_cgroups: Vec<PathBuf>,
}

/// The main function of a container's first process.
pub(crate) fn start(mut start: Start<'_>) -> Infallible {
    let result = container(&mut start);
    report(&start.channel, result)
}

/// The main function of a further process.
pub(crate) fn enter(mut enter: Enter<'_>) -> Infallible {
    let result = further(&mut enter);
    report(&enter.channel, result)
}

fn report(channel: &OwnedFd, result: Result<Infallible>) -> ! {
    let Err(failure) = result;
    // If nobody listens any more there is nobody to tell.
    let _ = launch::send(channel.as_fd(), &Message::Failed(failure), &[]);
    process::exit_now(127)
}

fn container(start: &mut Start<'_>) -> Result<Infallible> {
    let plan = start.plan;
    process::reset_signals();
    let (root, furnished) = furnish(start).map_err(|failure| failure.within(START))?;
    let rootfs::Furnished { console, procfs } = furnished;
    let identity = identity::resolve(&root, &plan.process.user)?;
    let launch = launch::Launch {
        plan: &plan.process,
        filter: start.filter,
        identity,
        console,
        stdio: std::mem::take(&mut start.stdio),
        channel: start.channel.as_fd(),
        procfs,
        whole: START,
    };
    if plan.init { init::run(launch) } else { launch.go() }
}

/// Everything that the container is made of, up to the change of root.
fn furnish(start: &Start<'_>) -> Result<(RootDir, rootfs::Furnished)> {
    let plan = start.plan;
    join_cgroups(&start.join_cgroups)?;
    for (kind, path) in plan.join_namespaces.iter().filter(|(kind, _)| *kind != flags::NEWPID) {
        let file = std::fs::File::open(path).doing(|| format!("opening namespace {}", path.display()))?;
        namespace::join(file.as_fd(), *kind).doing(|| format!("joining namespace {}", path.display()))?;
    }
    // Not part of clone3: a cgroup namespace begins at the cgroup of whoever makes it, which must be the container's own.
    if plan.new_namespaces & flags::NEWCGROUP != 0 {
        namespace::unshare(flags::NEWCGROUP).doing(|| "making a cgroup namespace".to_owned())?;
    }
    let (root, opened) = rootfs::mount_root(plan, &start.mountpoint)?;
    let furnished = rootfs::furnish(plan, &root, opened, start.channel.as_fd())?;
    if let Some(name) = &plan.hostname {
        nix::unistd::sethostname(name).doing(|| format!("setting the host name to {name:?}"))?;
    }
    Ok((root, furnished))
}

fn further(enter: &mut Enter<'_>) -> Result<Infallible> {
    process::reset_signals();
    join_cgroups(&enter.join_cgroups)?;
    namespace::join(enter.pidfd.as_fd(), enter.namespaces)
        .doing(|| "joining the container's namespaces".to_owned())?;
    let root = RootDir::open_current()?;
    let console = if enter.process.terminal {
        let (master, slave) = dev::open_terminal(&root, enter.process.size)?;
        launch::send(enter.channel.as_fd(), &Message::Terminal, &[master.as_fd()])?;
        Some(slave)
    } else {
        None
    };
    let identity = identity::resolve(&root, &enter.process.user)?;
    launch::Launch {
        plan: enter.process,
        filter: enter.filter,
        identity,
        console,
        stdio: std::mem::take(&mut enter.stdio),
        channel: enter.channel.as_fd(),
        procfs: paths::procfs_of(&root)?,
        whole: EXEC,
    }
    .go()
}

fn join_cgroups(files: &[PathBuf]) -> Result<()> {
    for file in files {
        std::fs::write(file, "0").doing(|| format!("joining cgroup {}", file.display()))?;
    }
    Ok(())
}

/// What to call a failure of the whole child that could not be described.
pub(crate) fn vanished() -> Failure {
    Failure::new(
        crate::failure::Class::Retryable,
        "starting the process",
        "it ended before its program was executed, and did not say why",
    )
}
