//! What makes a whole HostSpec impossible, although each of its parts is well formed.

use crate::ipam;
use hull_model::{
    ContainerSpec, HostPort, HostSpec, Ipv4Net, MountKind, Problem, Protocol, Severity, Workloads,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Ranges that a network of containers must not take from the host (RFC 6890): "this" network, loopback, link-local with
/// the metadata services of clouds, multicast and what lies above it.
const RESERVED: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Everything that contradicts itself in a HostSpec. Errors concern the workloads as a whole.
pub fn validate(spec: &HostSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    published_ports(&spec.workloads, &mut problems);
    networks(&spec.workloads, &mut problems);
    for container in spec.workloads.containers.values() {
        references(container, &spec.workloads, &mut problems);
        addresses(container, &spec.workloads, &mut problems);
        mount_targets(container, &mut problems);
    }
    dependency_cycles(&spec.workloads, &mut problems);
    problems
}

fn error(object: String, reason: String, remedy: &str) -> Problem {
    let source = "host spec".to_owned();
    Problem { severity: Severity::Error, source, object, reason, remedy: remedy.to_owned() }
}

fn published_ports(workloads: &Workloads, problems: &mut Vec<Problem>) {
    // By port and protocol, so that a range of thousands is compared with the few that may conflict.
    let mut taken: BTreeMap<(u16, Protocol), Vec<(HostPort, &ContainerSpec)>> = BTreeMap::new();
    for container in workloads.containers.values() {
        for port in &container.ports {
            let host = port.host();
            let same = taken.entry((host.port, host.protocol)).or_default();
            if let Some((_, other)) = same.iter().find(|(t, _)| t.conflicts(&host)) {
                problems.push(error(
                    format!("services.{}.ports", container.name),
                    format!(
                        "host port {}/{} is published by {} too",
                        host.port,
                        host.protocol.as_str(),
                        other.name
                    ),
                    "publish one of them on another port or another host address",
                ));
            }
            same.push((host, container));
        }
    }
}

fn networks(workloads: &Workloads, problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&hull_model::Name, hull_model::Ipv4Net)> = Vec::new();
    for network in workloads.networks.values() {
        let Some(subnet) = network.subnet else { continue };
        let object = || format!("networks.{}", network.name);
        if subnet.hosts().nth(1).is_none() {
            let reason = format!("subnet {subnet} has no room for a gateway and a container");
            problems.push(error(object(), reason, "use a prefix of at most 29"));
        }
        if let Some(gateway) = network.gateway
            && !subnet.contains(gateway)
        {
            let reason = format!("gateway {gateway} is not in subnet {subnet}");
            problems.push(error(object(), reason, "choose an address of the subnet, or leave it out"));
        }
        if network.gateway.is_some_and(|g| g == subnet.address || g == subnet.last()) {
            let reason = format!("no host can be the gateway: its address names all of {subnet}");
            problems.push(error(object(), reason, "choose another address, or leave it out"));
        }
        if RESERVED.iter().any(|(a, p)| Ipv4Net::new(*a, *p).is_some_and(|r| r.overlaps(&subnet))) {
            let reason = format!("subnet {subnet} overlaps addresses that have another meaning");
            problems.push(error(object(), reason, "choose a private range, such as one of 10.0.0.0/8"));
        }
        if let Some((other, _)) = seen.iter().find(|(_, s)| s.overlaps(&subnet)) {
            let reason = format!("subnet {subnet} overlaps that of network {other}");
            problems.push(error(object(), reason, "choose ranges that do not overlap, or leave them out"));
        }
        seen.push((&network.name, subnet));
    }
}

fn references(container: &ContainerSpec, workloads: &Workloads, problems: &mut Vec<Problem>) {
    let object = |key: &str| format!("services.{}.{key}", container.name);
    for network in container.networks.keys().filter(|n| !workloads.networks.contains_key(n)) {
        let reason = format!("network {network} is not declared");
        problems.push(error(object("networks"), reason, "declare it under the top-level key networks"));
    }
    for volume in container.volumes().filter(|v| !workloads.volumes.contains_key(v)) {
        let reason = format!("volume {volume} is not declared");
        problems.push(error(object("volumes"), reason, "declare it under the top-level key volumes"));
    }
    for other in container.depends_on.iter().filter(|d| !workloads.containers.contains_key(d)) {
        let reason = format!("service {other} is not declared");
        problems.push(error(object("depends_on"), reason, "declare it under services, or remove it here"));
    }
    if !container.ports.is_empty() && container.networks.is_empty() {
        let reason = "ports are published, but the service is in no network".to_owned();
        problems.push(error(object("ports"), reason, "remove network_mode: none, or the ports"));
    }
}

fn addresses(container: &ContainerSpec, workloads: &Workloads, problems: &mut Vec<Problem>) {
    for (name, endpoint) in &container.networks {
        let (Some(address), Some(network)) = (endpoint.ipv4, workloads.networks.get(name)) else {
            continue;
        };
        let object = format!("services.{}.networks.{name}.ipv4_address", container.name);
        match network.subnet {
            None => problems.push(error(
                object,
                format!("{address} is asked for, but network {name} has no subnet of its own"),
                "give the network an ipam subnet",
            )),
            Some(subnet) if !subnet.contains(address) => {
                let reason = format!("{address} is not in subnet {subnet}");
                problems.push(error(object, reason, "choose an address of the subnet"));
            }
            Some(subnet) if is_reserved(&subnet, network.gateway, address) => {
                let reason = format!("{address} is the gateway of {subnet}, or names all of it");
                problems.push(error(object, reason, "choose another address of the subnet"));
            }
            Some(_) => {
                let taken_by = workloads.containers.values().find(|other| {
                    other.name < container.name
                        && other.networks.get(name).is_some_and(|e| e.ipv4 == Some(address))
                });
                if let Some(other) = taken_by {
                    let reason = format!("{address} is given to {} too", other.name);
                    problems.push(error(object, reason, "choose another address"));
                }
            }
        }
    }
}

/// Whether no container can have the address, even if it is the only one.
fn is_reserved(subnet: &Ipv4Net, gateway: Option<Ipv4Addr>, address: Ipv4Addr) -> bool {
    let gateway = gateway.or_else(|| ipam::gateway(subnet));
    gateway.is_none_or(|gateway| {
        ipam::choose_address(subnet, gateway, &BTreeSet::new(), Some(address)).is_none()
    })
}

fn mount_targets(container: &ContainerSpec, problems: &mut Vec<Problem>) {
    let object = || format!("services.{}.volumes", container.name);
    let mut targets = BTreeSet::new();
    for mount in &container.mounts {
        let target = mount.target.display();
        if !mount.target.is_absolute() {
            problems.push(error(object(), format!("target {target} is not absolute"), "begin it with /"));
        }
        if !targets.insert(&mount.target) {
            problems.push(error(object(), format!("{target} is mounted twice"), "remove one of them"));
        }
        if let MountKind::Bind { source, .. } = &mount.kind
            && !source.is_absolute()
        {
            let reason = format!("host path {} is not absolute", source.display());
            problems.push(error(object(), reason, "begin it with /"));
        }
    }
}

/// Removes services whose dependencies are all removed until nothing changes: what is left waits for itself.
fn dependency_cycles(workloads: &Workloads, problems: &mut Vec<Problem>) {
    let mut waiting: Vec<&ContainerSpec> = workloads.containers.values().collect();
    loop {
        let names: BTreeSet<_> = waiting.iter().map(|c| &c.name).collect();
        let still: Vec<_> =
            waiting.iter().copied().filter(|c| c.depends_on.iter().any(|d| names.contains(d))).collect();
        if still.len() == waiting.len() {
            break;
        }
        waiting = still;
    }
    for container in waiting {
        problems.push(error(
            format!("services.{}.depends_on", container.name),
            "the service waits, through others, for itself".to_owned(),
            "remove one of the dependencies of the circle",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{EndpointSpec, Name, NetworkSpec, PortSpec, Reference};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn web(called: &str, port: u16) -> ContainerSpec {
        let mut spec = ContainerSpec::new(name(called), Reference::parse("web").unwrap());
        spec.ports.push(PortSpec {
            host_ip: None,
            host_port: port,
            container_port: 80,
            protocol: Protocol::Tcp,
        });
        spec.networks.insert(name("default"), EndpointSpec::default());
        spec
    }

    fn host(containers: Vec<ContainerSpec>) -> HostSpec {
        let mut spec = HostSpec::default();
        let network = NetworkSpec {
            name: name("default"),
            subnet: Ipv4Net::try_from("10.1.0.0/24".to_owned()).ok(),
            gateway: None,
            internal: false,
            labels: Default::default(),
        };
        spec.workloads.networks.insert(name("default"), network);
        spec.workloads.containers = containers.into_iter().map(|c| (c.name.clone(), c)).collect();
        spec
    }

    #[test]
    fn contradictions_are_named() {
        let mut cycle_a = web("a", 1);
        cycle_a.depends_on.push(name("b"));
        let mut cycle_b = web("b", 2);
        cycle_b.depends_on.push(name("a"));
        let mut missing = web("a", 1);
        missing.networks.insert(name("backend"), EndpointSpec::default());
        let at = |address: &str| {
            let mut web = web("a", 1);
            let endpoint = EndpointSpec { aliases: vec![], ipv4: address.parse().ok() };
            web.networks.insert(name("default"), endpoint);
            web
        };
        let outside = at("10.2.0.9");
        let rows: Vec<(&str, HostSpec, &[&str])> = vec![
            ("good", host(vec![web("a", 1), web("b", 2)]), &[]),
            ("a port twice", host(vec![web("a", 80), web("b", 80)]), &["services.b.ports"]),
            ("a circle", host(vec![cycle_a, cycle_b]), &["services.a.depends_on", "services.b.depends_on"]),
            ("unknown network", host(vec![missing]), &["services.a.networks"]),
            ("foreign address", host(vec![outside]), &["services.a.networks.default.ipv4_address"]),
            ("the gateway's", host(vec![at("10.1.0.1")]), &["services.a.networks.default.ipv4_address"]),
            ("the broadcast", host(vec![at("10.1.0.255")]), &["services.a.networks.default.ipv4_address"]),
            ("the network's", host(vec![at("10.1.0.0")]), &["services.a.networks.default.ipv4_address"]),
            ("a good address", host(vec![at("10.1.0.2")]), &[]),
        ];
        for (case, spec, expected) in rows {
            let problems = validate(&spec);
            let objects: Vec<_> = problems.iter().map(|p| p.object.as_str()).collect();
            assert_eq!(objects, expected, "{case}");
            assert!(problems.iter().all(|p| !p.remedy.is_empty() && p.severity == Severity::Error), "{case}");
        }
    }

    #[test]
    fn ranges_with_another_meaning_are_refused() {
        let rows = [
            ("10.1.0.0/24", None, 0),
            ("10.1.0.0/24", Some("10.1.0.254"), 0),
            ("10.1.0.0/24", Some("10.1.0.255"), 1),
            ("10.1.0.0/24", Some("10.1.0.0"), 1),
            ("127.0.0.0/8", None, 1),
            ("169.254.169.0/24", None, 1),
            ("224.0.0.0/24", None, 1),
            // Looking at each of its addresses would take a minute.
            ("0.0.0.0/0", None, 1),
        ];
        for (subnet, gateway, expected) in rows {
            let mut spec = host(vec![]);
            let network = spec.workloads.networks.get_mut(&name("default")).unwrap();
            network.subnet = Ipv4Net::try_from(subnet.to_owned()).ok();
            network.gateway = gateway.and_then(|g: &str| g.parse().ok());
            assert_eq!(validate(&spec).len(), expected, "{subnet} {gateway:?}");
        }
    }
}
