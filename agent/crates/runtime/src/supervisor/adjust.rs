//! Changing what a running container has: limits, the size of its terminal.

use super::Supervisor;
use super::freezer::not_running;
use crate::failure::{Doing as _, Failure, Result};
use crate::protocol::Answer;
use hull_model::ContainerId;
use hull_sys::terminal;
use oci_spec::runtime::LinuxResources;
use std::os::fd::AsFd as _;

impl Supervisor {
    pub(super) fn update(&mut self, id: &ContainerId, resources: &LinuxResources) -> Result<Option<Answer>> {
        let Some(mut container) = self.containers.remove(id) else { return Err(not_running(id)) };
        let updated = if container.is_running() {
            self.cgroups.update(&container.state.cgroup, id.as_str(), resources)
        } else {
            Err(not_running(id))
        };
        let result = updated.and_then(|cgroup| {
            if cgroup == container.state.cgroup {
                return Ok(());
            }
            // It has a group in another hierarchy now, which whoever comes after us must know.
            container.state.cgroup = cgroup;
            self.watch_memory(&mut container);
            container
                .files
                .save_state(&container.state)
                .doing(|| format!("recording container {}", id.short()))
        });
        self.containers.insert(id.clone(), container);
        result.map(|()| Some(Answer::Done))
    }

    pub(super) fn resize(&mut self, id: &ContainerId, rows: u16, columns: u16) -> Result<Option<Answer>> {
        let container = self.containers.get(id).filter(|c| !c.has_ended()).ok_or_else(|| not_running(id))?;
        let doing = format!("resizing the terminal of container {}", id.short());
        let output = container.outputs.iter().flatten().next().filter(|_| container.state.process.terminal);
        let Some(output) = output else {
            return Err(Failure::new(crate::failure::Class::Conflict, doing, "it has none"));
        };
        terminal::set_size(output.fd.as_fd(), rows, columns).doing(|| doing)?;
        Ok(Some(Answer::Done))
    }
}
