//! Whose network a container uses, and its place in those of its own.

use crate::error::ApiError;
use crate::request::{CreateRequest, EndpointSettings};
use crate::version::Spoken;
use hull_model::{EndpointSpec, Link, Name, NetworkMode, NetworkRecord};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The network of containers that ask for none.
pub(crate) const DEFAULT: &str = "bridge";

/// Networks, and names of other containers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Networking {
    pub(crate) mode: NetworkMode,
    pub(crate) networks: BTreeMap<Name, EndpointSpec>,
    pub(crate) links: Vec<Link>,
    pub(crate) warnings: Vec<String>,
}

/// The mode's usual name.
pub(crate) fn mode_name(mode: &str) -> &str {
    if matches!(mode, "" | "default") { DEFAULT } else { mode }
}

/// Refuses what excludes each other, then reads it. Networks are found by name, id or the beginning of one.
pub(crate) fn networking(
    request: &CreateRequest,
    known: &[NetworkRecord],
    spoken: Spoken,
) -> Result<Networking, ApiError> {
    let mode = mode_name(&request.host_config.network_mode);
    conflicts(request, mode)?;
    let empty = BTreeMap::new();
    let endpoints = request.networking_config.endpoints_config.as_ref().unwrap_or(&empty);
    if spoken < Spoken(1, 44) && endpoints.len() > 1 {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return Err(ApiError::bad_request(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        )));
    }
    let mut read = Networking::default();
    if let Some(links) = &request.host_config.links {
        read.links = links.iter().map(|l| link(l)).collect::<Result<_, _>>()?;
    }
    if let Some(address) = request.config.as_ref().map(|c| &c.mac_address).filter(|m| !m.is_empty()) {
        let invalid = |why: &str| ApiError::bad_request(format!("invalid config for network {mode}: {why}"));
        return Err(mac_address(address, &invalid));
    }
    connect(&mut read, mode, endpoints, known)?;
    if request.config.as_ref().is_some_and(|c| c.network_disabled) {
        (read.mode, read.networks) = (NetworkMode::Private, BTreeMap::new());
    }
    let publishes = request.host_config.port_bindings.as_ref().is_some_and(|p| !p.is_empty());
    if mode == "host" && publishes {
        read.warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    Ok(read)
}

type Endpoints = BTreeMap<String, Option<EndpointSettings>>;

/// The network that the mode names, and those that are named besides.
fn connect(
    read: &mut Networking,
    mode: &str,
    endpoints: &Endpoints,
    known: &[NetworkRecord],
) -> Result<(), ApiError> {
    match mode {
        "host" => read.mode = NetworkMode::Host,
        "none" => {}
        _ if mode.starts_with("container:") => {
            read.mode = NetworkMode::Container(mode["container:".len()..].to_owned());
        }
        own => {
            let same = endpoints.iter().find(|(name, _)| mode_name(name) == own).map(|(_, e)| e.clone());
            place(read, own, same.unwrap_or_else(|| Some(EndpointSettings::default())), known)?;
        }
    }
    if let (true, Some(Some(endpoint))) = (matches!(mode, "host" | "none"), endpoints.get(mode)) {
        let invalid = |why: &str| ApiError::bad_request(format!("invalid config for network {mode}: {why}"));
        endpoint_spec(endpoint, true, &invalid)?;
    }
    for (name, endpoint) in endpoints.iter().filter(|(name, _)| mode_name(name) != mode) {
        if mode == "none" || read.mode != NetworkMode::Private {
            return Err(ApiError::bad_request(format!(
                "container cannot be connected to network {name} and use network mode {mode}"
            )));
        }
        place(read, name, endpoint.clone(), known)?;
    }
    Ok(())
}

fn conflicts(request: &CreateRequest, mode: &str) -> Result<(), ApiError> {
    let host = &request.host_config;
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
    let config = request.config.as_ref();
    let refuse = |holds: bool, words: &str| if holds { Err(ApiError::bad_request(words)) } else { Ok(()) };
    if mode == "host" {
        return refuse(
            some(&host.links),
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    let Some(other) = mode.strip_prefix("container:") else { return Ok(()) };
    refuse(other.is_empty(), "invalid network mode: invalid container format container:<name|id>")?;
    refuse(
        config.is_some_and(|c| !c.hostname.is_empty()),
        "conflicting options: hostname and the network mode",
    )?;
    refuse(
        some(&host.links),
        "conflicting options: container type network can't be used with links. This would result in undefined behavior",
    )?;
    refuse(some(&host.dns), "conflicting options: dns and the network mode")?;
    refuse(some(&host.extra_hosts), "conflicting options: custom host-to-IP mapping and the network mode")?;
    refuse(
        host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|p| !p.is_empty()),
        "conflicting options: port publishing and the container type network mode",
    )?;
    refuse(
        config.and_then(|c| c.exposed_ports.as_ref()).is_some_and(|p| !p.is_empty()),
        "conflicting options: port exposing and the container type network mode",
    )
}

/// One network by what a client calls it.
pub(crate) fn find<'a>(known: &'a [NetworkRecord], text: &str) -> Option<&'a NetworkRecord> {
    let exact = known.iter().find(|n| n.name.as_str() == text || n.id == text);
    let mut by_id = known.iter().filter(|n| text.len() >= 2 && n.id.starts_with(text));
    exact.or_else(|| by_id.next().filter(|_| by_id.next().is_none()))
}

fn place(
    read: &mut Networking,
    text: &str,
    endpoint: Option<EndpointSettings>,
    known: &[NetworkRecord],
) -> Result<(), ApiError> {
    let text = mode_name(text);
    let name = match find(known, text) {
        Some(network) => network.name.clone(),
        // The default one is made when it is first used.
        None if text == DEFAULT => Name::new(text).map_err(|e| ApiError::bad_request(e.to_string()))?,
        // Not "not found": clients take that for a missing image, and pull it.
        None => return Err(ApiError::bad_request(format!("network {text} not found"))),
    };
    let invalid = |why: &str| ApiError::bad_request(format!("invalid config for network {text}: {why}"));
    let endpoint = endpoint.ok_or_else(|| invalid("EndpointsConfig is nil"))?;
    let spec = endpoint_spec(&endpoint, text == DEFAULT, &invalid)?;
    for text in endpoint.links.iter().flatten() {
        read.links.push(link(text)?);
    }
    match read.networks.insert(name, spec) {
        None => Ok(()),
        Some(_) => Err(invalid("it is named twice")),
    }
}

fn endpoint_spec(
    endpoint: &EndpointSettings,
    default: bool,
    invalid: &dyn Fn(&str) -> ApiError,
) -> Result<EndpointSpec, ApiError> {
    if !endpoint.mac_address.is_empty() {
        return Err(mac_address(&endpoint.mac_address, invalid));
    }
    if endpoint.driver_opts.as_ref().is_some_and(|o| !o.is_empty()) {
        return Err(ApiError::unsupported("an option of a network's driver"));
    }
    if endpoint.gw_priority != 0 {
        return Err(ApiError::unsupported("a priority of a network's gateway"));
    }
    let mut problems = Vec::new();
    let aliases = endpoint.aliases.clone().unwrap_or_default();
    if default && !aliases.is_empty() {
        let words = "network-scoped alias is supported only for containers in user defined networks";
        problems.push(words.to_owned());
    }
    let ipv4 = address(endpoint, default, &mut problems)?;
    match problems.as_slice() {
        [] => Ok(EndpointSpec { aliases, ipv4 }),
        [one] => Err(invalid(&format!("invalid endpoint settings:\n{one}"))),
        many => Err(invalid(&format!("invalid endpoint settings:\n* {}", many.join("\n* ")))),
    }
}

/// The address that was asked for, and what is wrong with it.
fn address(
    endpoint: &EndpointSettings,
    default: bool,
    problems: &mut Vec<String>,
) -> Result<Option<Ipv4Addr>, ApiError> {
    let Some(ipam) = &endpoint.ipam_config else { return Ok(None) };
    let asked = !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty();
    if default && asked {
        problems.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    let mut ipv4 = None;
    if !ipam.ipv4_address.is_empty() {
        match ipam.ipv4_address.parse::<Ipv4Addr>() {
            Ok(address) => ipv4 = Some(address),
            Err(_) => problems.push(format!("invalid IPv4 address: {}", ipam.ipv4_address)),
        }
    }
    if !ipam.ipv6_address.is_empty() {
        match ipam.ipv6_address.parse::<std::net::Ipv6Addr>() {
            Ok(_) => return Err(ApiError::unsupported("choosing an IPv6 address")),
            Err(_) => problems.push(format!("invalid IPv6 address: {}", ipam.ipv6_address)),
        }
    }
    if default && asked {
        let words = "user specified IP address is supported only when connecting to networks with user configured subnets";
        problems.push(words.to_owned());
    }
    match ipam.link_local_ips.as_ref().is_some_and(|l| !l.is_empty()) {
        true => Err(ApiError::unsupported("choosing link-local addresses")),
        false => Ok(ipv4),
    }
}

/// Why a MAC address cannot be had: it is none, or it is not ours to choose.
fn mac_address(text: &str, invalid: &dyn Fn(&str) -> ApiError) -> ApiError {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    match text.split([':', '-']).all(hex) {
        true => ApiError::unsupported("choosing a MAC address"),
        false => invalid(&format!("invalid MAC address {text}")),
    }
}

/// `name` or `name:alias`.
fn link(text: &str) -> Result<Link, ApiError> {
    if text.is_empty() {
        return Err(ApiError::internal("empty string specified for links"));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let plain = |name: &str| name.trim_start_matches('/').to_owned();
    match parts[..] {
        [name] => Ok(Link { target: plain(name), alias: plain(name) }),
        // As inspections show it: the alias below the container that has it.
        [name, alias] => {
            let alias = alias.rsplit('/').next().unwrap_or(alias).to_owned();
            Ok(Link { target: plain(name), alias })
        }
        _ => Err(ApiError::internal(format!("bad format for links: {text}"))),
    }
}
