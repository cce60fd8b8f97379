//! Removing containers.

use crate::engine::Engine;
use crate::ledger::Ledger;
use hull_model::{ContainerId, ContainerRecord, ContainerState, Owner};
use hull_ports::{Error, ErrorClass, Result};
use std::collections::BTreeMap;

/// How a person wants a container removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveRequest {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
}

impl Engine {
    /// Removes a container that does not run, with its writable layer. One that is gone is fine.
    pub async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let Some(record) = self.stored(id) else { return Ok(()) };
        let drivers = &self.inner.drivers;
        // The ledger's row goes last: a removal that is cut short is found there and done again.
        drivers.runtime.remove(id).await?;
        drivers.networks.detach(id).await?;
        drivers.images.discard(id).await?;
        remove_dir(&self.etc_dir(id))?;
        let gone = id.clone();
        let durability = crate::ledger::Durability::of_removal(&record);
        self.ledger(move |l| l.remove_container(&gone, durability)).await?;
        self.inner.records.remove(id);
        self.inner.checks.forget(id);
        self.publish("container", "destroy", &record, BTreeMap::new());
        self.changed();
        Ok(())
    }

    /// Removes a container by hand. One that the host spec declares is refused: it would only come back.
    pub async fn remove_by_hand(&self, id: &ContainerId, request: RemoveRequest) -> Result<()> {
        let record = self.container(id).await?;
        let name = &record.spec.name;
        if record.owner == Owner::HostSpec {
            let why = format!("cannot remove container \"/{name}\": it is declared in the host spec");
            return Err(
                Error::conflict(why).remedy(format!("take {name} out of the host spec, or only stop it"))
            );
        }
        if let ContainerState::Running { paused, .. } = record.state {
            if !request.force {
                return Err(runs(&record, paused));
            }
            self.give_up(id).await?;
            self.kill_and_wait(&record).await?;
        } else if self.will_restart(&record) {
            self.give_up(id).await?;
        }
        self.remove_container(id).await?;
        if request.volumes || record.spec.auto_remove {
            self.remove_anonymous_volumes(&record).await?;
        }
        Ok(())
    }

    /// Removes a container that goes with its process. A failure is kept for the next start of the agent.
    pub(crate) async fn remove_by_itself(&self, id: &ContainerId) {
        let Some(record) = self.stored(id) else { return };
        let removed = match self.remove_container(id).await {
            Ok(()) => self.remove_anonymous_volumes(&record).await,
            failed => failed,
        };
        if let Err(error) = removed {
            tracing::warn!(container = %id, error = error.chain(), "removing a container that ended");
        }
    }

    /// Removes every stopped container of people that `pick` takes. Returns their ids and the bytes freed.
    pub async fn prune_containers(
        &self,
        pick: impl Fn(&ContainerRecord) -> bool,
    ) -> Result<(Vec<ContainerId>, u64)> {
        let (mut removed, mut bytes) = (Vec::new(), 0);
        for record in self.containers().await? {
            let stopped = !record.state.is_running() && !self.will_restart(&record);
            if !stopped || record.owner != Owner::Docker || !pick(&record) {
                continue;
            }
            let size = self.sizes(&record.id).await.map_or(0, |(own, _)| own);
            match self.remove_by_hand(&record.id, RemoveRequest::default()).await {
                Ok(()) => {
                    removed.push(record.id);
                    bytes += size;
                }
                // Somebody started or removed it meanwhile.
                Err(error) if matches!(error.class, ErrorClass::Conflict | ErrorClass::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), bytes.to_string())]);
        self.announce("container", "prune", "", reclaimed);
        Ok((removed, bytes))
    }

    /// Forgets every network. For a reset, when the kernel's side is gone.
    pub(crate) async fn forget_networks(&self) -> Result<()> {
        for network in self.ledger(Ledger::networks).await? {
            self.ledger(move |l| l.remove_network(&network.name)).await?;
        }
        Ok(())
    }
}

/// Docker's words for a container that is not to be removed because it runs.
fn runs(record: &ContainerRecord, paused: bool) -> Error {
    let (state, remedy) = match paused {
        true => ("paused", "unpause the container before removing or force remove"),
        false => ("running", "stop the container before removing or force remove"),
    };
    let name = &record.spec.name;
    let why = format!("cannot remove container \"/{name}\": container is {state}");
    Error::conflict(why).remedy(remedy)
}

pub(crate) fn remove_dir(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::retryable(format!("removing {}", path.display())).because(error))
        }
        _ => Ok(()),
    }
}
