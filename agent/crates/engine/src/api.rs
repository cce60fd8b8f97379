//! What a person does by hand, through the APIs: it is remembered, and what the host spec declares stays declared.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use hull_model::{
    ContainerId, ContainerRecord, ContainerState, NetworkRecord, Owner, RestartPolicy, VolumeRecord,
};
use hull_plan::Verdict;
use hull_ports::{Error, ErrorClass, Result};
use std::time::Duration;

const SIGKILL: i32 = 9;

/// How a person wants a container stopped. `None` is what the container's spec says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopRequest {
    /// The signal that asks it to stop.
    pub signal: Option<i32>,
    /// How long it may take before it is killed.
    pub grace: Option<Duration>,
}

impl Engine {
    /// All networks.
    pub async fn networks(&self) -> Result<Vec<NetworkRecord>> {
        self.ledger(Ledger::networks).await
    }

    /// All volumes.
    pub async fn volumes(&self) -> Result<Vec<VolumeRecord>> {
        self.ledger(Ledger::volumes).await
    }

    /// Whether a container that ended is waiting to be started again by its policy.
    pub fn will_restart(&self, record: &ContainerRecord) -> bool {
        record.spec.restart != RestartPolicy::No && hull_plan::restart(record, self.now()) != Verdict::Stay
    }

    /// Stops a container by hand: no restart policy starts it again until a person, a changed spec or a restart of the
    /// host does. Says whether there was anything to stop.
    pub async fn stop_by_hand(&self, id: &ContainerId, request: StopRequest) -> Result<bool> {
        let Some(record) = self.containers().await?.into_iter().find(|c| c.id == *id) else {
            return Err(Error::not_found(format!("No such container: {id}")));
        };
        let was_restarting = self.will_restart(&record);
        self.give_up(id).await?;
        if !record.state.is_running() {
            return Ok(was_restarting);
        }
        if request == StopRequest::default() {
            self.stop_container(id).await?;
        } else {
            self.stop_container_as(&record, request.signal, request.grace).await?;
        }
        Ok(true)
    }

    /// Sends a signal by hand. The one that ends it for good counts as stopping it.
    pub async fn kill_by_hand(&self, id: &ContainerId, signal: i32) -> Result<()> {
        let Some(record) = self.containers().await?.into_iter().find(|c| c.id == *id) else {
            return Err(Error::not_found(format!("No such container: {id}")));
        };
        if !record.state.is_running() {
            return Err(Error::conflict(format!("container {id} is not running")));
        }
        if signal == SIGKILL || signal == self.stop_signal(&record).await? {
            self.give_up(id).await?;
        }
        let sent = self.signal_container(id, signal).await;
        sent.map_err(|error| match error.class {
            ErrorClass::NotFound => Error::conflict(format!("container {id} is not running")),
            _ => error,
        })
    }

    /// Removes a container by hand. One that the host spec declares is refused: it would only come back.
    pub async fn remove_by_hand(&self, id: &ContainerId, force: bool) -> Result<()> {
        let Some(record) = self.containers().await?.into_iter().find(|c| c.id == *id) else {
            return Err(Error::not_found(format!("No such container: {id}")));
        };
        let name = &record.spec.name;
        if record.owner == Owner::HostSpec {
            let why = format!("cannot remove container \"/{name}\": it is declared in the host spec");
            return Err(
                Error::conflict(why).remedy(format!("take {name} out of the host spec, or only stop it"))
            );
        }
        if record.state.is_running() {
            if !force {
                let why = format!("cannot remove container \"/{name}\": container is running");
                return Err(Error::conflict(why).remedy("stop the container before removing or force remove"));
            }
            self.give_up(id).await?;
            self.kill_and_wait(&record).await?;
        }
        self.remove_container(id).await
    }

    /// Writes down that a container should not be running.
    async fn give_up(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let Some(record) = self.stored(id).await? else { return Ok(()) };
        if record.wanted {
            self.put(ContainerRecord { wanted: false, ..record }, Durability::Synced).await?;
            self.changed();
        }
        Ok(())
    }

    /// After the host restarted, what its spec declares runs again although a person had stopped it.
    pub(crate) async fn forget_stops(&self) -> Result<()> {
        for (mut record, boot) in self.ledger(Ledger::containers).await? {
            let restarted = boot != self.inner.settings.boot;
            if !restarted || record.wanted || record.owner != Owner::HostSpec {
                continue;
            }
            if let ContainerState::Exited { exit, .. } = &mut record.state {
                exit.interrupted = true;
            }
            record.wanted = true;
            self.put(record, Durability::Synced).await?;
        }
        Ok(())
    }
}
