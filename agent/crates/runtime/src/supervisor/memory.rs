//! Learning that the kernel killed a process of a container because memory ran out.
//!
//! Version 2 counts it in `memory.events` and tells of every change. Version 1 tells through an eventfd that memory ran out,
//! just before something is killed, and counts it in `memory.oom_control`: there we look again for a while.

use super::Supervisor;
use super::container::Container;
use super::sources::Source;
use crate::cgroup::MemoryEvents;
use crate::protocol::Reply;
use hull_model::ContainerId;
use nix::sys::epoll::EpollFlags;
use std::time::{Duration, Instant};

/// How long it may take from the announcement to the count.
const SETTLING: Duration = Duration::from_secs(2);

/// A container's count of killed processes.
pub(super) struct MemoryWatch {
    /// Where changes are told; `None` if the kernel does not, then the end of the container shows them.
    events: Option<(MemoryEvents, u64)>,
    /// How many were told.
    told: u64,
    /// Look again until then.
    settling: Option<Instant>,
}

impl Supervisor {
    /// Watches a container's memory from now on; what was counted before is of an earlier start.
    pub(super) fn watch_memory(&mut self, container: &mut Container) {
        let id = container.state.id.clone();
        self.forget_memory(container);
        let cgroup = &container.state.cgroup;
        let events = cgroup.memory_events().and_then(|events| {
            let flags = EpollFlags::EPOLLPRI
                | if events.is_counter() { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
            let token = self.sources.add_for(events.fd(), flags, |_| Source::Memory(id)).ok()?;
            Some((events, token))
        });
        container.memory = Some(MemoryWatch { events, told: cgroup.oom_kills(), settling: None });
    }

    pub(super) fn forget_memory(&mut self, container: &mut Container) {
        if let Some(MemoryWatch { events: Some((events, token)), .. }) = container.memory.take() {
            self.sources.remove(events.fd(), token);
        }
    }

    pub(super) fn memory_changed(&mut self, id: &ContainerId) {
        let Some(watch) = self.containers.get_mut(id).and_then(|c| c.memory.as_mut()) else { return };
        if let Some((events, _)) = &mut watch.events {
            events.acknowledge();
            if events.is_counter() {
                watch.settling = Some(Instant::now() + SETTLING);
            }
        }
        self.count_kills(id);
    }

    /// Tells of every process that was killed since this was last asked.
    pub(super) fn count_kills(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let kills = container.state.cgroup.oom_kills();
        let Some(watch) = &mut container.memory else { return };
        let new = kills.saturating_sub(watch.told);
        watch.told = watch.told.max(kills);
        for _ in 0..new {
            self.tell(&Reply::OutOfMemory { id: id.clone() });
        }
    }

    /// Whether somebody's count may still change without our being told.
    pub(super) fn is_settling(&self) -> bool {
        self.containers.values().any(|c| c.memory.as_ref().is_some_and(|watch| watch.settling.is_some()))
    }

    pub(super) fn look_again(&mut self, now: Instant) {
        let settling =
            |container: &Container| container.memory.as_ref().is_some_and(|w| w.settling.is_some());
        let ids: Vec<ContainerId> =
            self.containers.iter().filter(|(_, c)| settling(c)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.count_kills(&id);
            if let Some(watch) = self.containers.get_mut(&id).and_then(|c| c.memory.as_mut())
                && watch.settling.is_some_and(|until| until <= now)
            {
                watch.settling = None;
            }
        }
    }
}
