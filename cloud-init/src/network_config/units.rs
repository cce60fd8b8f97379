//! Interfaces to the texts of systemd-networkd's files (systemd.network(5), .netdev(5), .link(5)).

use super::interface::{Interface, Kind, Route, Setup};
use hull_model::HostNetwork;
use std::fmt::Write as _;

/// The files of all interfaces. They sort before the image's own (from `10-`), which only hold for what is not named here.
pub(super) fn render(interfaces: &[Interface]) -> HostNetwork {
    let mut network = HostNetwork::default();
    for interface in interfaces {
        let name = |suffix: &str| format!("05-hull-{}.{suffix}", interface.id);
        network.files.insert(name("network"), network_unit(interface, interfaces));
        if let Some(text) = netdev_unit(interface) {
            network.files.insert(name("netdev"), text);
        }
        if let Some(text) = link_unit(interface) {
            network.files.insert(name("link"), text);
        }
    }
    network
}

/// A unit file in the making.
struct Unit(String);

impl Unit {
    fn new() -> Self {
        Self("# Written by hulld from network-config.\n".to_owned())
    }

    /// A section, if it has any lines.
    fn section(&mut self, name: &str, lines: impl IntoIterator<Item = (&'static str, String)>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        _ = writeln!(self.0, "\n[{name}]");
        for (key, value) in lines {
            debug_assert!(!value.contains(['\n', '\r']), "{key}={value:?}");
            _ = writeln!(self.0, "{key}={value}");
        }
    }
}

type Lines = Vec<(&'static str, String)>;

fn matching(interface: &Interface) -> Lines {
    let Kind::Physical { name, mac, driver, set_name: _ } = &interface.kind else {
        return vec![("Name", interface.id.clone())];
    };
    let mut lines = Lines::new();
    if let Some(mac) = mac {
        lines.push(("PermanentMACAddress", mac.clone()));
    }
    if let Some(driver) = driver {
        lines.push(("Driver", driver.clone()));
    }
    match name {
        Some(name) => lines.push(("Name", name.clone())),
        None if lines.is_empty() => lines.push(("Name", interface.id.clone())),
        None => {}
    }
    lines
}

fn network_unit(interface: &Interface, all: &[Interface]) -> String {
    let setup = &interface.setup;
    let mut unit = Unit::new();
    let mut matched = matching(interface);
    if matches!(interface.kind, Kind::Physical { .. }) {
        // A VLAN has its parent's hardware address: only what has no kind of its own is meant.
        matched.push(("Kind", "!vlan bridge bond".to_owned()));
    }
    unit.section("Match", matched);
    unit.section("Link", link_lines(setup));
    unit.section("Network", network_lines(interface, all));
    unit.section("DHCPv4", setup.dhcp4_options.iter().cloned());
    unit.section("DHCPv6", setup.dhcp6_options.iter().cloned());
    for route in &setup.routes {
        unit.section("Route", route_lines(route));
    }
    unit.0
}

fn link_lines(setup: &Setup) -> Lines {
    let mut lines = Lines::new();
    if let Some(mac) = &setup.mac {
        lines.push(("MACAddress", mac.clone()));
    }
    if let Some(mtu) = setup.mtu {
        lines.push(("MTUBytes", mtu.to_string()));
    }
    if setup.optional {
        lines.push(("RequiredForOnline", "no".to_owned()));
    }
    lines
}

fn network_lines(interface: &Interface, all: &[Interface]) -> Lines {
    let setup = &interface.setup;
    let mut lines = Lines::new();
    for other in all {
        let member = other.refers_to().any(|id| *id == interface.id);
        match &other.kind {
            Kind::Bond { .. } if member => lines.push(("Bond", other.id.clone())),
            Kind::Bridge { .. } if member => lines.push(("Bridge", other.id.clone())),
            Kind::Vlan { .. } if member => lines.push(("VLAN", other.id.clone())),
            _ => {}
        }
    }
    let dhcp = match (setup.dhcp4, setup.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    lines.push(("DHCP", dhcp.to_owned()));
    if let Some(accept) = setup.accept_ra {
        lines.push(("IPv6AcceptRA", if accept { "yes" } else { "no" }.to_owned()));
    }
    lines.extend(setup.addresses.iter().map(|(ip, prefix)| ("Address", format!("{ip}/{prefix}"))));
    lines.extend(setup.nameservers.iter().map(|ip| ("DNS", ip.to_string())));
    if !setup.search.is_empty() {
        lines.push(("Domains", setup.search.join(" ")));
    }
    let bridge = matches!(interface.kind, Kind::Bridge { .. } | Kind::Bond { .. });
    if bridge && !setup.addresses.is_empty() {
        lines.push(("ConfigureWithoutCarrier", "yes".to_owned()));
    }
    lines
}

fn route_lines(route: &Route) -> Lines {
    let mut lines = Lines::new();
    if let Some((ip, prefix)) = route.destination {
        lines.push(("Destination", format!("{ip}/{prefix}")));
    }
    if let Some(gateway) = route.gateway {
        lines.push(("Gateway", gateway.to_string()));
    }
    if let Some(metric) = route.metric {
        lines.push(("Metric", metric.to_string()));
    }
    if route.on_link {
        lines.push(("GatewayOnLink", "yes".to_owned()));
    }
    lines
}

fn netdev_unit(interface: &Interface) -> Option<String> {
    let mut unit = Unit::new();
    let head = |kind: &str| {
        let mut lines = vec![("Name", interface.id.clone()), ("Kind", kind.to_owned())];
        lines.extend(interface.setup.mac.iter().map(|mac| ("MACAddress", mac.clone())));
        lines
    };
    match &interface.kind {
        Kind::Physical { .. } => return None,
        Kind::Bond { options, .. } => {
            unit.section("NetDev", head("bond"));
            unit.section("Bond", options.iter().cloned());
        }
        Kind::Bridge { options, .. } => {
            unit.section("NetDev", head("bridge"));
            unit.section("Bridge", options.iter().cloned());
        }
        Kind::Vlan { tag, .. } => {
            unit.section("NetDev", head("vlan"));
            unit.section("VLAN", [("Id", tag.to_string())]);
        }
    }
    Some(unit.0)
}

/// Renaming is udev's, in a file of its own.
fn link_unit(interface: &Interface) -> Option<String> {
    let Kind::Physical { set_name: Some(name), .. } = &interface.kind else { return None };
    let mut unit = Unit::new();
    let lines = matching(interface).into_iter().map(|(key, value)| match key {
        "Name" => ("OriginalName", value),
        _ => (key, value),
    });
    unit.section("Match", lines);
    unit.section("Link", [("Name", name.clone())]);
    Some(unit.0)
}
