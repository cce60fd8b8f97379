//! The supervisor: one thread, parent of all containers, asleep unless something happens.

mod adopt;
mod client;
mod container;
mod exec;
mod filters;
mod service;
mod sources;
mod state;

use crate::cgroup::{Cgroup, Cgroups};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::protocol::{Answer, Exit, Reply, Request};
use client::Client;
use container::Container;
use exec::Exec;
use filters::Filters;
use hull_model::ContainerId;
use hull_sys::prctl;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use service::Service;
use sources::{Source, Sources};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Name of the socket in the run directory.
pub const SOCKET: &str = "runtime.sock";
/// Name of the file whose lock makes the supervisor the only one of its run directory.
const LOCK: &str = "runtime.lock";

/// Where a supervisor keeps things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For the socket: gone after a reboot.
    pub run_dir: PathBuf,
    /// For what is kept of containers.
    pub state_dir: PathBuf,
    /// Where control groups are mounted.
    pub cgroup_root: PathBuf,
}

/// Which call of which client an answer is for.
type Caller = (u64, u64);

struct Supervisor {
    options: Options,
    cgroups: Cgroups,
    sources: Sources,
    service: Service,
    listener: UnixListener,
    signals: SignalFd,
    clients: BTreeMap<u64, Client>,
    containers: BTreeMap<ContainerId, Container>,
    execs: BTreeMap<String, Exec>,
    next_exec: u64,
    filters: Filters,
    /// Files that are in place but may not be on disk yet.
    unsynced: Vec<File>,
    /// Groups that still had processes when they were to be removed.
    leftover: Vec<Cgroup>,
    /// Processes that ended, but whose status their new parent has not taken yet; looked at again.
    undecided: Vec<ContainerId>,
    /// Who asked for everything to be removed.
    resetting: Option<Caller>,
    stop: bool,
    _lock: Flock<File>,
}

/// Runs the supervisor until it is told to stop (SIGTERM, or a reset). Containers go on running; the next supervisor
/// adopts them.
///
/// # Errors
/// It could not begin: another one runs, or a directory or the control groups cannot be used.
pub fn serve(options: Options) -> Result<()> {
    Supervisor::new(options)?.run()
}

impl Supervisor {
    fn new(options: Options) -> Result<Self> {
        // Nothing a container does may look into this process.
        prctl::set_dumpable(false).doing(|| "hiding the supervisor".to_owned())?;
        for directory in [&options.run_dir, &state::containers(&options.state_dir)] {
            make_private(directory)?;
        }
        let lock = lock(&options.run_dir.join(LOCK))?;
        // With a session of its own it does not end with the terminal it was started from. It fails for a service, which
        // has one.
        let _ = nix::unistd::setsid();
        let mut service = Service::from_environment();
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let cgroups = Cgroups::discover(&options.cgroup_root, &own, service.is_managed())?;
        let signals = signals()?;
        let listener = match service.take_listener() {
            Some(listener) => listener,
            None => listen(&options.run_dir.join(SOCKET))?,
        };
        let mut supervisor = Self {
            cgroups,
            sources: Sources::new()?,
            listener,
            signals,
            clients: BTreeMap::new(),
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            next_exec: 1,
            filters: Filters::default(),
            unsynced: Vec::new(),
            leftover: Vec::new(),
            undecided: Vec::new(),
            resetting: None,
            stop: false,
            _lock: lock,
            service,
            options,
        };
        supervisor.sources.add(supervisor.listener.as_fd(), Source::Listener)?;
        supervisor.sources.add(supervisor.signals.as_fd(), Source::Signals)?;
        supervisor.service.store("socket", supervisor.listener.as_fd());
        supervisor.adopt_all();
        Ok(supervisor)
    }

    fn run(mut self) -> Result<()> {
        self.service.ready();
        let mut watchdog = Instant::now();
        while !self.stop {
            let events = self.sources.wait(self.patience())?;
            let idle = events.is_empty();
            for source in events {
                self.happened(source);
            }
            if idle {
                self.housekeeping();
            }
            if self.service.watchdog().is_some_and(|interval| watchdog.elapsed() >= interval) {
                self.service.alive();
                watchdog = Instant::now();
            }
        }
        Ok(())
    }

    /// How long nothing may happen before there is something to do anyway.
    fn patience(&self) -> Option<Duration> {
        if !self.unsynced.is_empty() {
            return Some(Duration::ZERO);
        }
        let retry =
            (!self.leftover.is_empty() || !self.undecided.is_empty()).then_some(Duration::from_millis(20));
        [retry, self.service.watchdog()].into_iter().flatten().min()
    }

    fn happened(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.stop |= matches!(self.signals.read_signal(), Ok(Some(_))),
            Source::Client(client) => self.client_ready(client),
            Source::Setup(id) => self.container_reports(&id),
            Source::Process(id) => self.container_ended(&id),
            Source::Output(id, index) => self.container_speaks(&id, index),
            Source::ExecSetup(exec) => self.exec_reports(&exec),
            Source::ExecProcess(exec) => self.exec_ended(&exec),
        }
    }

    /// One small thing at a time, when nobody waits for anything.
    fn housekeeping(&mut self) {
        if let Some(file) = self.unsynced.pop() {
            if let Err(error) = file.sync_data() {
                eprintln!("hull-runtime: making an exit record durable: {error}");
            }
            return;
        }
        self.leftover.retain(|cgroup| match cgroup.remove() {
            Ok(()) => false,
            Err(_) => {
                let _ = cgroup.kill();
                true
            }
        });
        for id in std::mem::take(&mut self.undecided) {
            self.container_ended(&id);
        }
        self.finish_reset();
    }

    fn handle(&mut self, caller: Caller, request: Request) {
        let answer = match request {
            Request::Start(request) => self.start(caller, *request),
            Request::List => {
                Ok(Some(Answer::Records(self.containers.values().filter_map(Container::record).collect())))
            }
            Request::Signal(id, signal) => self.signal(&id, signal),
            Request::Kill(id) => self.kill(&id),
            Request::Wait(id) => self.wait(caller, &id),
            Request::Exec(id, request) => self.exec(caller, &id, &request),
            Request::ExecWait(exec) => self.exec_wait(caller, &exec),
            Request::Remove(id) => self.remove(&id),
            Request::Subscribe => {
                if let Some(client) = self.clients.get_mut(&caller.0) {
                    client.subscribed = true;
                }
                Ok(Some(Answer::Done))
            }
            Request::Reset => self.reset(caller),
        };
        match answer {
            Ok(Some(answer)) => self.answer(caller, answer),
            Ok(None) => {}
            Err(failure) => self.answer(caller, Answer::Failed(failure)),
        }
    }

    fn tell_subscribers(&mut self, id: &ContainerId, exit: &Exit) {
        let subscribed: Vec<u64> =
            self.clients.iter().filter(|(_, c)| c.subscribed).map(|(key, _)| *key).collect();
        for client in subscribed {
            self.send(client, &Reply::Exited { id: id.clone(), exit: exit.clone() }, Vec::new());
        }
    }

    fn reset(&mut self, caller: Caller) -> Result<Option<Answer>> {
        self.resetting = Some(caller);
        for container in self.containers.values() {
            container.kill();
        }
        self.finish_reset();
        Ok(None)
    }

    /// Ends a reset when the last container has ended.
    fn finish_reset(&mut self) {
        let Some(caller) = self.resetting else { return };
        if !self.leftover.is_empty() || self.containers.values().any(|c| !c.has_ended()) {
            return;
        }
        let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
        let failed = ids.iter().find_map(|id| self.remove(id).err());
        let all = state::containers(&self.options.state_dir);
        let removed = std::fs::remove_dir_all(&all).doing(|| format!("removing {}", all.display()));
        self.cgroups.remove_parent();
        for name in [SOCKET, LOCK] {
            let _ = std::fs::remove_file(self.options.run_dir.join(name));
        }
        let answer = failed.map_or(removed, Err).map_or_else(Answer::Failed, |()| Answer::Done);
        self.answer(caller, answer);
        self.service.forget("socket");
        self.stop = true;
    }
}

fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .doing(|| format!("making directory {}", directory.display()))
}

fn lock(path: &Path) -> Result<Flock<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let what = || format!("locking {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path).doing(what)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => {
            Failure::new(Class::Conflict, what(), "another supervisor runs in this run directory")
        }
        other => Failure::from_io(what(), &other.into()),
    })
}

fn listen(path: &Path) -> Result<UnixListener> {
    let what = || format!("listening on {}", path.display());
    // Holding the lock, we know that nobody listens on a socket that is there.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing(what),
        _ => {}
    }
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.doing(what)?;
    listener.set_nonblocking(true).doing(what)?;
    Ok(listener)
}

fn signals() -> Result<SignalFd> {
    let what = || "preparing for signals".to_owned();
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    mask.thread_block().doing(what)?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing(what)
}
