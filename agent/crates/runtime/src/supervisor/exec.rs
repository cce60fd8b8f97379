//! Further processes in a running container.

use super::sources::Source;
use super::{Caller, Supervisor};
use crate::cgroup::Cgroup;
use crate::child::{self, Stdio};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::plan::{ProcessPlan, UserChoice, check_texts};
use crate::protocol::{Answer, ExecRequest};
use crate::spawn::{self, Inside, Report, Spawned};
use hull_model::{ContainerId, ExitStatus};
use hull_sys::{capability, pidfd};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use std::os::fd::{AsFd as _, OwnedFd};

/// Processes whose end nobody asked for are kept up to this number for each container.
const MAX_PER_CONTAINER: usize = 1024;

/// What is there while a process is set up.
struct Setup {
    channel: OwnedFd,
    token: u64,
    announced: bool,
    failure: Option<Failure>,
    caller: Caller,
    request_stdin: bool,
    /// For the client: the terminal, or the ends of the pipes.
    ours: Vec<OwnedFd>,
    terminal: bool,
}

pub(super) struct Exec {
    container: ContainerId,
    pid: i32,
    pidfd: (OwnedFd, u64),
    /// Its own group inside the container's; `None` if it could not be made.
    cgroup: Option<Cgroup>,
    setup: Option<Setup>,
    status: Option<ExitStatus>,
    waiters: Vec<Caller>,
}

/// What a further process gets: what the container's own has, and what was asked for on top. Pure.
fn plan(container: &ProcessPlan, request: &ExecRequest) -> Result<ProcessPlan> {
    check_texts(&request.args, &request.env)?;
    let mut plan = container.clone();
    plan.args.clone_from(&request.args);
    plan.env.extend(request.env.iter().cloned());
    if let Some(cwd) = &request.cwd {
        if !cwd.is_absolute() {
            return Err(Failure::permanent(
                "reading the working directory",
                format!("{} is not absolute", cwd.display()),
            ));
        }
        plan.cwd.clone_from(cwd);
    }
    if !request.user.is_empty() {
        plan.user = UserChoice::Words { user: request.user.clone(), groups: Vec::new() };
    }
    if request.privileged {
        let all = (1 << capability::NAMES.len()) - 1;
        (plan.bounding, plan.permitted, plan.effective) = (all, all, all);
        plan.apparmor = None;
    }
    plan.terminal = request.tty;
    plan.size = request.size;
    Ok(plan)
}

/// Our ends and the process's ends of its streams.
fn streams(request: &ExecRequest) -> nix::Result<(Stdio, Vec<OwnedFd>)> {
    let mut ours = Vec::new();
    let stdin = if request.stdin {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        ours.push(write);
        read
    } else {
        open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?
    };
    let (out_read, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (err_read, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    ours.extend([out_read, err_read]);
    Ok((Stdio { stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr) }, ours))
}

impl Supervisor {
    pub(super) fn exec(
        &mut self,
        caller: Caller,
        id: &ContainerId,
        request: &ExecRequest,
    ) -> Result<Option<Answer>> {
        let doing = || format!("running a process in container {}", id.short());
        let container = self
            .containers
            .get(id)
            .ok_or_else(|| Failure::not_found(doing(), "there is no such container"))?;
        let (Some((container_fd, _)), true) = (&container.pidfd, container.is_running()) else {
            return Err(Failure::new(Class::Conflict, doing(), "it is not running").remedy("start it first"));
        };
        if self.execs.values().filter(|exec| exec.container == *id).count() >= MAX_PER_CONTAINER {
            return Err(Failure::new(
                Class::Conflict,
                doing(),
                "too many processes that were started so were not waited for",
            ));
        }
        if container.paused || container.freezing.is_some() {
            let sentence = format!("Container {id} is paused, unpause the container before exec");
            return Err(Failure::conflict(sentence));
        }
        let plan = plan(&container.state.process, request)?;
        let filter = container.state.seccomp.as_ref().map(|s| self.filters.get(s)).transpose()?;
        let (stdio, ours) =
            if request.tty { (Stdio::default(), Vec::new()) } else { streams(request).doing(doing)? };
        let name = format!("{}-{}", std::process::id(), self.next_exec);
        let own = container.state.cgroup.inner(&format!("exec-{name}")).ok();
        let inside = Inside {
            pidfd: container_fd.as_fd(),
            namespaces: container.state.namespaces,
            cgroup: own.as_ref().unwrap_or(&container.state.cgroup),
            filter: filter.as_deref(),
        };
        let spawned = spawn::further(&inside, &plan, stdio).inspect_err(|_| {
            own.iter().for_each(Cgroup::remove_inner);
        })?;
        self.next_exec += 1;
        self.watch_exec(caller, id, (name, own), spawned, (request, ours))?;
        Ok(None)
    }

    /// Waits for everything a new process does.
    fn watch_exec(
        &mut self,
        caller: Caller,
        id: &ContainerId,
        (name, cgroup): (String, Option<Cgroup>),
        spawned: Spawned,
        (request, ours): (&ExecRequest, Vec<OwnedFd>),
    ) -> Result<()> {
        fcntl(&spawned.channel, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .doing(|| "listening to the process".to_owned())?;
        let token = self.sources.add(spawned.channel.as_fd(), Source::ExecSetup(name.clone()))?;
        let process = self.sources.add(spawned.child.pidfd.as_fd(), Source::ExecProcess(name.clone()))?;
        let setup = Setup {
            channel: spawned.channel,
            token,
            announced: false,
            failure: None,
            caller,
            request_stdin: request.stdin && !request.tty,
            ours,
            terminal: request.tty,
        };
        let exec = Exec {
            container: id.clone(),
            pid: spawned.child.pid,
            pidfd: (spawned.child.pidfd, process),
            cgroup,
            setup: Some(setup),
            status: None,
            waiters: Vec::new(),
        };
        self.execs.insert(name, exec);
        Ok(())
    }

    pub(super) fn exec_reports(&mut self, name: &str) {
        let Some(exec) = self.execs.get_mut(name) else { return };
        while let Some(setup) = &mut exec.setup {
            match spawn::report(setup.channel.as_fd()) {
                None => return,
                Some(Report::Executing) => setup.announced = true,
                Some(Report::Failed(failure)) => setup.failure = Some(failure),
                Some(Report::Terminal(master)) => setup.ours = vec![master],
                Some(Report::Closed) => {
                    self.sources.remove(setup.channel.as_fd(), setup.token);
                    if setup.failure.is_some() || !setup.announced {
                        // Its end, which comes next, is told as the failure.
                        return;
                    }
                    let Some(setup) = exec.setup.take() else { return };
                    let answer = Answer::Executing {
                        exec: name.to_owned(),
                        pid: exec.pid,
                        terminal: setup.terminal,
                        stdin: setup.request_stdin,
                    };
                    self.answer_with(setup.caller, answer, setup.ours);
                    return;
                }
            }
        }
    }

    pub(super) fn exec_ended(&mut self, name: &str) {
        self.exec_reports(name);
        let Some(exec) = self.execs.get_mut(name) else { return };
        let ended = match pidfd::reap(exec.pidfd.0.as_fd()) {
            Ok(Some(ended)) => ended,
            _ => return,
        };
        self.sources.remove(exec.pidfd.0.as_fd(), exec.pidfd.1);
        // What it left running stays in it, and ends with the container.
        exec.cgroup.iter().for_each(Cgroup::remove_inner);
        if let Some(setup) = exec.setup.take() {
            self.sources.remove(setup.channel.as_fd(), setup.token);
            self.execs.remove(name);
            let failure = setup.failure.unwrap_or_else(child::vanished);
            self.answer(setup.caller, Answer::Failed(failure));
            return;
        }
        let status = ExitStatus { code: ended.code(), ..ExitStatus::default() };
        if exec.waiters.is_empty() {
            exec.status = Some(status);
            return;
        }
        let waiters = std::mem::take(&mut exec.waiters);
        self.execs.remove(name);
        for waiter in waiters {
            self.answer(waiter, Answer::ExecExited(status.clone()));
        }
    }

    pub(super) fn exec_wait(&mut self, caller: Caller, name: &str) -> Result<Option<Answer>> {
        let exec = self.execs.get_mut(name).ok_or_else(|| {
            Failure::not_found(
                format!("waiting for process {name}"),
                "there is no such process, or its end was told already",
            )
        })?;
        match exec.status.take() {
            Some(status) => {
                self.execs.remove(name);
                Ok(Some(Answer::ExecExited(status)))
            }
            None => {
                exec.waiters.push(caller);
                Ok(None)
            }
        }
    }

    /// Kills a further process with everything that it started.
    pub(super) fn exec_kill(&mut self, name: &str) -> Result<Option<Answer>> {
        let doing = format!("killing process {name}");
        let exec = self.execs.get(name).filter(|exec| exec.status.is_none());
        let exec = exec.ok_or_else(|| Failure::not_found(doing.clone(), "it is not running"))?;
        let all = exec.cgroup.as_ref().is_some_and(|cgroup| cgroup.kill().is_ok());
        match pidfd::send_signal(exec.pidfd.0.as_fd(), libc::SIGKILL) {
            Err(error) if !all && error.raw_os_error() != Some(libc::ESRCH) => {
                Err(Failure::from_io(doing, &error))
            }
            _ => Ok(Some(Answer::Done)),
        }
    }

    /// Forgets ended processes of a container that is removed.
    pub(super) fn forget_execs(&mut self, id: &ContainerId) {
        self.execs.retain(|_, exec| exec.container != *id || exec.status.is_none());
    }
}
