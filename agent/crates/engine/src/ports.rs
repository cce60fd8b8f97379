//! Published ports and linked containers of one start.

use crate::engine::Engine;
use crate::start::sandbox;
use hull_model::{ContainerRecord, HostPort, ImageConfig, NetworkRecord, PortSpec, Protocol};
use hull_plan::publish::{parse_exposed, publish};
use hull_ports::{Error, ErrorClass, Result, Sandbox};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// How often other ports are tried when a program of the host has those that were chosen.
const ATTEMPTS: usize = 32;

impl Engine {
    /// Makes the container's network with its ports, choosing those that were left open.
    pub(crate) async fn attach_with_ports(
        &self,
        record: &mut ContainerRecord,
        image: &ImageConfig,
        networks: &[NetworkRecord],
    ) -> Result<Sandbox> {
        let exposed: BTreeSet<(u16, Protocol)> =
            image.exposed_ports.iter().chain(&record.spec.exposed).filter_map(|e| parse_exposed(e)).collect();
        let mut taken = self.ports_of_others(record);
        for attempt in 0.. {
            let ports = publish(&record.spec.ports, &exposed, record.spec.publish_all, &taken);
            record.published = ports.ok_or_else(|| Error::conflict("all ports are allocated"))?;
            let attached = self.inner.drivers.networks.attach(&sandbox(record, networks)).await;
            let chosen = chosen(record);
            match attached {
                Err(error)
                    if error.class == ErrorClass::Conflict && !chosen.is_empty() && attempt < ATTEMPTS =>
                {
                    taken.extend(chosen.iter().map(PortSpec::host));
                }
                attached => return attached,
            }
        }
        Err(Error::conflict("all ports are allocated"))
    }

    fn ports_of_others(&self, record: &ContainerRecord) -> Vec<HostPort> {
        let others = self.inner.records.all().into_iter().map(|s| s.record);
        let running = others.filter(|other| other.id != record.id && other.state.is_running());
        running.flat_map(|other| other.published.iter().map(PortSpec::host).collect::<Vec<_>>()).collect()
    }

    /// Linked containers: the names by which they are known, and their addresses.
    pub(crate) fn others(&self, record: &ContainerRecord) -> Result<Vec<(String, Ipv4Addr)>> {
        let mut lines = Vec::new();
        for link in &record.spec.links {
            let other = self.inner.records.all().into_iter().map(|s| s.record);
            let other = other.into_iter().find(|c| c.id.as_str() == link.target);
            let gone = || Error::permanent(format!("could not get container for {}", link.target));
            let other = other.ok_or_else(gone)?;
            if !other.state.is_running() {
                let why = format!(
                    "Cannot link to a non running container: /{} AS /{}/{}",
                    other.spec.name, record.spec.name, link.alias
                );
                return Err(Error::permanent(why));
            }
            let shared = other.addresses.iter().find(|(network, _)| record.addresses.contains_key(*network));
            if let Some((_, address)) = shared {
                let names = format!("{} {} {}", link.alias, other.id.short(), other.spec.name);
                lines.push((names, *address));
            }
        }
        Ok(lines)
    }
}

/// Ports that nobody asked for in particular.
fn chosen(record: &ContainerRecord) -> Vec<PortSpec> {
    record.published.iter().filter(|p| !record.spec.ports.contains(p)).cloned().collect()
}
