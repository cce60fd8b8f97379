//! Removing everything.

use super::{Caller, LOCK, SOCKET, Supervisor, state};
use crate::failure::{Doing as _, Result};
use crate::protocol::Answer;
use hull_model::ContainerId;

impl Supervisor {
    pub(super) fn reset(&mut self, caller: Caller) -> Result<Option<Answer>> {
        self.resetting = Some(caller);
        for container in self.containers.values() {
            container.kill();
        }
        let ids: Vec<ContainerId> = self.containers.keys().chain(self.attached.keys()).cloned().collect();
        for id in ids {
            self.thaw(&id);
            if !self.containers.contains_key(&id) {
                self.detach_all(&id);
            }
        }
        self.finish_reset();
        Ok(None)
    }

    /// Ends a reset when the last container has ended.
    pub(super) fn finish_reset(&mut self) {
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
