//! Making the child that becomes a container, or a further process of one. Never waits for it.

use crate::cgroup::Cgroup;
use crate::child::{self, Enter, Start, Stdio};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::{ContainerPlan, ProcessPlan};
use crate::seccomp::Filter;
use hull_sys::process::{Child, flags, spawn};
use hull_sys::{namespace, socket};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A child that is being set up.
#[derive(Debug)]
pub(crate) struct Spawned {
    pub(crate) child: Child,
    /// Where it reports: its terminal, its failure, or by closing it that its program was executed.
    pub(crate) channel: OwnedFd,
}

fn channel() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .doing(|| "making a channel to the child".to_owned())
}

/// Starts a container.
pub(crate) fn container(
    plan: &ContainerPlan,
    filter: Option<&Filter>,
    cgroup: &Cgroup,
    stdio: Stdio,
    mountpoint: &Path,
) -> Result<Spawned> {
    if plan.new_namespaces & flags::NEWUSER != 0 {
        return Err(Failure::permanent("reading linux.namespaces", "user namespaces are not supported yet")
            .remedy("leave the user namespace out"));
    }
    let (ours, theirs) = channel()?;
    let directory = open_cgroup(cgroup)?;
    let join_pid = plan.join_namespaces.iter().find(|(kind, _)| *kind == flags::NEWPID);
    let pid_namespace = join_pid
        .map(|(_, path)| File::open(path).doing(|| format!("opening namespace {}", path.display())))
        .transpose()?;
    let start = Start {
        plan,
        filter,
        channel: theirs,
        stdio,
        mountpoint: PathBuf::from(mountpoint),
        join_cgroups: cgroup.join_files(),
    };
    // A cgroup namespace is made by the child itself, once it is in its group.
    let new = plan.new_namespaces & !flags::NEWCGROUP;
    let child = in_pid_namespace(pid_namespace.as_ref().map(|f| f.as_fd()), || {
        spawn(new, Some(directory.as_fd()), move || child::start(start))
            .doing(|| "making the container's process".to_owned())
    })?;
    Ok(Spawned { child, channel: ours })
}

/// What a further process needs to know of its container.
pub(crate) struct Inside<'a> {
    /// The container's main process.
    pub(crate) pidfd: BorrowedFd<'a>,
    /// `CLONE_NEW*` bits of the namespaces it does not share with us.
    pub(crate) namespaces: u64,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) filter: Option<&'a Filter>,
}

/// Starts a further process in a container.
pub(crate) fn further(inside: &Inside<'_>, process: &ProcessPlan, stdio: Stdio) -> Result<Spawned> {
    let what = || "entering the container".to_owned();
    let (ours, theirs) = channel()?;
    let directory = open_cgroup(inside.cgroup)?;
    let enter = Enter {
        process,
        filter: inside.filter,
        channel: theirs,
        stdio,
        pidfd: inside.pidfd.try_clone_to_owned().doing(what)?,
        namespaces: inside.namespaces & !flags::NEWPID,
        join_cgroups: inside.cgroup.join_files(),
    };
    let pid_namespace = (inside.namespaces & flags::NEWPID != 0).then_some(inside.pidfd);
    let child = in_pid_namespace(pid_namespace, || {
        spawn(0, Some(directory.as_fd()), move || child::enter(enter))
            .doing(|| "making the process".to_owned())
    })?;
    Ok(Spawned { child, channel: ours })
}

fn open_cgroup(cgroup: &Cgroup) -> Result<File> {
    cgroup.open().doing(|| format!("opening cgroup {}", cgroup.unified.display()))
}

/// Runs `make` while children of this process are born into another PID namespace. This process itself stays where it is.
fn in_pid_namespace<T>(namespace: Option<BorrowedFd<'_>>, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(fd) = namespace else { return make() };
    let what = || "choosing the PID namespace".to_owned();
    let own = File::open("/proc/self/ns/pid").doing(what)?;
    namespace::join(fd, flags::NEWPID).doing(what)?;
    let made = make();
    namespace::join(own.as_fd(), flags::NEWPID).doing(what)?;
    made
}

/// What a child that is being set up said.
#[derive(Debug)]
pub(crate) enum Report {
    /// Its program comes next.
    Executing,
    /// It says no more: after `Executing`, its program runs; otherwise it was killed before.
    Closed,
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// It could not be started.
    Failed(Failure),
}

/// Takes all reports of a child that is being set up, and waits until there are no more.
///
/// # Errors
/// What the child could not do.
pub(crate) fn executed(channel: BorrowedFd<'_>) -> Result<()> {
    let mut announced = false;
    loop {
        match report(channel) {
            Some(Report::Executing) => announced = true,
            Some(Report::Failed(failure)) => return Err(failure),
            Some(Report::Closed) | None => return if announced { Ok(()) } else { Err(child::vanished()) },
            Some(Report::Terminal(_)) => {}
        }
    }
}

/// Reads one report; waits for it unless the channel does not block, then `None` means that there is none yet.
pub(crate) fn report(channel: BorrowedFd<'_>) -> Option<Report> {
    let mut buffer = [0u8; 16 << 10];
    let (length, mut fds) = match socket::receive(channel, &mut buffer) {
        Ok(received) => received,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
        Err(error) => return Some(Report::Failed(Failure::from_io("listening to the child", &error))),
    };
    if length == 0 {
        return Some(Report::Closed);
    }
    Some(match serde_json::from_slice(&buffer[..length]) {
        Ok(child::Message::Failed(failure)) => Report::Failed(failure),
        Ok(child::Message::Executing) => Report::Executing,
        Ok(child::Message::Terminal) => match fds.pop() {
            Some(fd) => Report::Terminal(fd),
            None => Report::Failed(child::vanished()),
        },
        Err(_) => Report::Failed(child::vanished()),
    })
}
