//! Making and removing networks and volumes.

use crate::engine::Engine;
use crate::ledger::Ledger;
use hull_model::{Ipv4Net, Name, NetworkRecord, NetworkSpec, Owner, VolumeRecord, VolumeSpec};
use hull_ports::{Error, Result};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

impl Engine {
    /// Makes a network on a range that was chosen for it. One of the same name is left as it is.
    pub async fn create_network(
        &self,
        spec: &NetworkSpec,
        subnet: Ipv4Net,
        gateway: Ipv4Addr,
        owner: Owner,
    ) -> Result<()> {
        if self.ledger(Ledger::networks).await?.iter().any(|n| n.name == spec.name) {
            return Ok(());
        }
        let id: String = self.inner.drivers.entropy.bytes().iter().map(|b| format!("{b:02x}")).collect();
        let record = NetworkRecord {
            bridge: format!("hull-{}", &id[..8]),
            id: id.clone(),
            name: spec.name.clone(),
            owner,
            subnet,
            gateway,
            internal: spec.internal,
            labels: spec.labels.clone(),
            created: self.now(),
        };
        self.inner.drivers.networks.create(&record).await?;
        self.ledger(move |l| l.put_network(&record)).await?;
        self.announce("network", "create", &id, BTreeMap::from([("name".to_owned(), spec.name.to_string())]));
        self.changed();
        Ok(())
    }

    /// Removes a network in which no container is. One that is gone is fine.
    pub async fn remove_network(&self, name: &Name) -> Result<()> {
        let networks = self.ledger(Ledger::networks).await?;
        let Some(record) = networks.into_iter().find(|n| n.name == *name) else { return Ok(()) };
        if let Some(user) = self.containers().await?.iter().find(|c| c.spec.networks.contains_key(name)) {
            let message = format!("network {name} has active endpoints (name:\"{}\")", user.spec.name);
            return Err(Error::conflict(message).remedy("remove the containers in it first"));
        }
        self.inner.drivers.networks.remove(&record).await?;
        let gone = name.clone();
        self.ledger(move |l| l.remove_network(&gone)).await?;
        self.announce(
            "network",
            "destroy",
            &record.id,
            BTreeMap::from([("name".to_owned(), name.to_string())]),
        );
        self.changed();
        Ok(())
    }

    /// Makes a volume. One of the same name is left as it is.
    pub async fn create_volume(&self, spec: &VolumeSpec, owner: Owner) -> Result<()> {
        if self.ledger(Ledger::volumes).await?.iter().any(|v| v.name == spec.name) {
            return Ok(());
        }
        let path = self.inner.drivers.volumes.create(spec).await?;
        let (name, labels, created) = (spec.name.clone(), spec.labels.clone(), self.now());
        let record = VolumeRecord { name, owner, path, labels, created, anonymous: false };
        self.ledger(move |l| l.put_volume(&record)).await?;
        self.announce("volume", "create", spec.name.as_str(), BTreeMap::new());
        self.changed();
        Ok(())
    }
}
