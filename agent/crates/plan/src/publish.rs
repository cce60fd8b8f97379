//! Published ports: those that were asked for, and those that are chosen.

use hull_model::{HostPort, PortSpec, Protocol};
use std::collections::BTreeSet;

/// Where ports that nobody asked for in particular are taken from: the kernel's own range for programs that do not care.
const CHOSEN: std::ops::RangeInclusive<u16> = 32768..=60999;

/// Reads `80/tcp`, `80`, `53/udp`. `None` for anything else.
pub fn parse_exposed(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    Some((port.parse().ok().filter(|p| *p > 0)?, protocol))
}

/// The ports to publish: `wanted`, with a free host port where it says 0, and with `all` one for each of `exposed` that
/// is not among them. `taken` is what others have. `None` if no port is free.
pub fn publish(
    wanted: &[PortSpec],
    exposed: &BTreeSet<(u16, Protocol)>,
    all: bool,
    taken: &[HostPort],
) -> Option<Vec<PortSpec>> {
    let mut asked = wanted.to_vec();
    if all {
        let missing = |(port, protocol): &&(u16, Protocol)| {
            !wanted.iter().any(|w| w.container_port == *port && w.protocol == *protocol)
        };
        asked.extend(exposed.iter().filter(missing).map(|(port, protocol)| PortSpec {
            host_ip: None,
            host_port: 0,
            container_port: *port,
            protocol: *protocol,
        }));
    }
    let mut in_use: Vec<HostPort> = taken.to_vec();
    in_use.extend(asked.iter().filter(|p| p.host_port > 0).map(PortSpec::host));
    for port in asked.iter_mut().filter(|p| p.host_port == 0) {
        let free = |candidate: &u16| {
            let host = HostPort { port: *candidate, ..port.host() };
            !in_use.iter().any(|other| host.conflicts(other))
        };
        port.host_port = CHOSEN.into_iter().find(free)?;
        in_use.push(port.host());
    }
    Some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_port: u16, container_port: u16, protocol: Protocol) -> PortSpec {
        PortSpec { host_ip: None, host_port, container_port, protocol }
    }

    #[test]
    fn ports_are_chosen_clear_of_others() {
        let taken = [port(32768, 1, Protocol::Tcp).host()];
        let wanted = [port(0, 80, Protocol::Tcp), port(32769, 81, Protocol::Tcp), port(0, 53, Protocol::Udp)];
        let exposed = BTreeSet::from([(80, Protocol::Tcp), (443, Protocol::Tcp)]);
        let chosen: Vec<_> = publish(&wanted, &exposed, true, &taken)
            .unwrap()
            .iter()
            .map(|p| (p.host_port, p.container_port))
            .collect();
        assert_eq!(chosen, [(32770, 80), (32769, 81), (32768, 53), (32771, 443)]);
        assert_eq!(publish(&wanted, &exposed, false, &[]).unwrap().len(), 3);
    }

    #[test]
    fn running_out_is_said() {
        let taken: Vec<_> = CHOSEN.map(|p| port(p, 1, Protocol::Tcp).host()).collect();
        assert!(publish(&[port(0, 80, Protocol::Tcp)], &BTreeSet::new(), false, &taken).is_none());
        assert!(publish(&[port(0, 80, Protocol::Udp)], &BTreeSet::new(), false, &taken).is_some());
    }

    #[test]
    fn exposed_ports_are_read() {
        assert_eq!(parse_exposed("53/udp"), Some((53, Protocol::Udp)));
        assert_eq!(parse_exposed("80"), Some((80, Protocol::Tcp)));
        for bad in ["", "0/tcp", "80/sctp", "x", "70000/tcp"] {
            assert_eq!(parse_exposed(bad), None, "{bad}");
        }
    }
}
