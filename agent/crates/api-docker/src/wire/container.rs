//! Parts that the list of containers and the inspection share.

use super::View;
use hull_model::{ContainerState, MountKind, NetworkRecord};
use serde::Serialize;
use std::collections::BTreeMap;

/// A port of a container, published or only exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Port {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<String>,
    pub(crate) private_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_port: Option<u16>,
    pub(crate) r#type: String,
}

/// The ports of a running container; none otherwise.
pub(crate) fn ports(view: View<'_>) -> Vec<Port> {
    if !view.record.state.is_running() {
        return Vec::new();
    }
    let published = view.record.spec.ports.iter().map(|p| Port {
        ip: Some(p.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string())),
        private_port: p.container_port,
        public_port: Some(p.host_port),
        r#type: p.protocol.as_str().to_owned(),
    });
    let mut all: Vec<Port> = published.collect();
    for exposed in &view.config().exposed_ports {
        let (port, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
        let Ok(port) = port.parse() else { continue };
        if !all.iter().any(|p| p.private_port == port && p.r#type == protocol) {
            all.push(Port { ip: None, private_port: port, public_port: None, r#type: protocol.to_owned() });
        }
    }
    all
}

/// A mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct MountPoint {
    pub(crate) r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) source: String,
    pub(crate) destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<&'static str>,
    pub(crate) mode: &'static str,
    #[serde(rename = "RW")]
    pub(crate) rw: bool,
    pub(crate) propagation: &'static str,
}

/// The mounts a container was told to have.
pub(crate) fn mounts(view: View<'_>) -> Vec<MountPoint> {
    let mount = |m: &hull_model::MountSpec| {
        let (kind, name, source, driver, mode, propagation) = match &m.kind {
            MountKind::Volume { name } => {
                let path =
                    view.volumes.iter().find(|v| v.name == *name).map(|v| v.path.display().to_string());
                ("volume", Some(name.to_string()), path.unwrap_or_default(), Some("local"), "z", "")
            }
            MountKind::Bind { source, .. } => {
                ("bind", None, source.display().to_string(), None, "", "rprivate")
            }
            MountKind::Tmpfs { .. } => ("tmpfs", None, String::new(), None, "", ""),
        };
        MountPoint {
            r#type: kind,
            name,
            source,
            destination: m.target.display().to_string(),
            driver,
            mode,
            rw: !m.read_only,
            propagation,
        }
    };
    view.record.spec.mounts.iter().map(mount).collect()
}

/// A container's place in a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    pub(crate) ipam_config: Option<BTreeMap<&'static str, String>>,
    pub(crate) links: Option<Vec<String>>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) mac_address: String,
    pub(crate) driver_opts: Option<BTreeMap<String, String>>,
    pub(crate) gw_priority: i32,
    #[serde(rename = "NetworkID")]
    pub(crate) network_id: String,
    #[serde(rename = "EndpointID")]
    pub(crate) endpoint_id: String,
    pub(crate) gateway: String,
    #[serde(rename = "IPAddress")]
    pub(crate) ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub(crate) ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    pub(crate) ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub(crate) global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub(crate) global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    pub(crate) dns_names: Option<Vec<String>>,
}

/// The networks a container is in, by name. Addresses only while it runs, as in Docker.
pub(crate) fn networks(view: View<'_>) -> BTreeMap<String, EndpointSettings> {
    let record = view.record;
    let endpoint = |(name, spec): (&hull_model::Name, &hull_model::EndpointSpec)| {
        let network = view.networks.iter().find(|n| n.name == *name);
        let names = [record.spec.name.to_string(), record.id.short().to_owned()];
        let mut settings = EndpointSettings {
            ipam_config: spec.ipv4.map(|ip| BTreeMap::from([("IPv4Address", ip.to_string())])),
            aliases: (!spec.aliases.is_empty()).then(|| spec.aliases.clone()),
            network_id: network.map(|n| n.id.clone()).unwrap_or_default(),
            dns_names: Some(names.into_iter().chain(spec.aliases.iter().cloned()).collect()),
            ..EndpointSettings::default()
        };
        if let (true, Some(network), Some(address)) =
            (record.state.is_running(), network, record.addresses.get(name))
        {
            settings.endpoint_id = endpoint_id(network, record.id.as_str());
            settings.gateway = network.gateway.to_string();
            settings.ip_address = address.to_string();
            settings.ip_prefix_len = network.subnet.prefix;
        }
        (name.to_string(), settings)
    };
    record.spec.networks.iter().map(endpoint).collect()
}

/// An endpoint's id: made from its two ends, so that it stays the same for as long as they do.
pub(crate) fn endpoint_id(network: &NetworkRecord, container: &str) -> String {
    let digit = |(a, b): (char, char)| {
        let mixed = a.to_digit(16).unwrap_or(0) ^ b.to_digit(16).unwrap_or(0);
        char::from_digit(mixed, 16).unwrap_or('0')
    };
    network.id.chars().zip(container.chars()).map(digit).collect()
}

/// Where a published port answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// Published ports by `80/tcp`. `any` is how "all addresses" is written: differently asked for and answered.
pub(crate) fn bindings(view: View<'_>, any: &str) -> BTreeMap<String, Option<Vec<PortBinding>>> {
    let mut by_port: BTreeMap<String, Option<Vec<PortBinding>>> = BTreeMap::new();
    for port in &view.record.spec.ports {
        let binding = PortBinding {
            host_ip: port.host_ip.map_or_else(|| any.to_owned(), |ip| ip.to_string()),
            host_port: port.host_port.to_string(),
        };
        let key = format!("{}/{}", port.container_port, port.protocol.as_str());
        by_port.entry(key).or_default().get_or_insert_default().push(binding);
    }
    by_port
}

/// A container's network as an inspection tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    bridge: String,
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    sandbox_key: String,
    ports: BTreeMap<String, Option<Vec<PortBinding>>>,
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: String,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_len: u8,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: Option<()>,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Option<()>,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    mac_address: String,
    networks: BTreeMap<String, EndpointSettings>,
}

impl NetworkSettings {
    pub(crate) fn new(view: View<'_>) -> Self {
        let running = matches!(view.record.state, ContainerState::Running { .. });
        let mut ports = if running { bindings(view, "0.0.0.0") } else { BTreeMap::new() };
        if running {
            for exposed in view.config().exposed_ports {
                ports.entry(exposed).or_default();
            }
        }
        Self {
            bridge: String::new(),
            sandbox_id: if running { view.record.id.to_string() } else { String::new() },
            sandbox_key: String::new(),
            ports,
            hairpin_mode: false,
            link_local_ipv6_address: String::new(),
            link_local_ipv6_prefix_len: 0,
            secondary_ip_addresses: None,
            secondary_ipv6_addresses: None,
            // The top-level address is that of the network called bridge, which nothing here is.
            endpoint_id: String::new(),
            gateway: String::new(),
            global_ipv6_address: String::new(),
            global_ipv6_prefix_len: 0,
            ip_address: String::new(),
            ip_prefix_len: 0,
            ipv6_gateway: String::new(),
            mac_address: String::new(),
            networks: networks(view),
        }
    }
}
