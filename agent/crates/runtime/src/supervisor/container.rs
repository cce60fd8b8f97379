//! One container from its start to its removal.

use super::attach::set_nonblocking;
use super::freezer::Freezing;
use super::input::Input;
use super::memory::MemoryWatch;
use super::output::Output;
use super::pipes::{Pipes, pipes};
use super::sources::Source;
use super::state::{self, Files, State};
use super::{Caller, Supervisor};
use crate::cgroup::Cgroup;
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::log::{self, Writer};
use crate::plan::{ContainerPlan, Extras, RootSource};
use crate::protocol::{Answer, Exit, Layers, Record, StartRequest};
use crate::spawn::{self, Report, Spawned};
use hull_model::{ContainerId, LogConfig};
use hull_sys::pidfd;
use hull_sys::process::Child;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use std::os::fd::{AsFd as _, OwnedFd};

/// Where a container is in its life.
pub(super) enum Phase {
    /// Being set up.
    Starting(Setup),
    /// Its program runs.
    Running,
    /// It ended; nothing of it is left but records.
    Ended(Exit),
}

/// What is there while a container is set up.
pub(super) struct Setup {
    pub(super) channel: OwnedFd,
    pub(super) token: u64,
    announced: bool,
    pub(super) failure: Option<Failure>,
    /// Who asked for it.
    pub(super) callers: Vec<Caller>,
}

pub(super) struct Container {
    pub(super) files: Files,
    pub(super) state: State,
    pub(super) phase: Phase,
    pub(super) pidfd: Option<(OwnedFd, u64)>,
    pub(super) outputs: Vec<Option<Output>>,
    pub(super) writer: Option<Writer>,
    pub(super) waiters: Vec<Caller>,
    /// Our end of its standard input, while that is open.
    pub(super) input: Option<Input>,
    /// The remote end its log waits for: token, and number of the connection.
    pub(super) remote: Option<(u64, u64)>,
    /// Every process of it is frozen.
    pub(super) paused: bool,
    pub(super) freezing: Option<Freezing>,
    pub(super) memory: Option<MemoryWatch>,
}

impl Container {
    /// One that a state speaks of, with nothing open yet.
    pub(super) fn new(files: Files, state: State) -> Self {
        Self {
            files,
            state,
            phase: Phase::Running,
            pidfd: None,
            outputs: Vec::new(),
            writer: None,
            waiters: Vec::new(),
            input: None,
            remote: None,
            paused: false,
            freezing: None,
            memory: None,
        }
    }

    /// What a client may know of it; nothing while it is not sure that it runs.
    pub(super) fn record(&self) -> Option<Record> {
        let exit = match &self.phase {
            Phase::Starting(_) => return None,
            Phase::Running => None,
            Phase::Ended(exit) => Some(exit.clone()),
        };
        let (id, paused) = (self.state.id.clone(), self.paused);
        Some(Record { id, pid: self.state.pid, started: self.state.started, exit, paused })
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Kills every process of it.
    pub(super) fn kill(&self) {
        if self.has_ended() {
            return;
        }
        if self.state.cgroup.kill().is_err()
            && let Some((pidfd, _)) = &self.pidfd
        {
            let _ = pidfd::send_signal(pidfd.as_fd(), libc::SIGKILL);
        }
    }
}

/// A container whose process was just made.
struct Begun {
    container: Container,
    child: Child,
    channel: OwnedFd,
    /// To be read.
    outputs: Vec<(OwnedFd, log::Source)>,
    /// To be written to, if its standard input is a pipe that is open.
    input: Option<OwnedFd>,
}

impl Supervisor {
    pub(super) fn start(&mut self, caller: Caller, request: StartRequest) -> Result<Option<Answer>> {
        if self.resetting.is_some() {
            return Err(Failure::new(Class::Conflict, "starting a container", "everything is being removed"));
        }
        if let Some(container) = self.containers.get_mut(&request.id) {
            match &mut container.phase {
                Phase::Running => return Ok(container.record().map(Answer::Started)),
                Phase::Starting(setup) => {
                    setup.callers.push(caller);
                    return Ok(None);
                }
                Phase::Ended(_) => {}
            }
        }
        let id = request.id.clone();
        match self.make(caller, request) {
            Ok(container) => self.welcome(&id, container),
            Err(failure) => {
                // Who attached before sees the end.
                self.detach_all(&id);
                return Err(failure);
            }
        }
        Ok(None)
    }

    fn make(&mut self, caller: Caller, request: StartRequest) -> Result<Container> {
        let StartRequest { id, log, stdin_open, stdin_once, .. } = request;
        let Layers { lower, upper, work } = request.rootfs;
        let extras = Extras {
            root: RootSource::Overlay { lower, upper, work },
            user: Some((request.user, request.groups)),
            init: request.init,
        };
        let plan = ContainerPlan::new(&request.spec, extras)?;
        let files = Files::new(&self.options.state_dir, &id);
        files.prepare().doing(|| format!("making {}", files.directory().display()))?;
        let cgroup = self.cgroups.create(id.as_str(), &plan, &mut self.programs)?;
        let begun = self.begin(&id, &plan, (log, (stdin_open, stdin_once)), files, &cgroup);
        begun.and_then(|begun| self.watch(caller, begun)).inspect_err(|_| {
            if cgroup.remove().is_err() {
                self.leftover.push(cgroup);
            }
        })
    }

    /// Clients that attached before are connected now.
    fn welcome(&mut self, id: &ContainerId, container: Container) {
        let (terminal, deaf) = (container.state.process.terminal, !container.state.stdin_open);
        self.containers.insert(id.clone(), container);
        if terminal {
            self.close_sinks(id, log::Source::Stderr);
        }
        if deaf {
            self.refuse_feeds(id);
        }
        self.begin_feeding(id);
        self.after_writing(id);
    }

    /// Makes the process, and records it so that another supervisor would find it.
    fn begin(
        &mut self,
        id: &ContainerId,
        plan: &ContainerPlan,
        (log, (stdin_open, stdin_once)): (LogConfig, (bool, bool)),
        files: Files,
        cgroup: &Cgroup,
    ) -> Result<Begun> {
        let filter = plan.seccomp.as_ref().map(|s| self.filters.get(s)).transpose()?;
        let pipes = if plan.process.terminal { Ok(Pipes::default()) } else { pipes(&files, stdin_open) }
            .doing(|| format!("opening the output of {}", id.short()))?;
        let writer = Writer::open(files.directory(), id, &log, &self.options.journal)?;
        let Spawned { child, channel } =
            spawn::container(plan, filter.as_deref(), cgroup, pipes.stdio, &files.rootfs())?;
        let joined = plan.join_namespaces.iter().fold(0, |all, (kind, _)| all | kind);
        let state = State {
            id: id.clone(),
            pid: child.pid,
            pid_started: state::process_start(child.pid).unwrap_or(0),
            boot: state::boot_id(),
            started: Timestamp::now(),
            log,
            cgroup: cgroup.clone(),
            namespaces: plan.new_namespaces | joined,
            process: plan.process.clone(),
            seccomp: plan.seccomp.clone(),
            stdin_open,
            stdin_once,
        };
        // Not durable: what it says is of this boot only.
        if let Err(error) = files.save_state(&state) {
            let _ = pidfd::kill_and_reap(child.pidfd.as_fd());
            return Err(Failure::from_io(format!("recording {}", id.short()), &error));
        }
        let container = Container { writer: Some(writer), ..Container::new(files, state) };
        Ok(Begun { container, child, channel, outputs: pipes.ours, input: pipes.input })
    }

    /// Waits for everything a new container does.
    fn watch(&mut self, caller: Caller, begun: Begun) -> Result<Container> {
        use nix::fcntl::{FcntlArg, fcntl};
        let Begun { mut container, child, channel, outputs, input } = begun;
        let id = container.state.id.clone();
        let watch = || -> Result<(u64, u64)> {
            fcntl(&channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .doing(|| "listening to the child".to_owned())?;
            for (fd, source) in outputs {
                self.listen_to(&mut container, fd, source)?;
            }
            let once = container.state.stdin_once;
            container.input = input.map(|fd| self.open_input(&id, fd, false, once)).transpose()?;
            self.watch_memory(&mut container);
            let reports = self.sources.add(channel.as_fd(), Source::Setup(id.clone()))?;
            Ok((reports, self.sources.add(child.pidfd.as_fd(), Source::Process(id.clone()))?))
        };
        match watch() {
            Ok((token, process)) => {
                self.service.store(&format!("pidfd-{id}"), child.pidfd.as_fd());
                container.pidfd = Some((child.pidfd, process));
                container.phase = Phase::Starting(Setup {
                    channel,
                    token,
                    announced: false,
                    failure: None,
                    callers: vec![caller],
                });
                Ok(container)
            }
            Err(failure) => {
                let _ = pidfd::kill_and_reap(child.pidfd.as_fd());
                Err(failure)
            }
        }
    }

    pub(super) fn container_reports(&mut self, id: &ContainerId) {
        let Some(mut container) = self.containers.remove(id) else { return };
        while let Phase::Starting(setup) = &mut container.phase {
            match spawn::report(setup.channel.as_fd()) {
                None => break,
                Some(Report::Executing) => setup.announced = true,
                Some(Report::Failed(failure)) => setup.failure = Some(failure),
                Some(Report::Terminal(master)) => self.take_terminal(&mut container, master),
                Some(Report::Closed) => {
                    self.sources.remove(setup.channel.as_fd(), setup.token);
                    if setup.failure.is_some() || !setup.announced {
                        // Its end, which comes next, is told as the failure.
                        break;
                    }
                    let callers = std::mem::take(&mut setup.callers);
                    container.phase = Phase::Running;
                    if let Some(record) = container.record() {
                        for caller in callers {
                            self.answer(caller, Answer::Started(record.clone()));
                        }
                    }
                }
            }
        }
        self.containers.insert(id.clone(), container);
        self.begin_feeding(id);
    }

    pub(super) fn take_terminal(&mut self, container: &mut Container, master: OwnedFd) {
        let id = container.state.id.clone();
        self.service.store(&format!("pty-{id}"), master.as_fd());
        if let Err(failure) = self.use_terminal(container, master) {
            eprintln!("hull-runtime: reading the terminal of {}: {failure}", id.short());
        }
    }

    /// Reads a terminal, and writes to it if its standard input is open.
    pub(super) fn use_terminal(&mut self, container: &mut Container, master: OwnedFd) -> Result<()> {
        let what = || "preparing a terminal".to_owned();
        set_nonblocking(&master).doing(what)?;
        if container.state.stdin_open {
            let id = container.state.id.clone();
            let twin = master.try_clone().doing(what)?;
            container.input = Some(self.open_input(&id, twin, true, container.state.stdin_once)?);
        }
        self.listen_to(container, master, log::Source::Stdout)
    }
}
