//! How a container ends, and what is asked about that.

use super::container::{Container, Phase};
use super::state::{self, Files};
use super::{Caller, Supervisor};
use crate::cgroup::Cgroup;
use crate::child;
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::protocol::{Answer, Exit, Reply};
use hull_model::{ContainerId, ExitStatus};
use hull_sys::pidfd;
use hull_sys::process::Ended;
use jiff::Timestamp;
use std::os::fd::AsFd as _;

impl Supervisor {
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
        self.cancel_freezing(id);
        self.count_kills(id);
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
            Err(error) => {
                eprintln!("hull-runtime: recording the end of {}: {error}", id.short());
                self.unsaved.push(id.clone());
            }
        }
        container.phase = Phase::Ended(exit.clone());
        let waiters = std::mem::take(&mut container.waiters);
        self.containers.insert(id.clone(), container);
        for waiter in waiters {
            self.answer(waiter, Answer::Exited(exit.clone()));
        }
        self.tell(&Reply::Exited { id: id.clone(), exit });
        self.finish_reset();
    }

    /// Reads what is left to be read, and lets go of everything the container held here.
    fn release(&mut self, container: &mut Container, cgroup: &Cgroup) {
        let id = container.state.id.clone();
        let input = container.input.take();
        self.drop_input(input);
        self.hear_out(container);
        self.forget_memory(container);
        container.paused = false;
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
            Ok(()) => {
                // A frozen process would never learn of it.
                if signal != 0 {
                    self.thaw(id);
                }
                Ok(Some(Answer::Done))
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                Err(Failure::not_found(doing, "it is not running"))
            }
            Err(error) => Err(Failure::from_io(doing, &error)),
        }
    }

    pub(super) fn kill(&mut self, id: &ContainerId) -> Result<Option<Answer>> {
        let container = self.containers.get(id).ok_or_else(|| unknown("killing", id))?;
        container.kill();
        self.thaw(id);
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
        self.detach_all(id);
        Ok(Some(Answer::Done))
    }
}

fn unknown(doing: &str, id: &ContainerId) -> Failure {
    Failure::not_found(format!("{doing} container {}", id.short()), "there is no such container")
}
