//! Making containers.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use hull_model::{
    ContainerId, ContainerRecord, ContainerSpec, ContainerState, Digest, Image, IpcMode, Name, NamespaceMode,
    NetworkMode, NetworkRecord, Owner,
};
use hull_plan::ipam;
use hull_ports::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// What the container should be. Mounts of other containers and volumes of its image are added to it.
    pub spec: ContainerSpec,
    /// The image it is made from.
    pub image: Digest,
    /// What was asked for, in the words of the API; shown again by inspections.
    pub request: serde_json::Value,
    /// Containers whose mounts it gets too, and whether they are only to be read.
    pub volumes_from: Vec<(String, bool)>,
}

/// A container that was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The container.
    pub record: ContainerRecord,
    /// What the person should know.
    pub warnings: Vec<String>,
}

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
        if let Some(other) = self.inner.records.named(&spec.name)
            && other.spec == *spec
            && other.owner == owner
        {
            return Ok(other.as_ref().clone());
        }
        self.insert(spec.clone(), image, owner, None).await
    }

    /// Makes a container for a person, with everything it needs. All or nothing.
    pub async fn create_by_hand(&self, request: CreateRequest) -> Result<Created> {
        let CreateRequest { mut spec, image, request, volumes_from } = request;
        let found = self.inner.drivers.images.image(&image).await?;
        let found: Image = found.ok_or_else(|| no_such_image(&spec))?;
        self.resolve_others(&mut spec).await?;
        if spec.networks.keys().any(|n| n.as_str() == crate::networks::DEFAULT) {
            self.ensure_default_network().await?;
        }
        self.complete_mounts(&mut spec, &found.config, &volumes_from).await?;
        let record = self.insert(spec, image, Owner::Docker, Some(request)).await?;
        if let Err(error) = self.prepare_mounts(&record).await {
            self.remove_container(&record.id).await?;
            self.remove_anonymous_volumes(&record).await?;
            return Err(error);
        }
        Ok(Created { record, warnings: Vec::new() })
    }

    /// Makes the volumes of a new container and fills those that are empty.
    async fn prepare_mounts(&self, record: &ContainerRecord) -> Result<()> {
        if record.spec.volumes().next().is_none() {
            return Ok(());
        }
        self.ensure_volumes(record).await?;
        let rootfs = self.inner.drivers.images.prepare(&record.id, &record.image).await?;
        self.populate(record, &rootfs).await
    }

    /// Other containers are remembered by their ids: names may change hands.
    async fn resolve_others(&self, spec: &mut ContainerSpec) -> Result<()> {
        if let NetworkMode::Container(other) = &mut spec.network {
            *other = self.find(other).await?.id.to_string();
        }
        if let NamespaceMode::Container(other) = &mut spec.pid {
            *other = self.find(other).await?.id.to_string();
        }
        if let IpcMode::Container(other) = &mut spec.ipc {
            let found = self.find(other).await?;
            if matches!(found.spec.ipc, IpcMode::Private | IpcMode::None) {
                let why = format!(
                    "can not join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                    found.id
                );
                return Err(Error::permanent(why));
            }
            *other = found.id.to_string();
        }
        for link in &mut spec.links {
            let found = self.find(&link.target).await;
            link.target = found
                .map_err(|e| {
                    Error::permanent(format!("could not get container for {}", link.target)).because(e)
                })?
                .id
                .to_string();
        }
        Ok(())
    }

    async fn insert(
        &self,
        spec: ContainerSpec,
        image: Digest,
        owner: Owner,
        request: Option<serde_json::Value>,
    ) -> Result<ContainerRecord> {
        let _alone = self.inner.allocation.lock().await;
        if let Some(other) = self.inner.records.named(&spec.name) {
            return Err(in_use(&other));
        }
        let addresses = self.addresses(&spec).await?;
        // A power cut ends a container that goes with its process, and removes it: nothing is promised that would need
        // the disk.
        let durability = if spec.auto_remove { Durability::Relaxed } else { Durability::Synced };
        let record = ContainerRecord {
            id: ContainerId::from_random(self.inner.drivers.entropy.bytes()),
            addresses,
            spec,
            image,
            owner,
            created: self.now(),
            state: ContainerState::Created,
            wanted: owner == Owner::HostSpec,
            restarts: 0,
            published: Vec::new(),
            request,
        };
        self.put(record.clone(), durability).await?;
        self.publish("container", "create", &record, BTreeMap::new());
        self.changed();
        Ok(record)
    }

    async fn image_of(&self, spec: &ContainerSpec) -> Result<Digest> {
        let image = self.inner.drivers.images.lookup(&spec.image).await?;
        image.map(|i| i.id).ok_or_else(|| no_such_image(spec))
    }

    /// One address in each of the container's networks.
    async fn addresses(&self, spec: &ContainerSpec) -> Result<BTreeMap<Name, Ipv4Addr>> {
        if spec.networks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let networks = self.ledger(Ledger::networks).await?;
        let mut chosen = BTreeMap::new();
        for (name, endpoint) in &spec.networks {
            let missing = || Error::not_found(format!("network {name} not found"));
            let network: &NetworkRecord = networks.iter().find(|n| n.name == *name).ok_or_else(missing)?;
            let stored = self.inner.records.all();
            let in_use: BTreeSet<Ipv4Addr> =
                stored.iter().filter_map(|s| s.record.addresses.get(name).copied()).collect();
            let none_left = || {
                Error::conflict(format!(
                    "no address for {} in network {name} ({})",
                    spec.name, network.subnet
                ))
                .remedy("ask for another address, or give the network a larger subnet")
            };
            let address = ipam::choose_address(&network.subnet, network.gateway, &in_use, endpoint.ipv4);
            chosen.insert(name.clone(), address.ok_or_else(none_left)?);
        }
        Ok(chosen)
    }
}

fn no_such_image(spec: &ContainerSpec) -> Error {
    Error::not_found(format!("No such image: {}", spec.image.familiar()))
}

pub(crate) fn in_use(other: &ContainerRecord) -> Error {
    Error::conflict(format!(
        "Conflict. The container name \"/{}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
        other.spec.name, other.id
    ))
}
