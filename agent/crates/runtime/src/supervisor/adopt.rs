//! Taking over from an earlier supervisor.

use super::Supervisor;
use super::container::{Container, Phase};
use super::pipes::open_pipe;
use super::sources::Source;
use super::state::{self, Files, State};
use crate::failure::{Doing as _, Result};
use crate::log::{self, Writer};
use crate::protocol::Exit;
use hull_model::{ContainerId, ExitStatus, LogConfig, LogDriver};
use hull_sys::pidfd;
use jiff::Timestamp;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// The status of a container of which we know only that it ended.
pub(super) fn unknown_exit(why: &str) -> ExitStatus {
    let error = format!("it ended while the supervisor was away: {why}");
    ExitStatus { code: 255, error, ..ExitStatus::default() }
}

impl Supervisor {
    pub(super) fn adopt_all(&mut self) {
        let directory = state::containers(&self.options.state_dir);
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let ids: Vec<ContainerId> = entries
            .filter_map(|entry| ContainerId::try_from(entry.file_name().into_string().ok()?).ok())
            .collect();
        self.restore_attachments();
        for id in ids {
            let files = Files::new(&self.options.state_dir, &id);
            // Without a state, its start was not finished and was never told to anybody.
            let Some(state) = files.load_state() else { continue };
            if let Err(failure) = self.adopt(files, state) {
                eprintln!("hull-runtime: adopting container {}: {failure}", id.short());
            }
        }
    }

    fn adopt(&mut self, files: Files, state: State) -> Result<()> {
        let id = state.id.clone();
        let mut container = Container::new(files, state);
        let kept = self.service.take(&format!("pidfd-{id}"));
        if let Some(exit) = container.files.load_exit() {
            container.phase = Phase::Ended(exit);
            self.containers.insert(id, container);
            return Ok(());
        }
        let Some(pidfd) = kept.or_else(|| find(&container.state)) else {
            return self.lost(container);
        };
        let what = || format!("opening the output of {}", id.short());
        container.paused = container.state.cgroup.is_freezing();
        container.writer = self.reopen_log(&container);
        if container.state.process.terminal {
            if let Some(master) = self.service.take(&format!("pty-{id}")) {
                self.use_terminal(&mut container, master)?;
            }
        } else {
            for (name, source) in [("stdout", log::Source::Stdout), ("stderr", log::Source::Stderr)] {
                let pipe = open_pipe(&container.files, name).doing(what)?;
                self.listen_to(&mut container, pipe, source)?;
            }
            // Without it the container has read the end of its input when the last supervisor ended.
            if let Some(fd) = self.service.take(&format!("stdin-{id}")) {
                self.service.forget(&format!("stdin-{id}"));
                container.input = Some(self.open_input(&id, fd, false, container.state.stdin_once)?);
            }
        }
        self.watch_memory(&mut container);
        let token = self.sources.add(pidfd.as_fd(), Source::Process(id.clone()))?;
        container.pidfd = Some((pidfd, token));
        self.containers.insert(id.clone(), container);
        self.begin_feeding(&id);
        self.after_writing(&id);
        Ok(())
    }

    /// The log of a container that runs. One that cannot be reached any more is no reason to give up the container.
    fn reopen_log(&self, container: &Container) -> Option<Writer> {
        let State { id, log, .. } = &container.state;
        let directory = container.files.directory();
        let opened = Writer::open(directory, id, log, &self.options.journal).or_else(|failure| {
            eprintln!("hull-runtime: {}: {failure}; its output is kept here only", id.short());
            Writer::open(directory, id, &LogConfig { driver: LogDriver::Local, ..log.clone() }, Path::new(""))
        });
        opened.map_err(|failure| eprintln!("hull-runtime: {}: {failure}", id.short())).ok()
    }

    /// Records the end of a container that nobody saw.
    fn lost(&mut self, mut container: Container) -> Result<()> {
        let id = container.state.id.clone();
        let same_boot = container.state.boot == state::boot_id();
        let why = if same_boot { "nobody else keeps its status" } else { "the host was restarted" };
        let status = ExitStatus { interrupted: !same_boot, ..unknown_exit(why) };
        let exit = Exit { status, at: Timestamp::now() };
        if same_boot {
            let cgroup = container.state.cgroup.clone();
            let _ = cgroup.kill();
            if cgroup.remove().is_err() {
                self.leftover.push(cgroup);
            }
        }
        let saved = container.files.save_exit(&exit).doing(|| format!("recording the end of {}", id.short()));
        container.phase = Phase::Ended(exit);
        self.detach_all(&id);
        self.containers.insert(id, container);
        self.unsynced.push(saved?);
        Ok(())
    }
}

/// The process that a state speaks of, if it is still there: the same number may be another process by now.
fn find(state: &State) -> Option<OwnedFd> {
    if state.boot != state::boot_id() {
        return None;
    }
    let fd = pidfd::open(state.pid).ok()?;
    // Looked at after it was opened: from here on the descriptor and the number name the same process.
    (state::process_start(state.pid)? == state.pid_started).then_some(fd)
}
