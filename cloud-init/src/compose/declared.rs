//! The top-level `networks` and `volumes`.

use super::environment;
use crate::node::{Node, Read};
use crate::report::Report;
use crate::suggest::did_you_mean;
use hull_model::{Ipv4Net, Name, NetworkSpec, VolumeSpec};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The network that services join which name none.
pub(super) const DEFAULT_NETWORK: &str = "default";
const SUBNET: &str = "ipam: {config: [{subnet: 10.89.1.0/24}]}";

/// What services may refer to, by the key it is declared under.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) networks: BTreeMap<String, NetworkSpec>,
    pub(super) volumes: BTreeMap<String, VolumeSpec>,
}

impl Declared {
    /// Reads the networks.
    pub(super) fn read_networks(&mut self, node: &Node<'_>, report: &mut Report) {
        for (key, node) in report.take(node.entries("networks: {backend: {}}")).unwrap_or_default() {
            let Some(spec) = declare(key, network(key, &node), report) else { continue };
            if self.networks.values().any(|other| other.name == spec.name) {
                report.error(same_name(&node, &spec.name));
            }
            self.networks.insert(key.to_owned(), spec);
        }
    }

    /// Reads the volumes.
    pub(super) fn read_volumes(&mut self, node: &Node<'_>, report: &mut Report) {
        for (key, node) in report.take(node.entries("volumes: {data: {}}")).unwrap_or_default() {
            let Some(spec) = declare(key, volume(key, &node), report) else { continue };
            if self.volumes.values().any(|other| other.name == spec.name) {
                report.error(same_name(&node, &spec.name));
            }
            self.volumes.insert(key.to_owned(), spec);
        }
    }

    /// The network that a service means. The default network comes into being when it is first meant.
    pub(super) fn network(&mut self, key: &str, node: &Node<'_>) -> Read<Name> {
        if key == DEFAULT_NETWORK && !self.networks.contains_key(key) {
            let name = Name::new(key).map_err(|e| node.issue(e.to_string(), "choose another name"))?;
            let spec =
                NetworkSpec { name, subnet: None, gateway: None, internal: false, labels: BTreeMap::new() };
            self.networks.insert(key.to_owned(), spec);
        }
        let known = self.networks.keys().map(String::as_str);
        let found = self.networks.get(key).map(|network| network.name.clone());
        found.ok_or_else(|| undeclared("network", "networks", key, did_you_mean(key, known), node))
    }

    /// The volume that a service means.
    pub(super) fn volume(&self, key: &str, node: &Node<'_>) -> Read<Name> {
        let known = self.volumes.keys().map(String::as_str);
        let found = self.volumes.get(key).map(|volume| volume.name.clone());
        found.ok_or_else(|| undeclared("volume", "volumes", key, did_you_mean(key, known), node))
    }
}

fn declare<T>(key: &str, read: Read<T>, report: &mut Report) -> Option<T> {
    if key.starts_with("x-") { None } else { report.take(read) }
}

fn same_name(node: &Node<'_>, name: &Name) -> crate::node::Issue {
    node.issue(format!("another one is called {:?} too", name.as_str()), "give one of them another name")
}

fn undeclared(
    what: &str,
    section: &str,
    key: &str,
    near: Option<&str>,
    node: &Node<'_>,
) -> crate::node::Issue {
    let remedy = match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("declare it at the top level: {section}: {{{key}: {{}}}}"),
    };
    node.issue(format!("the {what} {key:?} is not declared"), remedy)
}

fn name(text: &str, node: &Node<'_>) -> Read<Name> {
    Name::new(text).map_err(|e| node.issue(e.to_string(), "choose another name"))
}

fn local_driver(node: &Node<'_>, only: &str) -> Read<()> {
    match node.text(only)? {
        found if found == only || found == "default" => Ok(()),
        other => {
            Err(node
                .issue(format!("the driver {other:?} is not supported"), format!("use {only}, or remove it")))
        }
    }
}

fn external(node: &Node<'_>) -> Read<()> {
    let outside = if node.value().is_mapping() { true } else { node.boolean()? };
    if outside {
        let reason = "what is made outside of this document is not supported";
        return Err(node.issue(reason, "remove external; it is made if it is missing"));
    }
    Ok(())
}

fn no_options(node: &Node<'_>) -> Read<()> {
    if node.entries("{}")?.is_empty() {
        return Ok(());
    }
    Err(node.issue("options of drivers are not supported yet", "remove it"))
}

fn network(key: &str, node: &Node<'_>) -> Read<NetworkSpec> {
    let name = name(key, node)?;
    let mut spec =
        NetworkSpec { name, subnet: None, gateway: None, internal: false, labels: BTreeMap::new() };
    let entries = if node.is_null() { Vec::new() } else { node.entries("backend: {}")? };
    for (key, value) in entries {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "name" => spec.name = self::name(value.text("name: backend")?, &value)?,
            "driver" => local_driver(&value, "bridge")?,
            "driver_opts" => no_options(&value)?,
            "external" => external(&value)?,
            "internal" => spec.internal = value.boolean()?,
            "labels" => spec.labels = environment::labels(&value)?,
            "ipam" => (spec.subnet, spec.gateway) = ipam(&value)?,
            // Anything may be attached, as in Compose outside of a swarm.
            "attachable" => {
                value.boolean()?;
            }
            "enable_ipv4" if value.boolean()? => {}
            "enable_ipv6" if !value.boolean()? => {}
            "enable_ipv4" | "enable_ipv6" => {
                return Err(value.issue("networks have IPv4 addresses and nothing else yet", "remove it"));
            }
            _ => {
                let known =
                    ["name", "driver", "internal", "labels", "ipam", "external", "driver_opts", "attachable"];
                return Err(node.unknown(key, known));
            }
        }
    }
    if matches!(spec.name.as_str(), "host" | "none" | "bridge") {
        return Err(
            node.issue(format!("the name {:?} is reserved", spec.name.as_str()), "choose another name")
        );
    }
    Ok(spec)
}

fn ipam(node: &Node<'_>) -> Read<(Option<Ipv4Net>, Option<Ipv4Addr>)> {
    let mut chosen = (None, None);
    for (key, value) in node.entries(SUBNET)? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "driver" => local_driver(&value, "default")?,
            "config" => {
                let items = value.items(SUBNET)?;
                if items.len() > 1 {
                    return Err(value.issue("a network has one range of addresses", "keep one entry"));
                }
                if let Some(item) = items.first() {
                    chosen = range(item)?;
                }
            }
            "options" => no_options(&value)?,
            _ => return Err(node.unknown(key, ["driver", "config"])),
        }
    }
    Ok(chosen)
}

fn range(node: &Node<'_>) -> Read<(Option<Ipv4Net>, Option<Ipv4Addr>)> {
    let (mut subnet, mut gateway) = (None, None);
    for (key, value) in node.entries(SUBNET)? {
        match key {
            "subnet" => {
                let text = value.text("10.89.1.0/24")?.to_owned();
                subnet = Some(Ipv4Net::try_from(text).map_err(|e| value.issue(e, "IPv4 only, for now"))?);
            }
            "gateway" => {
                let text = value.text("10.89.1.1")?;
                let parsed = text.parse::<Ipv4Addr>();
                gateway = Some(parsed.map_err(|_| value.expected("an IPv4 address", "10.89.1.1"))?);
            }
            "aux_addresses" | "ip_range" => {
                return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
            }
            _ => return Err(node.unknown(key, ["subnet", "gateway"])),
        }
    }
    match (subnet, gateway) {
        (None, Some(_)) => Err(node.issue("a gateway without its subnet", format!("write it like {SUBNET}"))),
        (Some(net), Some(gateway)) if !net.contains(gateway) => {
            Err(node
                .issue(format!("the gateway {gateway} is not in {net}"), "choose an address of the subnet"))
        }
        (Some(net), _) if net.prefix > 29 => {
            Err(node.issue(format!("{net} has no room for containers"), "use a prefix of at most /29"))
        }
        both => Ok(both),
    }
}

fn volume(key: &str, node: &Node<'_>) -> Read<VolumeSpec> {
    let mut spec = VolumeSpec { name: name(key, node)?, labels: BTreeMap::new() };
    let entries = if node.is_null() { Vec::new() } else { node.entries("data: {}")? };
    for (key, value) in entries {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "name" => spec.name = name(value.text("name: data")?, &value)?,
            "driver" => local_driver(&value, "local")?,
            "driver_opts" => no_options(&value)?,
            "external" => external(&value)?,
            "labels" => spec.labels = environment::labels(&value)?,
            _ => return Err(node.unknown(key, ["name", "driver", "driver_opts", "external", "labels"])),
        }
    }
    Ok(spec)
}
