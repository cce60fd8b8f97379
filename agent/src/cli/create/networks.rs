//! Networks that a container begins with.

use crate::cli::failure::Failure;
use crate::cli::flags::{Given, check};
use serde_json::{Map, Value, json};

/// A network as `--network` names it.
#[derive(Debug, Default)]
struct Attachment {
    name: String,
    aliases: Vec<String>,
    options: Vec<String>,
    link_local: Vec<String>,
    ip: String,
    ip6: String,
    mac: String,
    priority: i64,
}

/// Whether `name=…` or `alias=…` begins a long form.
fn is_long(text: &str) -> bool {
    const KEYS: [&str; 8] =
        ["name", "alias", "ip", "ip6", "mac-address", "link-local-ip", "driver-opt", "gw-priority"];
    text.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key.trim()))
}

fn attachment(text: &str) -> Result<Attachment, Failure> {
    if !is_long(text) {
        return Ok(Attachment { name: text.to_owned(), ..Attachment::default() });
    }
    let mut network = Attachment::default();
    for field in super::mounts::fields(text).map_err(Failure::new)? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(Failure::new(format!("invalid field {field}")));
        };
        let value = value.trim();
        match key.trim().to_lowercase().as_str() {
            "name" => network.name = value.to_owned(),
            "alias" => network.aliases.push(value.to_owned()),
            "ip" => network.ip = value.to_owned(),
            "ip6" => network.ip6 = value.to_owned(),
            "mac-address" => network.mac = value.to_owned(),
            "link-local-ip" => network.link_local.push(value.to_owned()),
            "driver-opt" => network.options.push(value.to_owned()),
            "gw-priority" => {
                let bad = |_| Failure::new(format!("invalid gw-priority: {value:?}"));
                network.priority = value.parse().map_err(bad)?;
            }
            key => return Err(Failure::new(format!("invalid field key {key}"))),
        }
    }
    if network.name.is_empty() {
        return Err(Failure::new("network name/id is not specified"));
    }
    Ok(network)
}

fn named(given: &Given) -> Vec<&str> {
    [given.list("network"), given.list("net")].concat()
}

/// The network mode: the first network.
pub(super) fn mode(given: &Given) -> Result<String, Failure> {
    match named(given).first() {
        None | Some(&"") => Ok("default".to_owned()),
        Some(text) => attachment(text).map(|network| network.name),
    }
}

fn is_own(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// What is wanted of each network.
pub(super) fn endpoints(given: &Given) -> Result<Value, Failure> {
    let names = named(given);
    let mut networks = Vec::new();
    for text in if names.is_empty() { vec!["default"] } else { names } {
        networks.push(attachment(text)?);
    }
    add_flags(&mut networks[0], given)?;
    if networks.len() > 1
        && networks.iter().any(|n| !is_own(&n.name) && !matches!(n.name.as_str(), "bridge" | "default"))
    {
        return Err(Failure::new(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ));
    }
    let mut endpoints = Map::new();
    // The host's network, none at all, and another container's have no endpoint of ours.
    if matches!(networks[0].name.as_str(), "host" | "none") || networks[0].name.starts_with("container:") {
        return Ok(Value::Object(endpoints));
    }
    for (index, network) in networks.iter().enumerate() {
        let links = if index == 0 && is_own(&network.name) { given.list("link") } else { vec![] };
        if endpoints.insert(network.name.clone(), endpoint(network, &links)?).is_some() {
            return Err(Failure::new(format!("network {:?} is specified multiple times", network.name)));
        }
    }
    Ok(Value::Object(endpoints))
}

/// `--ip` and the like are about the first network.
fn add_flags(first: &mut Attachment, given: &Given) -> Result<(), Failure> {
    let conflict = |flag: &str, key: &str| {
        Failure::new(format!("conflicting options: cannot specify both --{flag} and per-network {key}"))
    };
    let aliases = [given.list("network-alias"), given.list("net-alias")].concat();
    if !aliases.is_empty() && !first.aliases.is_empty() {
        return Err(conflict("network-alias", "alias"));
    }
    first.aliases.extend(aliases.into_iter().map(str::to_owned));
    let link_local = given.list("link-local-ip");
    if !link_local.is_empty() && !first.link_local.is_empty() {
        return Err(conflict("link-local-ip", "link-local-ip addresses"));
    }
    first.link_local.extend(link_local.into_iter().map(str::to_owned));
    for (flag, key, field) in [
        ("ip", "IPv4 address", &mut first.ip),
        ("ip6", "IPv6 address", &mut first.ip6),
        ("mac-address", "MAC address", &mut first.mac),
    ] {
        if let Some(value) = given.some(flag) {
            if !field.is_empty() {
                return Err(conflict(flag, key));
            }
            *field = value.to_owned();
        }
    }
    Ok(())
}

fn endpoint(network: &Attachment, links: &[&str]) -> Result<Value, Failure> {
    let mac = network.mac.as_str();
    let octets: Vec<&str> = mac.split([':', '-']).collect();
    let hexadecimal = |o: &&str| o.len() == 2 && u8::from_str_radix(o, 16).is_ok();
    let valid = octets.len() == 6 && octets.iter().all(hexadecimal);
    if !valid && !mac.is_empty() {
        return Err(Failure::new(format!("{mac} is not a valid mac address")));
    }
    Ok(endpoint_of(&network.ip, &network.ip6, &network.link_local, &network.aliases, links, |endpoint| {
        endpoint["MacAddress"] = json!(mac);
        endpoint["DriverOpts"] =
            if network.options.is_empty() { Value::Null } else { json!(super::pairs(&network.options)) };
        endpoint["GwPriority"] = json!(network.priority);
    }))
}

/// An endpoint; its addresses only where there are any.
pub(crate) fn endpoint_of(
    ip: &str,
    ip6: &str,
    link_local: &[String],
    aliases: &[String],
    links: &[&str],
    more: impl FnOnce(&mut Value),
) -> Value {
    let addresses = match ip.is_empty() && ip6.is_empty() && link_local.is_empty() {
        true => Value::Null,
        false => json!({ "IPv4Address": ip, "IPv6Address": ip6, "LinkLocalIPs": link_local }),
    };
    let list = |empty: bool, value: Value| if empty { Value::Null } else { value };
    let mut endpoint = json!({
        "IPAMConfig": addresses,
        "Links": list(links.is_empty(), json!(links)),
        "Aliases": list(aliases.is_empty(), json!(aliases)),
    });
    more(&mut endpoint);
    endpoint
}

/// `host:address`, whatever stood between them.
pub(super) fn extra_hosts(texts: &[&str]) -> Value {
    let rows: Vec<String> = texts
        .iter()
        .filter_map(|text| check::split_host(text))
        .map(|(host, address)| format!("{host}:{}", check::bare(address)))
        .collect();
    if rows.is_empty() { Value::Null } else { json!(rows) }
}
