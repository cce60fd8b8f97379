//! Running one OCI bundle in the foreground, without a supervisor.

use crate::cgroup::{Cgroup, Cgroups, Programs};
use crate::child::Stdio;
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::{ContainerPlan, Extras, RootSource};
use crate::spawn;
use hull_sys::process::Ended;
use hull_sys::{pidfd, prctl};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use oci_spec::runtime::Spec;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

/// Signals that are passed on to the container.
const PASSED_ON: [Signal; 6] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// Runs the bundle in `directory` as container `id` with our own standard streams, until it ends.
///
/// # Errors
/// The bundle cannot be read, or its process could not be started.
pub fn run(directory: &Path, id: &str, cgroup_root: &Path) -> Result<Ended> {
    let valid = !id.is_empty() && id.len() <= 255 && !id.starts_with('.');
    if !valid || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+')) {
        return Err(Failure::permanent("reading the container id", format!("{id:?} is not valid")));
    }
    let plan = read_bundle(directory)?;
    if plan.process.terminal {
        return Err(Failure::permanent(
            "reading process.terminal",
            "a bundle in the foreground uses our own streams",
        )
        .remedy("set it to false"));
    }
    prctl::set_dumpable(false).doing(|| "hiding from the container".to_owned())?;
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let cgroups = Cgroups::discover(cgroup_root, &own, false)?;
    let cgroup = cgroups.create(id, &plan, &mut Programs::default())?;
    let result = supervise(&plan, directory, &cgroup);
    if cgroup.populated() {
        let _ = cgroup.kill();
    }
    let removed = cgroup.remove().doing(|| format!("removing cgroup {}", cgroup.unified.display()));
    cgroups.remove_parent();
    result.and_then(|ended| removed.map(|()| ended))
}

fn read_bundle(directory: &Path) -> Result<ContainerPlan> {
    let file = directory.join("config.json");
    let what = || format!("reading {}", file.display());
    let text = std::fs::read(&file).doing(what)?;
    let spec: Spec =
        serde_json::from_slice(&text).map_err(|error| Failure::permanent(what(), error.to_string()))?;
    let root =
        spec.root().as_ref().ok_or_else(|| Failure::permanent(what(), "root is missing"))?.path().clone();
    let root = directory.join(root).canonicalize().doing(|| "resolving root.path".to_owned())?;
    ContainerPlan::new(&spec, Extras { root: RootSource::Directory(root), user: None, init: false })
}

fn supervise(plan: &ContainerPlan, directory: &Path, cgroup: &Cgroup) -> Result<Ended> {
    let filter = plan.seccomp.as_ref().map(crate::seccomp::compile).transpose()?;
    let mountpoint = match &plan.root {
        RootSource::Directory(path) => path.clone(),
        RootSource::Overlay { .. } => directory.to_owned(),
    };
    let mut mask = SigSet::empty();
    PASSED_ON.into_iter().for_each(|signal| mask.add(signal));
    mask.thread_block().doing(|| "preparing for signals".to_owned())?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .doing(|| "preparing for signals".to_owned())?;
    let spawned = spawn::container(plan, filter.as_ref(), cgroup, Stdio::default(), &mountpoint)?;
    let started = spawn::executed(spawned.channel.as_fd());
    drop(spawned.channel);
    let ended = wait(spawned.child.pidfd.as_fd(), &signals)?;
    started.map(|()| ended)
}

fn wait(process: BorrowedFd<'_>, signals: &SignalFd) -> Result<Ended> {
    let what = || "waiting for the container".to_owned();
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).doing(what)?;
    epoll.add(process, EpollEvent::new(EpollFlags::EPOLLIN, 0)).doing(what)?;
    epoll.add(signals.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 1)).doing(what)?;
    let mut events = [EpollEvent::empty(); 2];
    loop {
        if let Some(ended) = pidfd::reap(process).doing(what)? {
            return Ok(ended);
        }
        match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).doing(what),
        }
        while let Ok(Some(info)) = signals.read_signal() {
            let _ = pidfd::send_signal(process, info.ssi_signo as i32);
        }
    }
}
