//! Ports: exposed, published, and those that are chosen from a range.

use crate::error::ApiError;
use crate::request::{PortBinding, PortMap};
use hull_model::{HostPort, PortSpec, Protocol};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

fn invalid(text: &str) -> ApiError {
    ApiError::bad_request(format!("invalid port specification: {text:?}"))
}

/// `80`, `80/tcp`, `53/UDP`: the port and what is spoken on it.
fn port(text: &str) -> Result<(&str, Protocol), ApiError> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" | "" => Ok((number, Protocol::Tcp)),
        "udp" => Ok((number, Protocol::Udp)),
        "sctp" => Err(ApiError::unsupported("publishing or exposing an SCTP port")),
        _ => Err(invalid(text)),
    }
}

/// `8000` or `8000-8010`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |t: &str| t.bytes().all(|b| b.is_ascii_digit()).then(|| t.parse::<u16>().ok()).flatten();
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Ports that a container says it listens on, one by one, as `80/tcp`.
pub(crate) fn exposed<'a>(keys: impl Iterator<Item = &'a String>) -> Result<Vec<String>, ApiError> {
    let mut all = Vec::new();
    for key in keys {
        let (numbers, protocol) = port(key)?;
        let (first, last) = range(numbers).ok_or_else(|| invalid(key))?;
        all.extend((first..=last).map(|n| format!("{n}/{}", protocol.as_str())));
    }
    Ok(all)
}

/// Ports that are published. From a range of the host's the first is taken that is not in `taken`. Port 0 is chosen at each
/// start.
pub(crate) fn published(map: &PortMap, taken: &[HostPort]) -> Result<Vec<PortSpec>, ApiError> {
    let mut ports: Vec<PortSpec> = Vec::new();
    for (key, bindings) in map {
        let (number, protocol) = port(key)?;
        let bad = || invalid(number);
        let container_port: u16 = range(number).filter(|(a, b)| a == b).ok_or_else(bad)?.0;
        if container_port == 0 {
            return Err(bad());
        }
        for binding in bindings.iter().flatten() {
            let host_ip = address(&binding.host_ip)?;
            let mut spec = PortSpec { host_ip, host_port: 0, container_port, protocol };
            spec.host_port = choose(binding, &spec, taken, &ports)?;
            ports.push(spec);
        }
    }
    Ok(ports)
}

fn address(text: &str) -> Result<Option<Ipv4Addr>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => Ok(None),
        Ok(IpAddr::V4(address)) => Ok(Some(address)),
        Ok(IpAddr::V6(_)) => Err(ApiError::unsupported("publishing a port on an IPv6 address")),
        Err(_) => Err(ApiError::bad_request(format!("invalid IP address {text:?} to publish a port on"))),
    }
}

fn choose(
    binding: &PortBinding,
    spec: &PortSpec,
    taken: &[HostPort],
    own: &[PortSpec],
) -> Result<u16, ApiError> {
    if binding.host_port.is_empty() {
        return Ok(0);
    }
    let (first, last) = range(&binding.host_port).ok_or_else(|| invalid(&binding.host_port))?;
    if first == last {
        return Ok(first);
    }
    let free = |port: &u16| {
        let wanted = HostPort { ip: spec.host_ip, port: *port, protocol: spec.protocol };
        !taken.iter().any(|t| t.conflicts(&wanted)) && !own.iter().any(|o| o.host().conflicts(&wanted))
    };
    (first.max(1)..=last)
        .find(free)
        .ok_or_else(|| ApiError::internal(format!("all ports of {} are allocated", binding.host_port)))
}

/// The map as inspections show it: every key with its protocol.
pub(crate) fn normalised(map: &PortMap) -> PortMap {
    let mut all: PortMap = BTreeMap::new();
    for (key, bindings) in map {
        let key = match key.split_once('/') {
            Some((number, protocol)) => format!("{number}/{}", protocol.to_ascii_lowercase()),
            None => format!("{key}/tcp"),
        };
        all.entry(key).or_default().get_or_insert_default().extend(bindings.iter().flatten().cloned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(port: &str, ip: &str, host: &str) -> PortMap {
        let binding = PortBinding { host_ip: ip.into(), host_port: host.into() };
        BTreeMap::from([(port.to_owned(), Some(vec![binding]))])
    }

    #[test]
    fn ports_are_read_and_chosen() {
        let read = |port, ip, host| {
            published(&map(port, ip, host), &[]).map(|p| p[0].clone()).map_err(|e| e.message)
        };
        let spec = |ip: Option<&str>, host, container, protocol| PortSpec {
            host_ip: ip.map(|i| i.parse().unwrap()),
            host_port: host,
            container_port: container,
            protocol,
        };
        assert_eq!(read("80", "", ""), Ok(spec(None, 0, 80, Protocol::Tcp)));
        assert_eq!(read("53/UDP", "0.0.0.0", "0"), Ok(spec(None, 0, 53, Protocol::Udp)));
        assert_eq!(read("80/tcp", "127.0.0.1", "8080"), Ok(spec(Some("127.0.0.1"), 8080, 80, Protocol::Tcp)));
        for (port, ip, host, word) in [
            ("x", "", "", "\"x\""),
            ("70000/tcp", "", "", "\"70000\""),
            ("80-81/tcp", "", "", "\"80-81\""),
            ("80/tcp", "", "x", "\"x\""),
            ("80/tcp", "", "70000", "\"70000\""),
            ("80/tcp", "", "9-8", "\"9-8\""),
            ("80/tcp", "x", "1", "\"x\""),
            ("80/tcp", "::1", "1", "IPv6"),
            ("80/sctp", "", "1", "SCTP"),
            ("", "", "", "\"\""),
        ] {
            let said = read(port, ip, host).unwrap_err();
            assert!(said.contains(word), "{port} {ip} {host}: {said}");
        }
    }

    #[test]
    fn a_range_gives_the_first_free_port() {
        let taken = HostPort { ip: None, port: 8000, protocol: Protocol::Tcp };
        let chosen = |range| published(&map("80/tcp", "", range), &[taken]).map(|p| p[0].host_port);
        assert_eq!(chosen("8000-8001").unwrap(), 8001);
        assert!(
            published(&map("80/tcp", "", "8000-8001"), &[taken, HostPort { port: 8001, ..taken }]).is_err()
        );
    }

    #[test]
    fn exposed_ranges_are_spread_out() {
        let keys = ["80".to_owned(), "90-92/udp".to_owned()];
        assert_eq!(exposed(keys.iter()).unwrap(), ["80/tcp", "90/udp", "91/udp", "92/udp"]);
        for bad in ["x", "92-90/udp", "80/foo", "70000", ""] {
            assert!(exposed([bad.to_owned()].iter()).is_err(), "{bad}");
        }
    }
}
