//! Version 1: a list of things, each with its type.

use super::interface::{Interface, Kind, Route, Setup};
use super::values;
use crate::node::{Node, Read};
use crate::report::Report;
use std::net::IpAddr;

/// How bonds share the work (systemd.netdev(5)).
pub(super) const BOND_MODES: [&str; 7] =
    ["active-backup", "balance-rr", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];
/// What bonds choose the member by.
pub(super) const HASH_POLICIES: [&str; 5] = ["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4"];

const EXAMPLE: &str = "config: [{type: physical, name: eth0, subnets: [{type: dhcp}]}]";
const ITEM_KEYS: [&str; 12] = [
    "type",
    "name",
    "mac_address",
    "mtu",
    "subnets",
    "accept-ra",
    "bond_interfaces",
    "bridge_interfaces",
    "params",
    "vlan_link",
    "vlan_id",
    "keep_configuration",
];

/// What concerns no interface in particular.
#[derive(Default)]
struct Shared {
    nameservers: Vec<(Option<String>, Vec<IpAddr>, Vec<String>)>,
    routes: Vec<(String, Route)>,
}

/// Reads all interfaces. One that cannot be understood is left out.
pub(super) fn read(
    entries: &[(&str, Node<'_>)],
    root: &Node<'_>,
    report: &mut Report,
) -> Read<Vec<Interface>> {
    let mut interfaces = Vec::new();
    let mut shared = Shared::default();
    for (key, node) in entries {
        match *key {
            "version" => {}
            "config" => {
                for item in node.items(EXAMPLE)? {
                    let read = entry(&item, &mut shared, report);
                    interfaces.extend(report.take(read).flatten());
                }
            }
            key => report.warning(root.unknown(key, ["version", "config"])),
        }
    }
    share(shared, &mut interfaces, report);
    Ok(interfaces)
}

fn entry(node: &Node<'_>, shared: &mut Shared, report: &mut Report) -> Read<Option<Interface>> {
    let entries = node.entries("{type: physical, name: eth0}")?;
    let kind = entries
        .iter()
        .find(|(key, _)| *key == "type")
        .map(|(_, value)| value.text("physical"))
        .transpose()?;
    match kind {
        Some("nameserver") => nameserver(&entries, node).map(|found| shared.nameservers.push(found))?,
        Some("route") => shared.routes.push((node.path().to_owned(), route(node)?)),
        Some(kind @ ("physical" | "bond" | "bridge" | "vlan")) => {
            return interface(kind, &entries, node, report).map(Some);
        }
        Some("loopback") => {}
        Some(other) => {
            let remedy = "physical, bond, bridge, vlan, nameserver and route are supported";
            return Err(node.issue(format!("the type {other:?} is not supported"), remedy));
        }
        None => return Err(node.issue("type is missing", "add type: physical")),
    }
    Ok(None)
}

fn interface(
    kind: &str,
    entries: &[(&str, Node<'_>)],
    node: &Node<'_>,
    report: &mut Report,
) -> Read<Interface> {
    let mut interface = Interface { path: node.path().to_owned(), ..Interface::default() };
    let (mut members, mut options, mut tag, mut link, mut mac) = (Vec::new(), Vec::new(), None, None, None);
    for (key, value) in entries {
        match *key {
            _ if value.is_null() => {}
            "type" | "keep_configuration" => {}
            "name" => interface.id = values::interface_name(value)?,
            "mac_address" => mac = Some(values::mac(value)?),
            "mtu" => interface.setup.mtu = Some(values::mtu(value)?),
            "accept-ra" => interface.setup.accept_ra = Some(value.boolean()?),
            "subnets" => {
                for item in value.items("subnets: [{type: dhcp}]")? {
                    subnet(&item, &mut interface.setup)?;
                }
            }
            "bond_interfaces" | "bridge_interfaces" => members = values::ids(value)?,
            "params" => options = params(value, report)?,
            "vlan_id" => tag = Some(value.integer(0..=4094)? as u16),
            "vlan_link" => link = Some(values::id(value.text("eth0")?, value)?),
            key => report.warning(node.unknown(key, ITEM_KEYS)),
        }
    }
    if interface.id.is_empty() {
        return Err(node.issue("name is missing", "add name: eth0"));
    }
    interface.kind = match kind {
        "bond" => Kind::Bond { members, options },
        "bridge" => Kind::Bridge { members, options },
        "vlan" => match (tag, link) {
            (Some(tag), Some(link)) => Kind::Vlan { tag, link },
            _ => {
                return Err(
                    node.issue("vlan_id and vlan_link are needed", "add vlan_id: 5 and vlan_link: eth0")
                );
            }
        },
        // The one with this hardware address gets this name; without an address, the one that has the name.
        _ => {
            let set_name = mac.as_ref().map(|_| interface.id.clone());
            Kind::Physical { name: None, mac: mac.take(), driver: None, set_name }
        }
    };
    interface.setup.mac = mac;
    Ok(interface)
}

fn subnet(node: &Node<'_>, setup: &mut Setup) -> Read<()> {
    let (mut kind, mut address, mut mask) = ("static", None, None);
    for (key, value) in node.entries("{type: static, address: 192.0.2.10/24}")? {
        match key {
            _ if value.is_null() => {}
            "type" => kind = value.text("dhcp")?,
            "address" => address = Some(value),
            "netmask" => mask = Some(values::netmask(&value)?),
            "gateway" => setup.routes.push(Route::default_via(values::ip(&value)?)),
            "dns_nameservers" => {
                let servers = value.one_or_many("[192.0.2.53]")?;
                setup.nameservers.extend(servers.iter().map(values::ip).collect::<Read<Vec<_>>>()?);
            }
            "dns_search" => {
                let domains = value.one_or_many("[example.org]")?;
                setup.search.extend(domains.iter().map(values::domain).collect::<Read<Vec<_>>>()?);
            }
            "routes" => {
                for item in value.items("[{destination: 198.51.100.0/24, gateway: 192.0.2.1}]")? {
                    setup.routes.push(route(&item)?);
                }
            }
            "control" => match value.text("auto")? {
                "auto" | "hotplug" => {}
                _ => setup.optional = true,
            },
            "broadcast" | "ipv4" | "ipv6" | "metric" => {}
            _ => {
                return Err(
                    node.unknown(key, ["type", "address", "netmask", "gateway", "dns_nameservers", "routes"])
                );
            }
        }
    }
    match kind {
        "dhcp" | "dhcp4" => setup.dhcp4 = true,
        "dhcp6" | "ipv6_dhcpv6-stateful" => setup.dhcp6 = true,
        "ipv6_dhcpv6-stateless" | "ipv6_slaac" => setup.accept_ra = Some(true),
        "manual" => {}
        "static" | "static6" => {
            let node =
                address.ok_or_else(|| node.issue("address is missing", "add address: 192.0.2.10/24"))?;
            setup.addresses.push(address_with_mask(&node, mask)?);
        }
        other => {
            return Err(
                node.issue(format!("the type {other:?} is not supported"), "use dhcp, static or manual")
            );
        }
    }
    Ok(())
}

fn address_with_mask(node: &Node<'_>, mask: Option<u8>) -> Read<(IpAddr, u8)> {
    let text = node.text("192.0.2.10/24")?;
    match (text.contains('/'), mask) {
        (true, _) => values::cidr(node),
        (false, Some(prefix)) => {
            let ip = values::ip(node)?;
            let fits = prefix <= if ip.is_ipv4() { 32 } else { 128 };
            if fits {
                Ok((ip, prefix))
            } else {
                Err(node.issue("the netmask is too long", "write 192.0.2.10/24"))
            }
        }
        (false, None) => {
            Err(node.issue("an address without its prefix length", "write it like 192.0.2.10/24"))
        }
    }
}

fn route(node: &Node<'_>) -> Read<Route> {
    let example = "{destination: 198.51.100.0/24, gateway: 192.0.2.1}";
    let (mut destination, mut mask) = (None, None);
    let mut route = Route { destination: None, gateway: None, metric: None, on_link: false };
    for (key, value) in node.entries(example)? {
        match key {
            _ if value.is_null() => {}
            "type" => {}
            "destination" | "network" => destination = Some(value),
            "netmask" => mask = Some(values::netmask(&value)?),
            "gateway" => route.gateway = Some(values::ip(&value)?),
            "metric" => route.metric = Some(value.integer(0..=u64::from(u32::MAX))?),
            _ => return Err(node.unknown(key, ["destination", "network", "netmask", "gateway", "metric"])),
        }
    }
    let missing = || node.issue("a route needs destination and gateway", format!("write it like {example}"));
    let network = address_with_mask(&destination.ok_or_else(missing)?, mask)?;
    if route.gateway.is_none() {
        return Err(missing());
    }
    route.destination = Some(network).filter(|(_, prefix)| *prefix > 0);
    Ok(route)
}

type Nameserver = (Option<String>, Vec<IpAddr>, Vec<String>);

fn nameserver(entries: &[(&str, Node<'_>)], node: &Node<'_>) -> Read<Nameserver> {
    let (mut interface, mut servers, mut search) = (None, Vec::new(), Vec::new());
    for (key, value) in entries {
        match *key {
            _ if value.is_null() => {}
            "type" => {}
            "address" => {
                servers = value.one_or_many("[192.0.2.53]")?.iter().map(values::ip).collect::<Read<_>>()?;
            }
            "search" => {
                search =
                    value.one_or_many("[example.org]")?.iter().map(values::domain).collect::<Read<_>>()?;
            }
            "interface" => interface = Some(values::interface_name(value)?),
            key => return Err(node.unknown(key, ["address", "search", "interface"])),
        }
    }
    Ok((interface, servers, search))
}

fn params(node: &Node<'_>, report: &mut Report) -> Read<Vec<(&'static str, String)>> {
    let mut options = Vec::new();
    for (key, value) in node.entries("params: {bond-mode: active-backup}")? {
        let ms = |name: &'static str| Ok((name, format!("{}ms", value.integer(0..=1_000_000)?)));
        let seconds = |name: &'static str| Ok((name, value.integer(0..=1_000_000)?.to_string()));
        options.push(match key.replace('_', "-").as_str() {
            _ if value.is_null() => continue,
            "bond-mode" => ("Mode", values::one_of(&value, &BOND_MODES)?),
            "bond-miimon" => ms("MIIMonitorSec")?,
            "bond-updelay" => ms("UpDelaySec")?,
            "bond-downdelay" => ms("DownDelaySec")?,
            "bond-min-links" => seconds("MinLinks")?,
            "bond-lacp-rate" => ("LACPTransmitRate", values::one_of(&value, &["slow", "fast"])?),
            "bond-xmit-hash-policy" => ("TransmitHashPolicy", values::one_of(&value, &HASH_POLICIES)?),
            "bridge-stp" => ("STP", if value.boolean()? { "yes" } else { "no" }.to_owned()),
            "bridge-fd" => seconds("ForwardDelaySec")?,
            "bridge-ageing" => seconds("AgeingTimeSec")?,
            "bridge-hello" => seconds("HelloTimeSec")?,
            "bridge-maxage" => seconds("MaxAgeSec")?,
            "bridge-bridgeprio" => seconds("Priority")?,
            _ => {
                report.warning(value.issue(format!("{key} is not supported yet"), "remove it"));
                continue;
            }
        });
    }
    Ok(options)
}

/// Gives what concerns no interface in particular to those it concerns.
fn share(shared: Shared, interfaces: &mut [Interface], report: &mut Report) {
    for (only, servers, search) in shared.nameservers {
        for interface in interfaces.iter_mut() {
            let setup = &mut interface.setup;
            let has_addresses = setup.dhcp4 || setup.dhcp6 || !setup.addresses.is_empty();
            if only.as_ref().map_or(has_addresses, |name| *name == interface.id) {
                setup.nameservers.extend(&servers);
                setup.search.extend(search.iter().cloned());
            }
        }
    }
    for (path, route) in shared.routes {
        let reaches = |interface: &Interface| {
            let addresses = &interface.setup.addresses;
            route
                .gateway
                .is_some_and(|gw| addresses.iter().any(|(ip, prefix)| values::same_network(*ip, *prefix, gw)))
        };
        match interfaces.iter_mut().find(|interface| reaches(interface)) {
            Some(interface) => interface.setup.routes.push(route),
            None => report.error(crate::node::Issue {
                path,
                reason: "no interface has an address in the gateway's network".to_owned(),
                remedy: "put the route under the subnet of its interface".to_owned(),
            }),
        }
    }
}
