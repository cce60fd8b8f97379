//! Files below /etc that name the container and its resolver.

use super::hostname;
use hull_model::{ContainerId, ContainerSpec, Name};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Content of /etc/hosts: loopback, the container's own names, then what was asked for.
pub fn hosts_file(
    id: &ContainerId,
    spec: &ContainerSpec,
    addresses: &BTreeMap<Name, Ipv4Addr>,
    gateway: Option<Ipv4Addr>,
) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for (name, address) in &spec.extra_hosts {
        let address = match (address.as_str(), gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            ("host-gateway", None) => continue,
            (literal, _) => literal.to_owned(),
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    let hostname = hostname(id, spec);
    let names = match &spec.domainname {
        Some(domain) => format!("{hostname}.{domain} {hostname}"),
        None => hostname,
    };
    for address in addresses.values() {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text
}

/// Content of /etc/resolv.conf: the resolver inside the container's own namespace. `None` without a network.
pub fn resolv_conf(spec: &ContainerSpec) -> Option<String> {
    if spec.networks.is_empty() {
        return None;
    }
    let mut text = String::from("nameserver 127.0.0.11\n");
    if !spec.dns_search.is_empty() {
        text.push_str(&format!("search {}\n", spec.dns_search.join(" ")));
    }
    text.push_str("options ndots:0\n");
    Some(text)
}
