//! Version 2: `ethernets`, `bonds`, `bridges`, `vlans`.

use super::interface::{Interface, Kind, Route, Setup};
use super::values;
use crate::node::{Node, Read};
use crate::report::Report;

const TOP: [&str; 6] = ["version", "renderer", "ethernets", "bonds", "bridges", "vlans"];
const NOT_SUPPORTED: [&str; 6] = ["wifis", "modems", "tunnels", "vrfs", "dummy-devices", "nm-devices"];
const KEYS: [&str; 18] = [
    "match",
    "set-name",
    "interfaces",
    "parameters",
    "id",
    "link",
    "dhcp4",
    "dhcp6",
    "dhcp4-overrides",
    "dhcp6-overrides",
    "accept-ra",
    "addresses",
    "gateway4",
    "gateway6",
    "nameservers",
    "routes",
    "mtu",
    "optional",
];

/// Reads all interfaces. One that cannot be understood is left out.
pub(super) fn read(
    entries: &[(&str, Node<'_>)],
    root: &Node<'_>,
    report: &mut Report,
) -> Read<Vec<Interface>> {
    let mut interfaces = Vec::new();
    for (section, node) in entries {
        match *section {
            _ if node.is_null() => {}
            "version" => {}
            "renderer" => renderer(node, report),
            "ethernets" | "bonds" | "bridges" | "vlans" => {
                for (id, node) in node.entries("ethernets: {eth0: {dhcp4: true}}")? {
                    let read = interface(section, id, &node, report);
                    interfaces.extend(report.take(read));
                }
            }
            key if NOT_SUPPORTED.contains(&key) => {
                report
                    .error(node.issue(format!("{key} are not supported"), "remove it; wired interfaces are"));
            }
            key => report.warning(root.unknown(key, TOP)),
        }
    }
    Ok(interfaces)
}

fn renderer(node: &Node<'_>, report: &mut Report) {
    if node.value().as_str() != Some("networkd") {
        let reason = "systemd-networkd is the only renderer here; what this one alone can do is not done";
        report.warning(node.issue(reason, "write renderer: networkd, or remove it"));
    }
}

fn interface(section: &str, id: &str, node: &Node<'_>, report: &mut Report) -> Read<Interface> {
    let mut interface =
        Interface { path: node.path().to_owned(), id: values::id(id, node)?, ..Interface::default() };
    interface.kind = match section {
        "bonds" => Kind::Bond { members: Vec::new(), options: Vec::new() },
        "bridges" => Kind::Bridge { members: Vec::new(), options: Vec::new() },
        "vlans" => Kind::Vlan { tag: 0, link: String::new() },
        _ => Kind::default(),
    };
    let made_here = !matches!(interface.kind, Kind::Physical { .. });
    let entries = if node.is_null() { Vec::new() } else { node.entries("{dhcp4: true}")? };
    for (key, value) in entries {
        if value.is_null() {
            continue;
        }
        let known = kind_key(key, &value, &mut interface.kind, report)?
            || setup_key(key, &value, &mut interface.setup, report)?;
        match key {
            _ if known => {}
            "renderer" => renderer(&value, report),
            "macaddress" => interface.setup.mac = Some(values::mac(&value)?),
            "wakeonlan" | "critical" | "dhcp-identifier" | "ipv6-privacy" | "link-local" | "emit-lldp"
            | "auth" | "openvswitch" | "routing-policy" | "hairpin" | "activation-mode"
            | "ignore-carrier" => {
                report.warning(value.issue(format!("{key} is not supported yet"), "remove it"));
            }
            _ => report.warning(node.unknown(key, KEYS)),
        }
    }
    if made_here && interface.id.len() > 15 {
        let remedy = "use at most 15 letters, digits, '.', '_' and '-'";
        return Err(node.issue(format!("{id:?} is too long for the name of an interface"), remedy));
    }
    match &interface.kind {
        Kind::Vlan { link, .. } if link.is_empty() => Err(node.issue("link is missing", "add link: eth0")),
        Kind::Physical { name: None, mac: None, driver: None, .. } if interface.id.len() > 15 => {
            Err(node.issue("no interface can have this name", "say with match which one is meant"))
        }
        _ => Ok(interface),
    }
}

fn kind_key(key: &str, node: &Node<'_>, kind: &mut Kind, report: &mut Report) -> Read<bool> {
    match (key, kind) {
        ("match", Kind::Physical { name, mac, driver, .. }) => {
            for (key, value) in node.entries("match: {macaddress: \"52:54:00:12:34:56\"}")? {
                match key {
                    "name" => *name = Some(values::pattern(&value)?),
                    "macaddress" => *mac = Some(values::mac(&value)?),
                    "driver" => {
                        let drivers = value.one_or_many("virtio*")?;
                        let drivers: Vec<String> =
                            drivers.iter().map(values::pattern).collect::<Read<_>>()?;
                        *driver = Some(drivers.join(" "));
                    }
                    _ => return Err(node.unknown(key, ["name", "macaddress", "driver"])),
                }
            }
        }
        ("set-name", Kind::Physical { set_name, .. }) => *set_name = Some(values::interface_name(node)?),
        ("interfaces", Kind::Bond { members, .. } | Kind::Bridge { members, .. }) => {
            *members = values::ids(node)?
        }
        ("parameters", Kind::Bond { options, .. }) => *options = bond_options(node, report)?,
        ("parameters", Kind::Bridge { options, .. }) => *options = bridge_options(node, report)?,
        ("id", Kind::Vlan { tag, .. }) => *tag = node.integer(0..=4094)? as u16,
        ("link", Kind::Vlan { link, .. }) => *link = values::id(node.text("eth0")?, node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn bond_options(node: &Node<'_>, report: &mut Report) -> Read<Vec<(&'static str, String)>> {
    let mut options = Vec::new();
    for (key, value) in node.entries("parameters: {mode: active-backup}")? {
        options.push(match key {
            "mode" => ("Mode", values::one_of(&value, &super::v1::BOND_MODES)?),
            "lacp-rate" => ("LACPTransmitRate", values::one_of(&value, &["slow", "fast"])?),
            "mii-monitor-interval" => ("MIIMonitorSec", milliseconds(&value)?),
            "up-delay" => ("UpDelaySec", milliseconds(&value)?),
            "down-delay" => ("DownDelaySec", milliseconds(&value)?),
            "min-links" => ("MinLinks", value.integer(0..=1000)?.to_string()),
            "transmit-hash-policy" => {
                ("TransmitHashPolicy", values::one_of(&value, &super::v1::HASH_POLICIES)?)
            }
            _ => {
                report.warning(value.issue(format!("{key} is not supported yet"), "remove it"));
                continue;
            }
        });
    }
    Ok(options)
}

fn bridge_options(node: &Node<'_>, report: &mut Report) -> Read<Vec<(&'static str, String)>> {
    let mut options = Vec::new();
    for (key, value) in node.entries("parameters: {stp: false}")? {
        options.push(match key {
            "stp" => ("STP", if value.boolean()? { "yes" } else { "no" }.to_owned()),
            "ageing-time" => ("AgeingTimeSec", value.integer(0..=1_000_000)?.to_string()),
            "priority" => ("Priority", value.integer(0..=65_535)?.to_string()),
            "forward-delay" => ("ForwardDelaySec", value.integer(0..=30)?.to_string()),
            "hello-time" => ("HelloTimeSec", value.integer(1..=10)?.to_string()),
            "max-age" => ("MaxAgeSec", value.integer(6..=40)?.to_string()),
            _ => {
                report.warning(value.issue(format!("{key} is not supported yet"), "remove it"));
                continue;
            }
        });
    }
    Ok(options)
}

/// Milliseconds, written with or without their unit.
fn milliseconds(node: &Node<'_>) -> Read<String> {
    let text = node.scalar("100")?;
    let digits = text.strip_suffix("ms").unwrap_or(&text);
    match digits.parse::<u32>() {
        Ok(n) => Ok(format!("{n}ms")),
        Err(_) => Err(node.expected("a number of milliseconds", "100")),
    }
}

fn setup_key(key: &str, node: &Node<'_>, setup: &mut Setup, report: &mut Report) -> Read<bool> {
    match key {
        "dhcp4" => setup.dhcp4 = node.boolean()?,
        "dhcp6" => setup.dhcp6 = node.boolean()?,
        "accept-ra" => setup.accept_ra = Some(node.boolean()?),
        "dhcp4-overrides" => setup.dhcp4_options = overrides(node, report)?,
        "dhcp6-overrides" => setup.dhcp6_options = overrides(node, report)?,
        "addresses" => {
            for item in node.items("addresses: [192.0.2.10/24]")? {
                setup.addresses.push(values::cidr(&item)?);
            }
        }
        "gateway4" | "gateway6" => {
            let gateway = values::ip(node)?;
            if gateway.is_ipv4() != (key == "gateway4") {
                return Err(
                    node.issue(format!("{gateway} is of the other family"), "swap gateway4 and gateway6")
                );
            }
            setup.routes.push(Route::default_via(gateway));
        }
        "nameservers" => {
            for (key, value) in node.entries("nameservers: {addresses: [192.0.2.53]}")? {
                match key {
                    _ if value.is_null() => {}
                    "addresses" => {
                        setup.nameservers =
                            value.items("[192.0.2.53]")?.iter().map(values::ip).collect::<Read<_>>()?;
                    }
                    "search" => {
                        setup.search =
                            value.items("[example.org]")?.iter().map(values::domain).collect::<Read<_>>()?;
                    }
                    _ => return Err(node.unknown(key, ["addresses", "search"])),
                }
            }
        }
        "routes" => {
            for item in node.items("routes: [{to: default, via: 192.0.2.1}]")? {
                setup.routes.push(route(&item)?);
            }
        }
        "mtu" => setup.mtu = Some(values::mtu(node)?),
        "optional" => setup.optional = node.boolean()?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn route(node: &Node<'_>) -> Read<Route> {
    let example = "{to: default, via: 192.0.2.1}";
    let mut route = Route { destination: None, gateway: None, metric: None, on_link: false };
    let mut has_destination = false;
    for (key, value) in node.entries(example)? {
        match key {
            _ if value.is_null() => {}
            "to" => {
                has_destination = true;
                let text = value.text("default")?;
                // A host's own address may stand for itself.
                let alone = || {
                    text.parse().ok().map(|ip: std::net::IpAddr| (ip, if ip.is_ipv4() { 32 } else { 128 }))
                };
                route.destination = match text {
                    "default" | "0.0.0.0/0" | "::/0" => None,
                    _ => Some(
                        values::parse_cidr(text)
                            .or_else(alone)
                            .ok_or_else(|| value.expected("a network", "default or 198.51.100.0/24"))?,
                    ),
                };
            }
            "via" => route.gateway = Some(values::ip(&value)?),
            "metric" => route.metric = Some(value.integer(0..=u64::from(u32::MAX))?),
            "on-link" => route.on_link = value.boolean()?,
            _ => return Err(node.unknown(key, ["to", "via", "metric", "on-link"])),
        }
    }
    if !has_destination || (route.destination.is_none() && route.gateway.is_none()) {
        return Err(node.issue("a route needs to, and via", format!("write it like {example}")));
    }
    Ok(route)
}

fn overrides(node: &Node<'_>, report: &mut Report) -> Read<Vec<(&'static str, String)>> {
    let mut lines = Vec::new();
    for (key, value) in node.entries("{use-dns: false}")? {
        let flag = |name: &'static str| Ok((name, if value.boolean()? { "yes" } else { "no" }.to_owned()));
        lines.push(match key {
            _ if value.is_null() => continue,
            "use-dns" => flag("UseDNS")?,
            "use-ntp" => flag("UseNTP")?,
            "use-hostname" => flag("UseHostname")?,
            "use-mtu" => flag("UseMTU")?,
            "use-routes" => flag("UseRoutes")?,
            "send-hostname" => flag("SendHostname")?,
            "use-domains" if value.value().as_str() == Some("route") => ("UseDomains", "route".to_owned()),
            "use-domains" => flag("UseDomains")?,
            "route-metric" => ("RouteMetric", value.integer(0..=u64::from(u32::MAX))?.to_string()),
            "hostname" => ("Hostname", values::domain(&value)?),
            _ => {
                report.warning(value.issue(format!("{key} is not supported yet"), "remove it"));
                continue;
            }
        });
    }
    Ok(lines)
}
