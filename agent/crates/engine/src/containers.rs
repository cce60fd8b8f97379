//! Making, stopping and removing containers.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use hull_model::parse_signal;
use hull_model::{
    ContainerId, ContainerRecord, ContainerSpec, ContainerState, Digest, Name, NetworkRecord, Owner,
};
use hull_plan::{ipam, oci};
use hull_ports::{Error, ErrorClass, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// Grace between the stop signal and SIGKILL, as in Docker.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long the kernel may take to end a killed container before we say so.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

impl Engine {
    /// Makes a container, not yet running. One of the same name, spec and owner is left as it is.
    pub async fn create_container(
        &self,
        spec: &ContainerSpec,
        image: Option<&Digest>,
        owner: Owner,
    ) -> Result<ContainerRecord> {
        let image = match image {
            Some(image) => image.clone(),
            None => self.image_of(spec).await?,
        };
        let _alone = self.inner.allocation.lock().await;
        let existing: Vec<ContainerRecord> = self.containers().await?;
        if let Some(other) = existing.iter().find(|c| c.spec.name == spec.name) {
            return if other.spec == *spec && other.owner == owner {
                Ok(other.clone())
            } else {
                Err(in_use(other))
            };
        }
        let networks = self.ledger(Ledger::networks).await?;
        let record = ContainerRecord {
            id: ContainerId::from_random(self.inner.drivers.entropy.bytes()),
            addresses: addresses(spec, &networks, &existing)?,
            spec: spec.clone(),
            image,
            owner,
            created: self.now(),
            state: ContainerState::Created,
            wanted: true,
            restarts: 0,
            published: Vec::new(),
            request: None,
        };
        self.put(record.clone(), Durability::Synced).await?;
        self.publish("container", "create", &record, BTreeMap::new());
        self.changed();
        Ok(record)
    }

    async fn image_of(&self, spec: &ContainerSpec) -> Result<Digest> {
        let images = self.inner.drivers.images.list().await?;
        let image = images.into_iter().find(|i| i.references.contains(&spec.image));
        image
            .map(|i| i.id)
            .ok_or_else(|| Error::not_found(format!("No such image: {}", spec.image.familiar())))
    }

    /// Asks a container to stop, and kills it after its grace period. One that does not run is left as it is.
    pub async fn stop_container(&self, id: &ContainerId) -> Result<()> {
        let Some(record) = self.stored(id).await? else { return Ok(()) };
        self.stop_container_as(&record, None, None).await
    }

    /// The same, with another signal or another grace period than the container's own.
    pub(crate) async fn stop_container_as(
        &self,
        record: &ContainerRecord,
        signal: Option<i32>,
        grace: Option<Duration>,
    ) -> Result<()> {
        let runtime = &self.inner.drivers.runtime;
        let signal = match signal {
            Some(signal) => signal,
            None => self.stop_signal(record).await?,
        };
        match runtime.signal(&record.id, signal).await {
            Ok(()) => {}
            Err(error) if error.class == ErrorClass::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        let own = record.spec.stop_grace_seconds.map_or(DEFAULT_GRACE, Duration::from_secs);
        if tokio::time::timeout(grace.unwrap_or(own), runtime.wait(&record.id)).await.is_err() {
            runtime.kill(&record.id).await?;
        }
        self.wait_for_end(record).await?;
        self.publish("container", "stop", record, BTreeMap::new());
        Ok(())
    }

    /// Kills every process of a container and waits until it has ended.
    pub(crate) async fn kill_and_wait(&self, record: &ContainerRecord) -> Result<()> {
        self.inner.drivers.runtime.kill(&record.id).await?;
        self.wait_for_end(record).await
    }

    pub(crate) async fn stop_signal(&self, record: &ContainerRecord) -> Result<i32> {
        let images = self.inner.drivers.images.list().await?;
        let config = images.into_iter().find(|i| i.id == record.image).map(|i| i.config).unwrap_or_default();
        Ok(parse_signal(&oci::stop_signal(&record.spec, &config)).unwrap_or(SIGTERM))
    }

    pub(crate) async fn wait_for_end(&self, record: &ContainerRecord) -> Result<()> {
        let ended = tokio::time::timeout(KILL_DEADLINE, self.inner.drivers.runtime.wait(&record.id)).await;
        let late = || {
            Error::retryable(format!("container {} did not end although it was killed", record.spec.name))
                .remedy("its processes may be stuck in the kernel, on a device or a network file system that does not answer")
        };
        ended.map_err(|_| late())??;
        Ok(())
    }

    /// Sends a signal to a container's main process.
    pub async fn signal_container(&self, id: &ContainerId, signal: i32) -> Result<()> {
        if signal == SIGKILL {
            return self.inner.drivers.runtime.kill(id).await;
        }
        self.inner.drivers.runtime.signal(id, signal).await
    }

    /// Removes a container that does not run, with its writable layer. One that is gone is fine.
    pub async fn remove_container(&self, id: &ContainerId) -> Result<()> {
        let _turn = self.inner.locks.lock(id.as_str()).await;
        let Some(record) = self.stored(id).await? else { return Ok(()) };
        let drivers = &self.inner.drivers;
        // The ledger's row goes last: a removal that is cut short is found there and done again.
        drivers.runtime.remove(id).await?;
        drivers.networks.detach(id).await?;
        drivers.images.discard(id).await?;
        remove_dir(&self.etc_dir(id))?;
        let gone = id.clone();
        self.ledger(move |l| l.remove_container(&gone)).await?;
        self.publish("container", "destroy", &record, BTreeMap::new());
        self.changed();
        Ok(())
    }
}

fn in_use(other: &ContainerRecord) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{}\" is already in use by container \"{}\".",
        other.spec.name, other.id
    ))
    .remedy("remove or rename that container to reuse the name")
}

fn remove_dir(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::retryable(format!("removing {}", path.display())).because(error))
        }
        _ => Ok(()),
    }
}

/// One address in each of the container's networks.
fn addresses(
    spec: &ContainerSpec,
    networks: &[NetworkRecord],
    existing: &[ContainerRecord],
) -> Result<BTreeMap<Name, Ipv4Addr>> {
    let mut chosen = BTreeMap::new();
    for (name, endpoint) in &spec.networks {
        let missing = || Error::not_found(format!("network {name} not found"));
        let network = networks.iter().find(|n| n.name == *name).ok_or_else(missing)?;
        let in_use: BTreeSet<Ipv4Addr> =
            existing.iter().filter_map(|c| c.addresses.get(name).copied()).collect();
        let none_left = || {
            Error::conflict(format!("no address for {} in network {name} ({})", spec.name, network.subnet))
                .remedy("ask for another address, or give the network a larger subnet")
        };
        let address = ipam::choose_address(&network.subnet, network.gateway, &in_use, endpoint.ipv4);
        chosen.insert(name.clone(), address.ok_or_else(none_left)?);
    }
    Ok(chosen)
}
