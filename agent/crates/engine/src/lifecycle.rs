//! What a person does to a container. It differs from a plan's step in what is remembered: a person's stop is kept.

use crate::create::in_use;
use crate::engine::Engine;
use crate::ledger::Durability;
use hull_model::{ContainerId, ContainerRecord, ContainerState, Name, Owner, Resources, RestartPolicy};
use hull_plan::Verdict;
use hull_ports::{Error, ErrorClass, Result};
use std::collections::BTreeMap;
use std::time::Duration;

const SIGKILL: i32 = 9;

/// How a person wants a container stopped. `None` is what the container's spec says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// The signal that asks it to stop.
    pub signal: Option<i32>,
    /// How long it may take before it is killed. For ever if `Duration::MAX`.
    pub grace: Option<Duration>,
}

/// What a person changes of a container.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its limits from now on, all of them.
    pub resources: Resources,
    /// Its restart policy from now on; the old one if `None`.
    pub restart: Option<RestartPolicy>,
    /// What inspections show from now on.
    pub request: Option<serde_json::Value>,
}

impl Engine {
    /// Whether a container that ended is waiting to be started again by its policy.
    pub fn will_restart(&self, record: &ContainerRecord) -> bool {
        record.spec.restart != RestartPolicy::No && hull_plan::restart(record, self.now()) != Verdict::Stay
    }

    /// Starts a container by hand. `false` if it runs already.
    pub async fn start_by_hand(&self, id: &ContainerId) -> Result<bool> {
        let record = self.container(id).await?;
        if let ContainerState::Running { paused, .. } = record.state {
            return match paused {
                true => Err(Error::conflict("cannot start a paused container, try unpause instead")),
                false => Ok(false),
            };
        }
        let started = self.start_container(id, false).await;
        if started.is_err() && record.spec.auto_remove {
            self.remove_by_itself(id).await;
        }
        started.map(|()| true)
    }

    /// Stops a container by hand: no restart policy starts it again until a person, a changed spec or a restart of the
    /// host does. Says whether there was anything to stop.
    pub async fn stop_by_hand(&self, id: &ContainerId, request: StopRequest) -> Result<bool> {
        let record = self.container(id).await?;
        let was_restarting = self.will_restart(&record);
        self.give_up(id).await?;
        if !record.state.is_running() {
            return Ok(was_restarting);
        }
        self.stop_container_as(&record, request).await?;
        Ok(true)
    }

    /// Stops a container if it runs, and starts it.
    pub async fn restart_by_hand(&self, id: &ContainerId, request: StopRequest) -> Result<()> {
        let record = self.container(id).await?;
        if record.state.is_running() {
            // It is to be there again in a moment: removing it with its process would be too early.
            self.keep(id, true).await?;
            let stopped = self.stop_container_as(&record, request).await;
            self.keep(id, false).await?;
            stopped?;
        }
        self.start_container(id, false).await?;
        self.publish("container", "restart", &record, BTreeMap::new());
        Ok(())
    }

    /// Whether the end of a container that goes with its process is to leave it, for once.
    async fn keep(&self, id: &ContainerId, keep: bool) -> Result<()> {
        let mut kept = self.inner.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if keep {
            kept.insert(id.clone())
        } else {
            kept.remove(id)
        };
        Ok(())
    }

    /// Sends a signal by hand. The one that ends it for good counts as stopping it.
    pub async fn kill_by_hand(&self, id: &ContainerId, signal: i32) -> Result<()> {
        let record = self.running(id).await.map_err(|error| match error.class {
            ErrorClass::Conflict => {
                Error::conflict(format!("cannot kill container: {id}: {}", error.message))
            }
            _ => error,
        })?;
        if signal == SIGKILL || signal == self.stop_signal(&record).await? {
            self.give_up(id).await?;
        }
        let sent = self.signal_container(id, signal).await;
        sent.map_err(|error| match error.class {
            ErrorClass::NotFound => {
                Error::conflict(format!("cannot kill container: {id}: container {id} is not running"))
            }
            _ => error,
        })?;
        self.announce_kill(&record, signal);
        if signal == SIGKILL {
            self.wait_for_end(&record).await?;
            self.settle_now(id).await?;
        }
        Ok(())
    }

    pub(crate) fn announce_kill(&self, record: &ContainerRecord, signal: i32) {
        let attributes = BTreeMap::from([("signal".to_owned(), signal.to_string())]);
        self.publish("container", "kill", record, attributes);
    }

    /// Freezes a container.
    pub async fn pause_by_hand(&self, id: &ContainerId) -> Result<()> {
        let record = self.container(id).await?;
        match record.state {
            ContainerState::Running { paused: false, .. } => {}
            ContainerState::Running { .. } => {
                return Err(Error::conflict(format!("Container {id} is already paused")));
            }
            _ => return Err(Error::conflict(format!("Container {id} is not running"))),
        }
        self.inner.drivers.runtime.pause(id).await?;
        self.publish("container", "pause", &record, BTreeMap::new());
        Ok(())
    }

    /// Lets a frozen container go on.
    pub async fn unpause_by_hand(&self, id: &ContainerId) -> Result<()> {
        let record = self.container(id).await?;
        if !matches!(record.state, ContainerState::Running { paused: true, .. }) {
            return Err(Error::conflict(format!("Container {id} is not paused")));
        }
        self.inner.drivers.runtime.resume(id).await?;
        self.publish("container", "unpause", &record, BTreeMap::new());
        Ok(())
    }

    /// Gives a container another name. One that the host spec declares is refused.
    pub async fn rename_by_hand(&self, id: &ContainerId, name: &Name) -> Result<()> {
        let _alone = self.inner.allocation.lock().await;
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let mut record = self.existing(id)?;
        if record.owner == Owner::HostSpec {
            let why =
                format!("cannot rename container \"/{}\": it is declared in the host spec", record.spec.name);
            return Err(Error::conflict(why).remedy("rename it there"));
        }
        if record.spec.name == *name {
            return Err(Error::permanent("Renaming a container with the same name as its current name"));
        }
        if let Some(other) = self.inner.records.named(name) {
            return Err(in_use(&other));
        }
        let old = std::mem::replace(&mut record.spec.name, name.clone());
        self.put(record.clone(), Durability::Synced).await?;
        let attributes = BTreeMap::from([("oldName".to_owned(), format!("/{old}"))]);
        self.publish("container", "rename", &record, attributes);
        self.changed();
        Ok(())
    }

    /// Changes a container's limits and restart policy, at once if it runs. Returns what the person should know.
    pub async fn update_by_hand(&self, id: &ContainerId, update: Update) -> Result<Vec<String>> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let mut record = self.container(id).await?;
        if record.owner == Owner::HostSpec {
            let why =
                format!("cannot update container \"/{}\": it is declared in the host spec", record.spec.name);
            return Err(Error::conflict(why).remedy("change it there"));
        }
        if record.spec.auto_remove && update.restart.is_some_and(|r| r != RestartPolicy::No) {
            return Err(Error::permanent(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        record.spec.resources = update.resources;
        record.spec.restart = update.restart.unwrap_or(record.spec.restart);
        record.request = update.request.or(record.request);
        if record.state.is_running() {
            let numbers = crate::devices::device_numbers(&record.spec.resources)?;
            let limits = hull_plan::oci::linux_resources(&record.spec.resources, &numbers)
                .map_err(|e| Error::permanent(format!("updating container {id}")).because(e))?;
            self.inner.drivers.runtime.update(id, &limits).await?;
        }
        self.put(record.clone(), Durability::Synced).await?;
        self.publish("container", "update", &record, BTreeMap::new());
        self.changed();
        Ok(Vec::new())
    }

    /// Writes down that a container should not be running.
    pub(crate) async fn give_up(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let Some(record) = self.stored(id) else { return Ok(()) };
        if record.wanted {
            // For one that goes with its process there is nothing to remember.
            let durability = if record.spec.auto_remove { Durability::Relaxed } else { Durability::Synced };
            self.put(ContainerRecord { wanted: false, ..record }, durability).await?;
            self.changed();
        }
        Ok(())
    }
}
