//! Ports of containers as a column.

use serde::Deserialize;

/// A port as the API lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Port {
    #[serde(rename = "Type")]
    pub(super) protocol: String,
    #[serde(rename = "IP", default)]
    pub(super) ip: String,
    #[serde(default)]
    pub(super) public_port: u16,
    pub(super) private_port: u16,
}

/// Published and exposed ports. Neighbours that have the same number outside and inside are written as a range.
pub(super) fn column(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    sorted.sort_by_key(|p| (p.private_port, &p.ip, p.public_port, &p.protocol));
    let mut groups: Vec<(&Port, u16)> = Vec::new();
    let (mut written, mut others) = (Vec::new(), Vec::new());
    for port in sorted {
        if !port.ip.is_empty() && port.public_port != port.private_port {
            others.push(mapping(
                &port.ip,
                &port.public_port.to_string(),
                &port.private_port.to_string(),
                &port.protocol,
            ));
            continue;
        }
        let own = groups.iter_mut().find(|(first, _)| first.ip == port.ip && first.protocol == port.protocol);
        match own {
            Some((_, last)) if last.checked_add(1) == Some(port.private_port) => *last += 1,
            Some(group) => {
                written.push(range(group));
                *group = (port, port.private_port);
            }
            None => groups.push((port, port.private_port)),
        }
    }
    written.extend(groups.iter().map(range));
    written.extend(others);
    written.join(", ")
}

fn range((first, last): &(&Port, u16)) -> String {
    let from = first.private_port;
    let numbers = if from == *last { from.to_string() } else { format!("{from}-{last}") };
    match first.ip.as_str() {
        "" => format!("{numbers}/{}", first.protocol),
        ip => mapping(ip, &numbers, &numbers, &first.protocol),
    }
}

fn mapping(ip: &str, outside: &str, inside: &str, protocol: &str) -> String {
    match ip.contains(':') {
        true => format!("[{ip}]:{outside}->{inside}/{protocol}"),
        false => format!("{ip}:{outside}->{inside}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_are_a_range() {
        let port = |public, private| Port {
            ip: if public == 0 { String::new() } else { "0.0.0.0".into() },
            public_port: public,
            private_port: private,
            protocol: "tcp".into(),
        };
        let given = [port(8001, 81), port(80, 80), port(81, 81), port(0, 22), port(0, 23), port(0, 25)];
        assert_eq!(column(&given), "22-23/tcp, 25/tcp, 0.0.0.0:80-81->80-81/tcp, 0.0.0.0:8001->81/tcp");
        assert_eq!(column(&[]), "");
    }
}
