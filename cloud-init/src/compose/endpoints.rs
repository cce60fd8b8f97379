//! How a service is attached to networks: `networks`, `network_mode`, `extra_hosts`, `dns`.

use super::declared::{DEFAULT_NETWORK, Declared};
use crate::cloud_config::is_hostname;
use crate::node::{Node, Read};
use hull_model::{EndpointSpec, Name};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Networks by name.
pub(super) type Endpoints = BTreeMap<Name, EndpointSpec>;

/// Reads `networks`, a list or a mapping. The service answers to its own name on each.
pub(super) fn networks(service: &str, node: &Node<'_>, declared: &mut Declared) -> Read<Endpoints> {
    let mut endpoints = Endpoints::new();
    if node.value().is_mapping() {
        for (key, value) in node.entries("networks: {backend: {}}")? {
            let name = declared.network(key, &value)?;
            endpoints.insert(name, endpoint(service, &value)?);
        }
        return Ok(endpoints);
    }
    for item in node.items("networks: [backend]")? {
        let name = declared.network(item.text("backend")?, &item)?;
        endpoints.insert(name, plain(service));
    }
    Ok(endpoints)
}

/// The network of a service that names none.
pub(super) fn default_network(service: &str, node: &Node<'_>, declared: &mut Declared) -> Read<Endpoints> {
    Ok(Endpoints::from([(declared.network(DEFAULT_NETWORK, node)?, plain(service))]))
}

fn plain(service: &str) -> EndpointSpec {
    EndpointSpec { aliases: vec![service.to_owned()], ipv4: None }
}

fn endpoint(service: &str, node: &Node<'_>) -> Read<EndpointSpec> {
    let mut endpoint = plain(service);
    if node.is_null() {
        return Ok(endpoint);
    }
    for (key, value) in node.entries("backend: {aliases: [db]}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "aliases" => {
                for item in value.items("aliases: [db]")? {
                    let alias = item.text("db")?;
                    if !is_alias(alias) {
                        return Err(item.issue(format!("{alias:?} is not a host name"), "write it like db"));
                    }
                    if !endpoint.aliases.iter().any(|other| other == alias) {
                        endpoint.aliases.push(alias.to_owned());
                    }
                }
            }
            "ipv4_address" => {
                let parsed = value.text("10.89.1.10")?.parse();
                endpoint.ipv4 = Some(parsed.map_err(|_| value.expected("an IPv4 address", "10.89.1.10"))?);
            }
            "ipv6_address" | "link_local_ips" | "mac_address" | "driver_opts" | "priority"
            | "gw_priority" | "interface_name" => {
                return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
            }
            _ => return Err(node.unknown(key, ["aliases", "ipv4_address"])),
        }
    }
    Ok(endpoint)
}

/// A name as DNS answers it; underscores are common in service names.
fn is_alias(text: &str) -> bool {
    is_hostname(&text.replace('_', "a"))
}

/// Reads `extra_hosts`: `name:address`, `name=address` or a mapping; `host-gateway` is an address too.
pub(super) fn extra_hosts(node: &Node<'_>) -> Read<BTreeMap<String, String>> {
    let example = "extra_hosts: [\"db:10.0.0.5\"]";
    let mut hosts = BTreeMap::new();
    let mut add = |name: &str, address: &str, at: &Node<'_>| {
        let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
        let good = bare == "host-gateway" || bare.parse::<IpAddr>().is_ok();
        if !is_alias(name) || !good {
            let reason = format!("{name:?} to {address:?} is not a host name with its address");
            return Err(at.issue(reason, format!("write it like {example}")));
        }
        hosts.insert(name.to_owned(), bare.to_owned());
        Ok(())
    };
    if node.value().is_mapping() {
        for (name, value) in node.entries(example)? {
            add(name, value.text("10.0.0.5")?, &value)?;
        }
        return Ok(hosts);
    }
    for item in node.items(example)? {
        let text = item.text(example)?;
        let pair = text.split_once('=').or_else(|| text.split_once(':'));
        let (name, address) = pair.ok_or_else(|| item.expected("a name and its address", example))?;
        add(name, address, &item)?;
    }
    Ok(hosts)
}

/// Reads `dns`: addresses of servers.
pub(super) fn dns(node: &Node<'_>) -> Read<Vec<String>> {
    let server = |item: &Node<'_>| {
        let text = item.text("9.9.9.9")?;
        let good = text.parse::<IpAddr>().is_ok();
        good.then(|| text.to_owned()).ok_or_else(|| item.expected("an address", "9.9.9.9"))
    };
    node.one_or_many("dns: [9.9.9.9]")?.iter().map(server).collect()
}

/// Reads `dns_search`: domains; a single `.` is none.
pub(super) fn dns_search(node: &Node<'_>) -> Read<Vec<String>> {
    let domain = |item: &Node<'_>| {
        let text = item.text("example.org")?;
        let good = text == "." || is_alias(text.trim_end_matches('.'));
        good.then(|| text.to_owned()).ok_or_else(|| item.expected("a domain", "example.org"))
    };
    node.one_or_many("dns_search: [example.org]")?.iter().map(domain).collect()
}

/// Reads `dns_opt`: options of the resolver.
pub(super) fn dns_options(node: &Node<'_>) -> Read<Vec<String>> {
    let option = |item: &Node<'_>| {
        let text = item.text("use-vc")?;
        let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| text.to_owned()).ok_or_else(|| item.expected("an option of resolv.conf(5)", "use-vc"))
    };
    node.items("dns_opt: [use-vc]")?.iter().map(option).collect()
}
