//! Bridge networks, and what the host itself routes.

use crate::driver::{Inner, Network};
use crate::error::{Failure, Outcome};
use crate::links::Link;
use crate::netlink::Batch;
use crate::{links, names, nft, sysctl};
use hull_model::{Ipv4Net, NetworkRecord};
use hull_ports::Error;
use nix::net::if_::if_nametoindex;

/// Where nothing else says.
const ETHERNET_MTU: u32 = 1500;

impl Inner {
    pub(crate) fn create_network(&self, record: &NetworkRecord) -> Outcome<()> {
        check(record)?;
        {
            let state = self.state();
            if state.networks.get(&record.id).is_some_and(|n| n.record == *record) {
                return Ok(());
            }
            if let Some(other) = state.networks.values().find(|n| overlap(&n.record, record)) {
                return Err(taken(record, &format!("network {}", other.record.name)));
            }
        }
        if let Some(route) = self.host_routes()?.into_iter().find(|r| r.overlaps(&record.subnet)) {
            return Err(taken(record, &format!("the host's route to {route}")));
        }
        sysctl::enable_forwarding()?;
        let links = self.links()?;
        self.make_bridge(record, &links)?;
        let elements = nft::host::network_elements(record);
        self.rules().add(&elements).inspect_err(|_| self.drop_bridge(record))
    }

    /// Makes the bridge, or brings one that exists to what it should be.
    pub(crate) fn make_bridge(&self, record: &NetworkRecord, links: &[Link]) -> Outcome<()> {
        let mtu = self.mtu(links)?;
        let existing = links.iter().find(|l| l.name == record.bridge && l.kind == "bridge");
        let mtu = match existing {
            Some(link) => {
                self.complete_bridge(record, link.index)?;
                link.mtu
            }
            None => {
                let mut batch = Batch::default();
                let hardware = hull_model::hardware_address(record.gateway);
                batch.push(
                    links::add_bridge(&record.bridge, hardware, mtu),
                    format!("adding bridge {}", record.bridge),
                );
                self.route().transact(batch)?;
                let index = self.index(&record.bridge)?;
                sysctl::prepare_bridge(&record.bridge)
                    .and_then(|()| self.complete_bridge(record, index))
                    .inspect_err(|_| self.drop_bridge(record))?;
                mtu
            }
        };
        let index = self.index(&record.bridge)?;
        self.state().networks.insert(record.id.clone(), Network { record: record.clone(), index, mtu });
        Ok(())
    }

    fn complete_bridge(&self, record: &NetworkRecord, index: u32) -> Outcome<()> {
        let addresses = self.route().dump(
            links::list_addresses(),
            "listing the host's addresses",
            links::read_address,
        )?;
        let mut batch = Batch::default();
        if !addresses.contains(&(index, record.gateway, record.subnet.prefix)) {
            let message = links::add_address(index, record.gateway, record.subnet);
            batch.push(message, format!("giving bridge {} its address {}", record.bridge, record.gateway));
        }
        batch.push(links::raise(index), format!("bringing bridge {} up", record.bridge));
        self.route().transact(batch)
    }

    fn index(&self, interface: &str) -> Outcome<u32> {
        if_nametoindex(interface).map_err(Failure::errno(format!("finding interface {interface}")))
    }

    /// Undoes `make_bridge`.
    fn drop_bridge(&self, record: &NetworkRecord) {
        self.state().networks.remove(&record.id);
        let _ = self.remove_link(&record.bridge);
    }

    pub(crate) fn remove_network(&self, record: &NetworkRecord) -> Outcome<()> {
        check(record)?;
        {
            let mut state = self.state();
            let user =
                state.attached.values().find(|a| a.spec.endpoints.iter().any(|e| e.network.id == record.id));
            if let Some(user) = user {
                let short = user.spec.container.short();
                let message = format!("network {} is in use by container {short}", record.name);
                return Err(Failure::Refused(
                    Error::conflict(message).remedy("disconnect or remove the container first"),
                ));
            }
            state.networks.remove(&record.id);
        }
        self.rules().remove(&nft::host::network_elements(record))?;
        self.remove_link(&record.bridge)
    }

    /// Removes a link; one that is not there is removed already.
    pub(crate) fn remove_link(&self, name: &str) -> Outcome<()> {
        let mut batch = Batch::default();
        batch.push(links::remove(name), format!("removing interface {name}"));
        match self.route().transact(batch) {
            Err(failure) if failure.number() == Some(nix::errno::Errno::ENODEV as i32) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn links(&self) -> Outcome<Vec<Link>> {
        self.route().dump(links::list_links(), "listing the host's interfaces", links::read_link)
    }

    pub(crate) fn host_routes(&self) -> Outcome<Vec<Ipv4Net>> {
        let links = self.links()?;
        let ours = |index| links.iter().any(|l| l.index == index && names::is_bridge(&l.name));
        let routes =
            self.route().dump(links::list_routes(), "listing the host's routes", links::read_route)?;
        let mut ranges: Vec<Ipv4Net> = routes
            .into_iter()
            .filter(|r| r.destination.prefix > 0 && !ours(r.out))
            .map(|r| r.destination)
            .collect();
        ranges.sort_unstable();
        ranges.dedup();
        Ok(ranges)
    }

    fn mtu(&self, links: &[Link]) -> Outcome<u32> {
        if let Some(mtu) = self.options.mtu {
            return Ok(mtu);
        }
        let routes =
            self.route().dump(links::list_routes(), "listing the host's routes", links::read_route)?;
        let out = routes.iter().find(|r| r.destination.prefix == 0).map(|r| r.out);
        let mtu = links.iter().find(|l| Some(l.index) == out).map(|l| l.mtu);
        Ok(mtu.unwrap_or(ETHERNET_MTU))
    }
}

fn check(record: &NetworkRecord) -> Outcome<()> {
    let refuse = |reason: String| {
        Err(Failure::Refused(Error::permanent(format!("network {}: {reason}", record.name))))
    };
    if !names::is_bridge(&record.bridge) {
        return refuse(format!("{:?} is not a bridge name of ours", record.bridge));
    }
    if !record.subnet.contains(record.gateway) || record.subnet.prefix > 30 {
        return refuse(format!(
            "its gateway {} and a container need room in {}",
            record.gateway, record.subnet
        ));
    }
    Ok(())
}

fn overlap(one: &NetworkRecord, other: &NetworkRecord) -> bool {
    one.bridge == other.bridge || one.subnet.overlaps(&other.subnet)
}

fn taken(record: &NetworkRecord, by: &str) -> Failure {
    let message = format!("the range {} of network {} overlaps {by}", record.subnet, record.name);
    Failure::Refused(Error::conflict(message).remedy("choose another subnet, or leave it to the host"))
}
