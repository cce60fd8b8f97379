//! Freezing a container's processes and letting them go on (cgroup v2, `cgroup.freeze`).

use super::sources::Source;
use super::{Caller, Supervisor};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::protocol::Answer;
use hull_model::ContainerId;
use nix::sys::epoll::EpollFlags;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// How long a process may take until it can be frozen: it may be waiting for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody waits until everything is frozen.
pub(super) struct Freezing {
    events: File,
    token: u64,
    callers: Vec<Caller>,
    until: Instant,
}

/// The answer to what only a running container can do.
pub(super) fn not_running(id: &ContainerId) -> Failure {
    Failure::conflict(format!("container {id} is not running"))
}

impl Supervisor {
    pub(super) fn pause(&mut self, caller: Caller, id: &ContainerId) -> Result<Option<Answer>> {
        let doing = || format!("pausing container {}", id.short());
        let container =
            self.containers.get_mut(id).filter(|c| c.is_running()).ok_or_else(|| not_running(id))?;
        if let Some(freezing) = &mut container.freezing {
            freezing.callers.push(caller);
            return Ok(None);
        }
        if container.paused {
            return Err(Failure::conflict(format!("Container {id} is already paused")));
        }
        let cgroup = &container.state.cgroup;
        // Opened before, so that no change falls in between.
        let events = cgroup.open_events().doing(doing)?;
        cgroup.freeze(true).doing(doing)?;
        if cgroup.is_frozen() {
            container.paused = true;
            return Ok(Some(Answer::Done));
        }
        let source = Source::Frozen(id.clone());
        let token = self.sources.add_for(events.as_fd(), EpollFlags::EPOLLPRI, |_| source)?;
        container.freezing =
            Some(Freezing { events, token, callers: vec![caller], until: Instant::now() + PATIENCE });
        Ok(None)
    }

    /// The state of a container's groups changed.
    pub(super) fn freezing_changed(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(freezing) = &mut container.freezing else { return };
        // Reading is what makes the kernel tell of the next change.
        if !container.state.cgroup.is_frozen_by(&mut freezing.events) {
            return;
        }
        container.paused = true;
        self.end_freezing(id, &Answer::Done);
    }

    fn end_freezing(&mut self, id: &ContainerId, answer: &Answer) {
        let Some(freezing) = self.containers.get_mut(id).and_then(|c| c.freezing.take()) else { return };
        self.sources.remove(freezing.events.as_fd(), freezing.token);
        for caller in freezing.callers {
            self.answer(caller, answer.clone());
        }
    }

    /// When the first container should have been frozen.
    pub(super) fn freezing_until(&self) -> Option<Instant> {
        self.containers.values().filter_map(|c| c.freezing.as_ref()).map(|freezing| freezing.until).min()
    }

    /// Gives up what took too long.
    pub(super) fn thaw_late(&mut self, now: Instant) {
        let late = |freezing: &Freezing| freezing.until <= now;
        let ids: Vec<ContainerId> = self
            .containers
            .iter()
            .filter(|(_, c)| c.freezing.as_ref().is_some_and(late))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.thaw(&id);
            let doing = format!("pausing container {}", id.short());
            let failure = Failure::new(Class::Retryable, doing, "a process of it cannot be frozen now");
            self.end_freezing(&id, &Answer::Failed(failure));
        }
    }

    pub(super) fn resume(&mut self, id: &ContainerId) -> Result<Option<Answer>> {
        let container =
            self.containers.get(id).filter(|c| c.is_running() && (c.paused || c.freezing.is_some()));
        if container.is_none() {
            return Err(Failure::conflict(format!("Container {id} is not paused")));
        }
        self.thaw(id);
        self.end_freezing(id, &Answer::Failed(Failure::conflict(format!("Container {id} was resumed"))));
        Ok(Some(Answer::Done))
    }

    /// Lets everything go on, if it was stopped.
    pub(super) fn thaw(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.paused || container.freezing.is_some() {
            container.paused = false;
            if let Err(error) = container.state.cgroup.freeze(false) {
                eprintln!("hull-runtime: resuming {}: {error}", id.short());
            }
        }
    }

    /// A container ended: it is not frozen, and never will be.
    pub(super) fn cancel_freezing(&mut self, id: &ContainerId) {
        self.end_freezing(id, &Answer::Failed(not_running(id)));
    }
}
