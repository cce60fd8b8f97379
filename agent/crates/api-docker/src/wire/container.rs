//! Parts that the list of containers and the inspection share.

use super::View;
use crate::request::{PortBinding, PortMap};
use hull_model::{ContainerState, MountKind, MountSpec, NetworkMode, NetworkRecord, PortSpec};
use serde::Serialize;
use std::collections::BTreeMap;

/// The network of containers that ask for none.
const DEFAULT: &str = "bridge";

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
    let published = published(view).iter().map(|p| Port {
        ip: Some(p.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string())),
        private_port: p.container_port,
        public_port: Some(p.host_port),
        r#type: p.protocol.as_str().to_owned(),
    });
    let mut all: Vec<Port> = published.collect();
    for exposed in exposed(view) {
        let (port, protocol) = exposed.split_once('/').unwrap_or((&exposed, "tcp"));
        let Ok(port) = port.parse() else { continue };
        if !all.iter().any(|p| p.private_port == port && p.r#type == protocol) {
            all.push(Port { ip: None, private_port: port, public_port: None, r#type: protocol.to_owned() });
        }
    }
    all.sort_by(|a, b| {
        let key = |p: &Port| (p.private_port, p.public_port, p.ip.clone(), p.r#type.clone());
        key(a).cmp(&key(b))
    });
    all
}

/// Ports as they are published since the last start; those that were asked for before the first one.
fn published<'a>(view: View<'a>) -> &'a [PortSpec] {
    let record = view.record;
    if record.published.is_empty() { &record.spec.ports } else { &record.published }
}

/// Ports that the container or its image says it listens on.
fn exposed(view: View<'_>) -> Vec<String> {
    let mut all: Vec<String> = view.config().exposed_ports.into_iter().collect();
    all.extend(view.record.spec.exposed.iter().cloned());
    all.sort();
    all.dedup();
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
    pub(crate) mode: String,
    #[serde(rename = "RW")]
    pub(crate) rw: bool,
    pub(crate) propagation: String,
}

/// The mounts of a container. Memory that was asked for in its short form is told elsewhere.
pub(crate) fn mounts(view: View<'_>) -> Vec<MountPoint> {
    let short = |m: &MountSpec| {
        let asked = view.asked("HostConfig").and_then(|h| h["Tmpfs"].as_object());
        let same = |key: &String| std::path::Path::new(key.trim_end_matches('/')) == m.target;
        matches!(m.kind, MountKind::Tmpfs { .. }) && asked.is_some_and(|t| t.keys().any(same))
    };
    view.record.spec.mounts.iter().filter(|m| !short(m)).map(|m| mount_point(view, m)).collect()
}

fn mount_point(view: View<'_>, m: &MountSpec) -> MountPoint {
    let mut point = MountPoint {
        r#type: "tmpfs",
        name: None,
        source: String::new(),
        destination: m.target.display().to_string(),
        driver: None,
        mode: asked_mode(view, m),
        rw: !m.read_only,
        propagation: String::new(),
    };
    match &m.kind {
        MountKind::Volume { name } => {
            let path = view.volumes.iter().find(|v| v.name == *name).map(|v| v.path.display().to_string());
            (point.r#type, point.name, point.driver) = ("volume", Some(name.to_string()), Some("local"));
            point.source = path.unwrap_or_default();
            if point.mode.is_empty() && !m.options.anonymous {
                point.mode.push('z');
            }
        }
        MountKind::Bind { source, .. } => {
            (point.r#type, point.source) = ("bind", source.display().to_string());
            point.propagation = m.options.propagation.clone().unwrap_or_else(|| "rprivate".to_owned());
        }
        MountKind::Tmpfs { .. } => {}
    }
    point
}

/// What stood after the second colon of a short mount.
fn asked_mode(view: View<'_>, m: &MountSpec) -> String {
    let binds = view.asked("HostConfig").and_then(|h| h["Binds"].as_array());
    let mode = |text: &str| {
        let mut parts = text.splitn(3, ':').skip(1);
        let target = parts.next()?.trim_end_matches('/').to_owned();
        (std::path::Path::new(&target) == m.target).then(|| parts.next().unwrap_or_default().to_owned())
    };
    binds.into_iter().flatten().filter_map(|b| b.as_str()).find_map(mode).unwrap_or_default()
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
            dns_names: (name.as_str() != DEFAULT)
                .then(|| names.into_iter().chain(spec.aliases.iter().cloned()).collect()),
            ..EndpointSettings::default()
        };
        if let (true, Some(network), Some(address)) =
            (record.state.is_running(), network, record.addresses.get(name))
        {
            settings.endpoint_id = endpoint_id(network, record.id.as_str());
            settings.gateway = network.gateway.to_string();
            settings.ip_address = address.to_string();
            settings.mac_address = super::hardware_address(*address);
            settings.ip_prefix_len = network.subnet.prefix;
        }
        (name.to_string(), settings)
    };
    let mut all: BTreeMap<_, _> = record.spec.networks.iter().map(endpoint).collect();
    let builtin = match record.spec.network {
        NetworkMode::Host => Some(("host", "1")),
        NetworkMode::Private if all.is_empty() => Some(("none", "0")),
        _ => None,
    };
    if let Some((name, digit)) = builtin {
        let network_id = digit.repeat(64);
        all.insert(name.to_owned(), EndpointSettings { network_id, ..EndpointSettings::default() });
    }
    all
}

/// An endpoint's id: made from its two ends, so that it stays the same for as long as they do.
pub(crate) fn endpoint_id(network: &NetworkRecord, container: &str) -> String {
    let digit = |(a, b): (char, char)| {
        let mixed = a.to_digit(16).unwrap_or(0) ^ b.to_digit(16).unwrap_or(0);
        char::from_digit(mixed, 16).unwrap_or('0')
    };
    network.id.chars().zip(container.chars()).map(digit).collect()
}

/// Published ports by `80/tcp`. `any` is how "all addresses" is written: differently asked for and answered.
pub(crate) fn bindings(ports: &[PortSpec], any: &str) -> PortMap {
    let mut by_port = PortMap::new();
    for port in ports {
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
    ports: PortMap,
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
        let mut ports = if running { bindings(published(view), "0.0.0.0") } else { PortMap::new() };
        if running && !view.record.spec.networks.is_empty() {
            for exposed in exposed(view) {
                ports.entry(exposed).or_default();
            }
        }
        let networks = networks(view);
        // The top-level address is that of the default network.
        let own = networks.get(DEFAULT).cloned().unwrap_or_default();
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
            endpoint_id: own.endpoint_id,
            gateway: own.gateway,
            global_ipv6_address: own.global_ipv6_address,
            global_ipv6_prefix_len: own.global_ipv6_prefix_len,
            ip_address: own.ip_address,
            ip_prefix_len: own.ip_prefix_len,
            ipv6_gateway: own.ipv6_gateway,
            mac_address: own.mac_address,
            networks,
        }
    }
}
