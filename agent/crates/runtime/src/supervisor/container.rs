//! One container from its start to its removal.

use super::sources::Source;
use super::state::{self, Files, State};
use super::{Caller, Supervisor};
use crate::cgroup::Cgroup;
use crate::child::{self, Stdio};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::log::{self, Splitter, Writer};
use crate::plan::{ContainerPlan, Extras, RootSource};
use crate::protocol::{Answer, Exit, Layers, Record, StartRequest};
use crate::spawn::{self, Report, Spawned};
use hull_model::{ContainerId, ExitStatus, LogConfig};
use hull_sys::pidfd;
use hull_sys::process::{Child, Ended};
use jiff::Timestamp;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// Read from one container's output before others get their turn.
const TURN: usize = 64 << 10;

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
    channel: OwnedFd,
    token: u64,
    announced: bool,
    failure: Option<Failure>,
    /// Who asked for it.
    callers: Vec<Caller>,
}

/// One output of a container that we read.
pub(super) struct Output {
    pub(super) fd: OwnedFd,
    token: u64,
    source: log::Source,
    splitter: Splitter,
}

pub(super) struct Container {
    pub(super) files: Files,
    pub(super) state: State,
    pub(super) phase: Phase,
    pub(super) pidfd: Option<(OwnedFd, u64)>,
    pub(super) outputs: Vec<Option<Output>>,
    pub(super) writer: Option<Writer>,
    pub(super) waiters: Vec<Caller>,
}

impl Container {
    /// What a client may know of it; nothing while it is not sure that it runs.
    pub(super) fn record(&self) -> Option<Record> {
        let exit = match &self.phase {
            Phase::Starting(_) => return None,
            Phase::Running => None,
            Phase::Ended(exit) => Some(exit.clone()),
        };
        Some(Record { id: self.state.id.clone(), pid: self.state.pid, started: self.state.started, exit })
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
}

/// Both ends of a container's output, ours and its.
#[derive(Default)]
struct Pipes {
    stdio: Stdio,
    ours: Vec<(OwnedFd, log::Source)>,
}

/// Named pipes: the container's end is open for reading too, so that it never breaks while nobody reads, and a supervisor that
/// comes later finds them by name.
fn pipes(files: &Files) -> io::Result<Pipes> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for (name, source) in [("stdout", log::Source::Stdout), ("stderr", log::Source::Stderr)] {
        let path = files.pipe(name);
        theirs.push(open(&path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?);
        ours.push((open_pipe(files, name)?, source));
    }
    let stdin = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let stderr = theirs.pop();
    Ok(Pipes { stdio: Stdio { stdin: Some(stdin), stdout: theirs.pop(), stderr }, ours })
}

/// Our end of a named pipe.
pub(super) fn open_pipe(files: &Files, name: &str) -> io::Result<OwnedFd> {
    Ok(open(&files.pipe(name), OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?)
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
        let Layers { lower, upper, work } = request.rootfs;
        let extras = Extras {
            root: RootSource::Overlay { lower, upper, work },
            user: Some((request.user, request.groups)),
            init: request.init,
        };
        let plan = ContainerPlan::new(&request.spec, extras)?;
        let files = Files::new(&self.options.state_dir, &request.id);
        files.prepare().doing(|| format!("making {}", files.directory().display()))?;
        let cgroup = self.cgroups.create(request.id.as_str(), &plan)?;
        let begun = self.begin(&request.id, &plan, request.log, files, &cgroup);
        match begun.and_then(|begun| self.watch(caller, begun)) {
            Ok(container) => {
                self.containers.insert(request.id, container);
                Ok(None)
            }
            Err(failure) => {
                if cgroup.remove().is_err() {
                    self.leftover.push(cgroup);
                }
                Err(failure)
            }
        }
    }

    /// Makes the process, and records it so that another supervisor would find it.
    fn begin(
        &mut self,
        id: &ContainerId,
        plan: &ContainerPlan,
        log: LogConfig,
        files: Files,
        cgroup: &Cgroup,
    ) -> Result<Begun> {
        let filter = plan.seccomp.as_ref().map(|s| self.filters.get(s)).transpose()?;
        let pipes = if plan.process.terminal { Ok(Pipes::default()) } else { pipes(&files) }
            .doing(|| format!("opening the output of {}", id.short()))?;
        let writer =
            Writer::open(&files.log(), &log).doing(|| format!("opening the log of {}", id.short()))?;
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
        };
        // Not durable: what it says is of this boot only.
        if let Err(error) = files.save_state(&state) {
            let _ = pidfd::kill_and_reap(child.pidfd.as_fd());
            return Err(Failure::from_io(format!("recording {}", id.short()), &error));
        }
        let container = Container {
            files,
            state,
            phase: Phase::Running,
            pidfd: None,
            outputs: Vec::new(),
            writer: Some(writer),
            waiters: Vec::new(),
        };
        Ok(Begun { container, child, channel, outputs: pipes.ours })
    }

    /// Waits for everything a new container does.
    fn watch(&mut self, caller: Caller, begun: Begun) -> Result<Container> {
        use nix::fcntl::{FcntlArg, fcntl};
        let Begun { mut container, child, channel, outputs } = begun;
        let id = container.state.id.clone();
        let watch = || -> Result<(u64, u64)> {
            fcntl(&channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
                .doing(|| "listening to the child".to_owned())?;
            for (fd, source) in outputs {
                self.listen_to(&mut container, fd, source)?;
            }
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

    /// Reads an output of a container from now on.
    pub(super) fn listen_to(
        &mut self,
        container: &mut Container,
        fd: OwnedFd,
        source: log::Source,
    ) -> Result<()> {
        let index = container.outputs.len();
        let token = self.sources.add(fd.as_fd(), Source::Output(container.state.id.clone(), index))?;
        container.outputs.push(Some(Output { fd, token, source, splitter: Splitter::default() }));
        Ok(())
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
    }

    fn take_terminal(&mut self, container: &mut Container, master: OwnedFd) {
        use nix::fcntl::{FcntlArg, fcntl};
        let _ = fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        self.service.store(&format!("pty-{}", container.state.id), master.as_fd());
        if let Err(failure) = self.listen_to(container, master, log::Source::Stdout) {
            eprintln!("hull-runtime: reading the terminal of {}: {failure}", container.state.id.short());
        }
    }

    pub(super) fn container_speaks(&mut self, id: &ContainerId, index: usize) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if let Turn::Ended(output) = read_turn(container, index) {
            self.sources.remove(output.fd.as_fd(), output.token);
        }
    }

    pub(super) fn container_ended(&mut self, id: &ContainerId) {
        self.container_reports(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some((fd, _)) = &container.pidfd else { return };
        let status = match pidfd::reap(fd.as_fd()) {
            Ok(Some(ended)) => Some(ended),
            Ok(None) => return,
            // Not our child: an earlier supervisor's, which somebody else reaps.
            Err(_) => pidfd::exit_status(fd.as_fd())
                .or_else(|| state::unreaped_status(container.state.pid).map(Ended::from_wait_status)),
        };
        if let Some(ended) = status {
            self.conclude(id, ExitStatus { code: ended.code(), ..ExitStatus::default() });
        } else if state::process_start(container.state.pid) == Some(container.state.pid_started) {
            if let Some((fd, token)) = &container.pidfd {
                self.sources.remove(fd.as_fd(), *token);
            }
            self.undecided.push(id.clone());
        } else {
            self.conclude(
                id,
                super::adopt::unknown_exit("this kernel does not keep the status of a process for others"),
            );
        }
    }

    /// A container's main process is gone: nothing else of it stays, everything it said is kept, and everybody is told.
    pub(super) fn conclude(&mut self, id: &ContainerId, mut status: ExitStatus) {
        let Some(mut container) = self.containers.remove(id) else { return };
        let cgroup = container.state.cgroup.clone();
        if cgroup.populated() {
            let _ = cgroup.kill();
        }
        status.oom_killed = cgroup.oom_killed();
        self.release(&mut container, &cgroup);
        if let Phase::Starting(setup) = container.phase {
            self.sources.remove(setup.channel.as_fd(), setup.token);
            let _ = std::fs::remove_file(container.files.directory().join("state.json"));
            let failure = setup.failure.unwrap_or_else(child::vanished);
            for caller in setup.callers {
                self.answer(caller, Answer::Failed(failure.clone()));
            }
            for waiter in container.waiters {
                self.answer(waiter, Answer::Failed(failure.clone()));
            }
            return;
        }
        let exit = Exit { status, at: Timestamp::now() };
        match container.files.save_exit(&exit) {
            Ok(file) => self.unsynced.push(file),
            Err(error) => eprintln!("hull-runtime: recording the end of {}: {error}", id.short()),
        }
        container.phase = Phase::Ended(exit.clone());
        let waiters = std::mem::take(&mut container.waiters);
        self.containers.insert(id.clone(), container);
        for waiter in waiters {
            self.answer(waiter, Answer::Exited(exit.clone()));
        }
        self.tell_subscribers(id, &exit);
        self.finish_reset();
    }

    /// Reads what is left to be read, and lets go of everything the container held here.
    fn release(&mut self, container: &mut Container, cgroup: &Cgroup) {
        let id = container.state.id.clone();
        for index in 0..container.outputs.len() {
            // What a pipe or terminal can hold, and no more: nothing new comes from the dead.
            for _ in 0..64 {
                match read_turn(container, index) {
                    Turn::Read => {}
                    Turn::Nothing => break,
                    Turn::Ended(output) => self.sources.remove(output.fd.as_fd(), output.token),
                }
            }
            if let Some(mut output) = container.outputs.get_mut(index).and_then(Option::take) {
                self.sources.remove(output.fd.as_fd(), output.token);
                finish_output(&mut output, container.writer.as_mut(), &id);
            }
        }
        container.outputs.clear();
        container.writer = None;
        if let Some((fd, token)) = container.pidfd.take() {
            self.sources.remove(fd.as_fd(), token);
        }
        self.service.forget(&format!("pidfd-{id}"));
        self.service.forget(&format!("pty-{id}"));
        if cgroup.remove().is_err() {
            self.leftover.push(cgroup.clone());
        }
    }

    pub(super) fn wait(&mut self, caller: Caller, id: &ContainerId) -> Result<Option<Answer>> {
        let container = self.containers.get_mut(id).ok_or_else(|| unknown("waiting for", id))?;
        if let Phase::Ended(exit) = &container.phase {
            return Ok(Some(Answer::Exited(exit.clone())));
        }
        container.waiters.push(caller);
        Ok(None)
    }

    pub(super) fn signal(&mut self, id: &ContainerId, signal: i32) -> Result<Option<Answer>> {
        let doing = format!("sending signal {signal} to container {}", id.short());
        let fd = self.containers.get(id).filter(|c| c.is_running()).and_then(|c| c.pidfd.as_ref());
        let (fd, _) = fd.ok_or_else(|| Failure::not_found(doing.clone(), "it is not running"))?;
        match pidfd::send_signal(fd.as_fd(), signal) {
            Ok(()) => Ok(Some(Answer::Done)),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                Err(Failure::not_found(doing, "it is not running"))
            }
            Err(error) => Err(Failure::from_io(doing, &error)),
        }
    }

    pub(super) fn kill(&mut self, id: &ContainerId) -> Result<Option<Answer>> {
        let container = self.containers.get(id).ok_or_else(|| unknown("killing", id))?;
        container.kill();
        Ok(Some(Answer::Done))
    }

    pub(super) fn remove(&mut self, id: &ContainerId) -> Result<Option<Answer>> {
        let doing = format!("removing container {}", id.short());
        if self.containers.get(id).is_some_and(|c| !c.has_ended()) {
            return Err(Failure::new(Class::Conflict, doing, "it is running").remedy("stop it first"));
        }
        let files = Files::new(&self.options.state_dir, id);
        files.remove().doing(|| doing)?;
        self.containers.remove(id);
        self.forget_execs(id);
        Ok(Some(Answer::Done))
    }
}

fn unknown(doing: &str, id: &ContainerId) -> Failure {
    Failure::not_found(format!("{doing} container {}", id.short()), "there is no such container")
}

/// What came of reading an output.
enum Turn {
    /// Something was read; there may be more.
    Read,
    /// There is nothing now.
    Nothing,
    /// It has ended.
    Ended(Output),
}

/// Reads one turn's worth of an output into the log.
fn read_turn(container: &mut Container, index: usize) -> Turn {
    let Some(slot) = container.outputs.get_mut(index) else { return Turn::Nothing };
    let (Some(output), Some(writer)) = (slot.as_mut(), container.writer.as_mut()) else {
        return Turn::Nothing;
    };
    let mut buffer = vec![0; TURN];
    let length = match nix::unistd::read(&output.fd, &mut buffer) {
        Ok(length) => length,
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Turn::Nothing,
        // EIO is a terminal's way to say that nobody has its other end open.
        Err(_) => 0,
    };
    if length == 0 {
        let Some(mut output) = slot.take() else { return Turn::Nothing };
        finish_output(&mut output, Some(writer), &container.state.id);
        return Turn::Ended(output);
    }
    let (at, source) = (Timestamp::now(), output.source);
    let mut result = Ok(());
    output.splitter.push(&buffer[..length], |line| {
        if result.is_ok() {
            result = writer.line(source, at, line);
        }
    });
    if let Err(error) = result.and_then(|()| writer.flush()) {
        eprintln!("hull-runtime: writing the log of {}: {error}", container.state.id.short());
    }
    Turn::Read
}

fn finish_output(output: &mut Output, writer: Option<&mut Writer>, id: &ContainerId) {
    let Some(writer) = writer else { return };
    let mut result = Ok(());
    output.splitter.finish(|line| result = writer.line(output.source, Timestamp::now(), line));
    if let Err(error) = result.and_then(|()| writer.flush()) {
        eprintln!("hull-runtime: writing the log of {}: {error}", id.short());
    }
}
