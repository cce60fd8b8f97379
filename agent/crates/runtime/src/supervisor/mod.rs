//! The supervisor: one thread, parent of all containers, asleep unless something happens.

mod adjust;
mod adopt;
mod attach;
mod chores;
mod client;
mod container;
mod ending;
mod exec;
mod filters;
mod freezer;
mod handover;
mod input;
mod lingering;
mod memory;
mod output;
mod packing;
mod pipes;
mod reset;
mod service;
mod socket;
mod sources;
mod state;

use crate::cgroup::{Cgroup, Cgroups, Programs};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::protocol::{Answer, Reply, Request};
use attach::Attachment;
use client::Client;
use container::Container;
use exec::Exec;
use filters::Filters;
use hull_model::ContainerId;
use hull_sys::prctl;
use lingering::Lingering;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::inotify::Inotify;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use packing::Packer;
use service::Service;
use sources::{Source, Sources};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    /// The journal's socket (systemd-journald.service(8)).
    pub journal: PathBuf,
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
    programs: Programs,
    /// Files that are in place but may not be on disk yet.
    unsynced: Vec<File>,
    /// Groups that still had processes when they were to be removed.
    leftover: Vec<Cgroup>,
    /// Processes that ended, but whose status their new parent has not taken yet; looked at again.
    undecided: Vec<ContainerId>,
    /// Containers whose end could not be recorded yet: the disk is full.
    unsaved: Vec<ContainerId>,
    /// Clients that read and write, of containers that run and of those that will.
    attached: BTreeMap<ContainerId, Vec<Attachment>>,
    next_key: u64,
    lingering: BTreeMap<u64, Lingering>,
    /// Logs with files to compress, and the one that is being compressed.
    to_pack: VecDeque<ContainerId>,
    packer: Option<Packer>,
    /// What is read is read into this.
    scratch: Vec<u8>,
    /// Token of the listener.
    listening: u64,
    /// Tells when somebody removes the socket; its token.
    directory: Inotify,
    watching: u64,
    /// Who asked for everything to be removed.
    resetting: Option<Caller>,
    stop: bool,
    lock: Flock<File>,
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
            None => socket::listen(&options.run_dir.join(SOCKET))?,
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
            programs: Programs::default(),
            unsynced: Vec::new(),
            leftover: Vec::new(),
            undecided: Vec::new(),
            unsaved: Vec::new(),
            attached: BTreeMap::new(),
            next_key: 1,
            lingering: BTreeMap::new(),
            to_pack: VecDeque::new(),
            packer: None,
            scratch: Vec::new(),
            listening: 0,
            directory: socket::watch(&options.run_dir)?,
            watching: 0,
            resetting: None,
            stop: false,
            lock,
            service,
            options,
        };
        supervisor.listening = supervisor.sources.add(supervisor.listener.as_fd(), Source::Listener)?;
        supervisor.watching = supervisor.sources.add(supervisor.directory.as_fd(), Source::Directory)?;
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
        if self.resetting.is_none() {
            self.store_attachments();
        }
        Ok(())
    }

    fn happened(&mut self, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.stop |= matches!(self.signals.read_signal(), Ok(Some(_))),
            Source::Client(client) => self.client_ready(client),
            Source::Setup(id) => self.container_reports(&id),
            Source::Process(id) => self.container_ended(&id),
            Source::Output(id, index) => self.container_speaks(&id, index),
            Source::Sink(id, key, source) => self.sink_ready(&id, key, source),
            Source::Feed(id, key) => self.feed_ready(&id, key),
            Source::Input(id) => self.input_ready(&id),
            Source::Remote(id) => self.remote_ready(&id),
            Source::Lingering(key) => self.lingering_ready(key),
            Source::Frozen(id) => self.freezing_changed(&id),
            Source::Memory(id) => self.memory_changed(&id),
            Source::Packed => self.packed(),
            Source::Directory => self.directory_changed(),
            Source::ExecSetup(exec) => self.exec_reports(&exec),
            Source::ExecProcess(exec) => self.exec_ended(&exec),
        }
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
            Request::Attach(id, request) => self.attach(caller, &id, request),
            Request::Resize(id, rows, columns) => self.resize(&id, rows, columns),
            Request::Pause(id) => self.pause(caller, &id),
            Request::Resume(id) => self.resume(&id),
            Request::Update(id, resources) => self.update(&id, &resources),
            Request::ExecKill(exec) => self.exec_kill(&exec),
        };
        match answer {
            Ok(Some(answer)) => self.answer(caller, answer),
            Ok(None) => {}
            Err(failure) => self.answer(caller, Answer::Failed(failure)),
        }
    }

    /// Tells everybody who wants to know.
    fn tell(&mut self, reply: &Reply) {
        let subscribed: Vec<u64> =
            self.clients.iter().filter(|(_, c)| c.subscribed).map(|(key, _)| *key).collect();
        for client in subscribed {
            self.send(client, reply, Vec::new());
        }
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

fn signals() -> Result<SignalFd> {
    let what = || "preparing for signals".to_owned();
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        mask.add(signal);
    }
    mask.thread_block().doing(what)?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing(what)
}
