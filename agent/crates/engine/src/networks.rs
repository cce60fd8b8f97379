//! Making and removing networks and volumes.

use crate::engine::Engine;
use crate::ledger::Ledger;
use hull_model::{Ipv4Net, Name, NetworkRecord, NetworkSpec, Owner};
use hull_plan::ipam;
use hull_ports::{Error, Result};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The network of containers that ask for none in particular.
pub(crate) const DEFAULT: &str = "bridge";

impl Engine {
    /// All networks.
    pub async fn networks(&self) -> Result<Vec<NetworkRecord>> {
        self.ledger(Ledger::networks).await
    }

    /// Makes the network of containers that ask for none in particular, if it is not there.
    pub async fn ensure_default_network(&self) -> Result<()> {
        let networks = self.networks().await?;
        if networks.iter().any(|n| n.name.as_str() == DEFAULT) {
            return Ok(());
        }
        let name =
            Name::new(DEFAULT).map_err(|e| Error::permanent("naming the default network").because(e))?;
        let spec =
            NetworkSpec { name, subnet: None, gateway: None, internal: false, labels: BTreeMap::new() };
        match self.create_network_by_hand(&spec).await {
            // Another caller was faster.
            Err(error) if error.class == hull_ports::ErrorClass::Conflict => Ok(()),
            made => made.map(drop),
        }
    }

    /// Makes a network for a person, on a free range if none was asked for.
    pub async fn create_network_by_hand(&self, spec: &NetworkSpec) -> Result<NetworkRecord> {
        let _alone = self.inner.allocation.lock().await;
        let networks = self.networks().await?;
        if networks.iter().any(|n| n.name == spec.name) {
            return Err(Error::conflict(format!("network with name {} already exists", spec.name)));
        }
        let routes = self.inner.drivers.networks.host_routes().await?;
        let in_use: Vec<Ipv4Net> = routes.into_iter().chain(networks.iter().map(|n| n.subnet)).collect();
        if let Some(subnet) = spec.subnet
            && in_use.iter().any(|other| other.overlaps(&subnet))
        {
            return Err(Error::permanent(
                "invalid pool request: Pool overlaps with other one on this address space",
            ));
        }
        let none_left = || {
            Error::retryable("all predefined address pools have been fully subnetted")
                .remedy("remove unused networks, or give this one a subnet")
        };
        let subnet = spec.subnet.or_else(|| ipam::choose_subnet(&in_use)).ok_or_else(none_left)?;
        let no_room = || Error::permanent(format!("subnet {subnet} has no room for a gateway"));
        let gateway = spec.gateway.or_else(|| ipam::gateway(&subnet)).ok_or_else(no_room)?;
        self.create_network(spec, subnet, gateway, Owner::Docker).await?;
        let made = self.networks().await?.into_iter().find(|n| n.name == spec.name);
        made.ok_or_else(|| Error::not_found(format!("network {} not found", spec.name)))
    }

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
}
