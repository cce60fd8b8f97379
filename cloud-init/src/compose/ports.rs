//! Published ports, in the short and the long syntax.

use crate::node::{Node, Read};
use hull_model::{PortSpec, Protocol};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

const EXAMPLE: &str = "\"8080:80\"";

/// Reads the list; ranges are expanded, and what is written twice is published once.
pub(super) fn read(node: &Node<'_>) -> Read<Vec<PortSpec>> {
    let mut ports = Vec::new();
    for item in node.items("ports: [\"8080:80\"]")? {
        let published = if item.value().is_mapping() { long(&item)? } else { short(&item)? };
        ports.extend(published);
    }
    ports.sort();
    ports.dedup();
    Ok(ports)
}

/// Checks what `expose` lists; it changes nothing, since containers of one network reach every port of each other.
pub(super) fn expose(node: &Node<'_>) -> Read<()> {
    for item in node.items("expose: [\"80\"]")? {
        let text = item.scalar("\"80\"")?;
        let (ports, proto) = text.split_once('/').unwrap_or((&text, "tcp"));
        range(ports, &item)?;
        protocol(proto, &item)?;
    }
    Ok(())
}

/// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, where HOST and CONTAINER may be ranges.
fn short(node: &Node<'_>) -> Read<Vec<PortSpec>> {
    let text = node.scalar(EXAMPLE)?;
    let (rest, proto) = text.split_once('/').unwrap_or((&text, "tcp"));
    let protocol = protocol(proto, node)?;
    let (rest, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (ip, host) = match rest.rsplit_once(':') {
        Some((ip, host)) => (host_ip(ip, node)?, host),
        None => (None, rest),
    };
    publish(ip, host, container, protocol, node)
}

fn long(node: &Node<'_>) -> Read<Vec<PortSpec>> {
    let example = "{target: 80, published: \"8080\"}";
    let (mut ip, mut published, mut target, mut proto) = (None, String::new(), String::new(), Protocol::Tcp);
    for (key, value) in node.entries(example)? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "target" => target = value.scalar(example)?,
            "published" => published = value.scalar(example)?,
            "host_ip" => ip = host_ip(value.text("127.0.0.1")?, &value)?,
            "protocol" => proto = protocol(value.text("tcp")?, &value)?,
            "name" | "app_protocol" => {
                value.text("http")?;
            }
            "mode" => match value.text("host")? {
                "host" | "ingress" => {}
                other => return Err(value.issue(format!("unknown mode {other:?}"), "use host, or remove it")),
            },
            _ => {
                return Err(node.unknown(key, ["target", "published", "host_ip", "protocol", "name", "mode"]));
            }
        }
    }
    if target.is_empty() {
        return Err(node.issue("target is missing", format!("write it like {example}")));
    }
    if target.contains('-') {
        return Err(node.issue("target is one port", "use the short syntax for ranges: \"8000-8005:80-85\""));
    }
    publish(ip, &published, &target, proto, node)
}

fn publish(
    host_ip: Option<Ipv4Addr>,
    host: &str,
    container: &str,
    protocol: Protocol,
    node: &Node<'_>,
) -> Read<Vec<PortSpec>> {
    let inside = range(container, node)?;
    if host.is_empty() {
        return Err(node.issue(
            format!("no host port is given for {container}, and one chosen at random would change"),
            format!("choose one: \"{container}:{container}\"; containers of one network need none"),
        ));
    }
    let outside = range(host, node)?;
    let spec = |(host_port, container_port)| PortSpec { host_ip, host_port, container_port, protocol };
    if inside.clone().count() == outside.clone().count() {
        return Ok(outside.zip(inside).map(spec).collect());
    }
    if inside.start() == inside.end() {
        // Any port of the range will do: always the first, so that the same document publishes the same port.
        return Ok(vec![spec((*outside.start(), *inside.start()))]);
    }
    let reason = format!("the ranges {host} and {container} are not equally long");
    Err(node.issue(reason, "write it like \"8000-8005:80-85\""))
}

fn range(text: &str, node: &Node<'_>) -> Read<RangeInclusive<u16>> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|p| *p > 0 && !text.starts_with('+'));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(node.issue(
            format!("{text:?} is not a port"),
            format!("write it like {EXAMPLE}, with ports from 1 to 65535"),
        )),
    }
}

fn protocol(text: &str, node: &Node<'_>) -> Read<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(node.issue(format!("the protocol {text:?} is not supported"), "use tcp or udp")),
    }
}

fn host_ip(text: &str, node: &Node<'_>) -> Read<Option<Ipv4Addr>> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(IpAddr::V4(ip)) => Ok(Some(ip).filter(|ip| !ip.is_unspecified())),
        Ok(IpAddr::V6(_)) => {
            let reason = "publishing on one IPv6 address is not supported yet";
            Err(node.issue(reason, "leave the address out to publish on all"))
        }
        Err(_) => {
            Err(node.issue(format!("{text:?} is not an address"), "write it like \"127.0.0.1:8080:80\""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_yaml::Value;

    fn read_one(yaml: &str) -> Result<Vec<String>, String> {
        let value: Value = serde_yaml::from_str(&format!("[{yaml}]")).unwrap();
        let ports = read(&Node::new("ports", &value)).map_err(|issue| issue.reason)?;
        let show = |p: &PortSpec| {
            let ip = p.host_ip.map_or(String::new(), |ip| format!("{ip}:"));
            format!("{ip}{}:{}/{}", p.host_port, p.container_port, p.protocol.as_str())
        };
        Ok(ports.iter().map(show).collect())
    }

    #[test]
    fn every_form_of_the_specification() {
        let rows: &[(&str, &[&str])] = &[
            ("\"8080:80\"", &["8080:80/tcp"]),
            ("\"53:53/udp\"", &["53:53/udp"]),
            ("\"127.0.0.1:8001:80\"", &["127.0.0.1:8001:80/tcp"]),
            ("\"0.0.0.0:8001:80\"", &["8001:80/tcp"]),
            ("\"9090-9091:8080-8081\"", &["9090:8080/tcp", "9091:8081/tcp"]),
            (
                "\"127.0.0.1:5000-5001:5000-5001/udp\"",
                &["127.0.0.1:5000:5000/udp", "127.0.0.1:5001:5001/udp"],
            ),
            ("\"8000-9000:80\"", &["8000:80/tcp"]),
            ("{target: 80, published: \"8080\"}", &["8080:80/tcp"]),
            (
                "{target: 80, published: 8080, host_ip: 127.0.0.1, protocol: udp, mode: host}",
                &["127.0.0.1:8080:80/udp"],
            ),
            ("\"1:1\", \"1:1\"", &["1:1/tcp"]),
        ];
        for (yaml, expected) in rows {
            assert_eq!(read_one(yaml).unwrap(), *expected, "{yaml}");
        }
    }

    #[test]
    fn what_cannot_be_published_is_refused() {
        let rows = [
            ("\"80\"", "no host port"),
            ("80", "no host port"),
            ("\"[::1]:80:80\"", "IPv6"),
            ("\"::1:80:80\"", "IPv6"),
            ("\"80:80/sctp\"", "sctp"),
            ("\"0:80\"", "not a port"),
            ("\"80:65536\"", "not a port"),
            ("\"10-5:10-5\"", "not a port"),
            ("\"1-2:1-3\"", "equally long"),
            ("\"a:b:c\"", "not an address"),
            ("\"80:\"", "not a port"),
            ("{published: 80}", "target is missing"),
            ("{target: 80, publishd: 80}", "unknown key"),
            ("[80]", "expected a text"),
        ];
        for (yaml, expected) in rows {
            let reason = read_one(yaml).unwrap_err();
            assert!(reason.contains(expected), "{yaml}: {reason}");
        }
    }
}
