//! What is done when nobody waits for anything: making records durable, trying again what failed, giving up what took too long.

use super::Supervisor;
use super::container::Phase;
use std::time::{Duration, Instant};

impl Supervisor {
    /// How long nothing may happen before there is something to do anyway.
    pub(super) fn patience(&self) -> Option<Duration> {
        if !self.unsynced.is_empty() {
            return Some(Duration::ZERO);
        }
        let soon = !self.leftover.is_empty() || !self.undecided.is_empty() || self.is_settling();
        let retry = soon.then_some(Duration::from_millis(20));
        let later = (!self.unsaved.is_empty()).then_some(Duration::from_secs(1));
        let due = [self.lingering_until(), self.freezing_until()].into_iter().flatten().min();
        // A little later, so that it is due when it is looked at.
        let due = due.map(|at| at.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        [retry, later, due, self.service.watchdog()].into_iter().flatten().min()
    }

    /// One small thing at a time, when nobody waits for anything.
    pub(super) fn housekeeping(&mut self) {
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
        let now = Instant::now();
        self.drop_late(now);
        self.thaw_late(now);
        self.look_again(now);
        self.save_again();
        self.finish_reset();
    }

    /// Records ends that could not be recorded when they came.
    fn save_again(&mut self) {
        let containers = &self.containers;
        let unsynced = &mut self.unsynced;
        self.unsaved.retain(|id| match containers.get(id).map(|c| (&c.phase, &c.files)) {
            Some((Phase::Ended(exit), files)) => {
                files.save_exit(exit).map(|file| unsynced.push(file)).is_err()
            }
            _ => false,
        });
    }
}
