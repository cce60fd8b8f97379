//! Which names and addresses a container can see. Pure.

use hull_model::{ContainerId, Ipv4Net};
use hull_ports::SandboxSpec;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Whom a container's resolver asks for what it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Nobody: all its networks are internal.
    Nobody,
    /// The host's resolvers.
    Host,
    /// These.
    Servers(Vec<IpAddr>),
}

/// What one container's resolver may tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// Ids of its networks, in order.
    pub(crate) networks: Vec<String>,
    pub(crate) upstream: Upstream,
}

impl Scope {
    /// The scope of a container. Servers that are not addresses were refused before.
    pub(crate) fn of(spec: &SandboxSpec) -> Self {
        let upstream = if spec.endpoints.iter().all(|e| e.network.internal) {
            Upstream::Nobody
        } else if spec.dns.is_empty() {
            Upstream::Host
        } else {
            Upstream::Servers(spec.dns.iter().filter_map(|text| text.parse().ok()).collect())
        };
        Self { networks: spec.endpoints.iter().map(|e| e.network.id.clone()).collect(), upstream }
    }
}

/// Names of all networks.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    /// By network id.
    zones: HashMap<String, Zone>,
}

#[derive(Debug)]
struct Zone {
    /// The network's name, lower case: `web.frontend` is `web` in network `frontend`.
    name: String,
    subnet: Ipv4Net,
    names: HashMap<String, Vec<(ContainerId, Ipv4Addr)>>,
    addresses: HashMap<Ipv4Addr, (ContainerId, String)>,
}

impl Zones {
    /// Adds a container's names and addresses.
    pub(crate) fn add(&mut self, spec: &SandboxSpec) {
        for endpoint in &spec.endpoints {
            let network = &endpoint.network;
            let zone = self.zones.entry(network.id.clone()).or_insert_with(|| Zone {
                name: network.name.as_str().to_ascii_lowercase(),
                subnet: network.subnet,
                names: HashMap::new(),
                addresses: HashMap::new(),
            });
            for name in &endpoint.names {
                let holders = zone.names.entry(name.to_ascii_lowercase()).or_default();
                let entry = (spec.container.clone(), endpoint.address);
                if !holders.contains(&entry) {
                    holders.push(entry);
                }
            }
            if let Some(name) = endpoint.names.first() {
                let name = format!("{}.{}", name.to_ascii_lowercase(), zone.name);
                zone.addresses.insert(endpoint.address, (spec.container.clone(), name));
            }
        }
    }

    /// Removes a container's.
    pub(crate) fn remove(&mut self, container: &ContainerId) {
        for zone in self.zones.values_mut() {
            for holders in zone.names.values_mut() {
                holders.retain(|(holder, _)| holder != container);
            }
            zone.names.retain(|_, holders| !holders.is_empty());
            zone.addresses.retain(|_, (holder, _)| holder != container);
        }
        self.zones.retain(|_, zone| !zone.names.is_empty() || !zone.addresses.is_empty());
    }

    fn visible<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Zone> {
        scope.networks.iter().filter_map(|id| self.zones.get(id))
    }

    /// Addresses of a lower-case name without the dot at its end; empty if it is not known.
    pub(crate) fn addresses(&self, scope: &Scope, name: &str) -> Vec<Ipv4Addr> {
        let mut found = Vec::new();
        for zone in self.visible(scope) {
            let qualified = name.strip_suffix(zone.name.as_str()).and_then(|rest| rest.strip_suffix('.'));
            for name in [Some(name), qualified].into_iter().flatten() {
                found.extend(zone.names.get(name).into_iter().flatten().map(|(_, address)| *address));
            }
        }
        found.dedup();
        found
    }

    /// The name of an address.
    pub(crate) fn name<'a>(&'a self, scope: &'a Scope, address: Ipv4Addr) -> Option<&'a str> {
        self.visible(scope).find_map(|zone| zone.addresses.get(&address)).map(|(_, name)| name.as_str())
    }

    /// Whether the address belongs to one of the networks, known or not.
    pub(crate) fn covers(&self, scope: &Scope, address: Ipv4Addr) -> bool {
        self.visible(scope).any(|zone| zone.subnet.contains(address))
    }
}
