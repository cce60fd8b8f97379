//! Ports that are published or exposed.

use crate::cli::failure::Failure;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The exposed ports, and the published ones.
type Ports = (Map<String, Value>, Map<String, Value>);

/// Reads `-p` and `--expose`.
pub(super) fn read(publish: &[&str], expose: &[&str]) -> Result<Ports, Failure> {
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for text in publish {
        let short = if text.contains('=') { short_form(text)? } else { (*text).to_owned() };
        for (port, binding) in published(&short).map_err(Failure::new)? {
            exposed.insert(port.clone(), json!({}));
            let list = bindings.entry(port).or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|list| list.push(binding.clone()));
        }
    }
    for text in expose {
        if text.contains(':') {
            return Err(Failure::new(format!("invalid port format for --expose: {text}")));
        }
        let (ports, protocol) = split_protocol(text);
        let bad = |why| Failure::new(format!("invalid range format for --expose: {text}, error: {why}"));
        let (first, last) = range(ports).map_err(bad)?;
        exposed.extend((first..=last).map(|port| (format!("{port}/{protocol}"), json!({}))));
    }
    Ok((exposed, bindings))
}

/// `target=80,published=8080,protocol=tcp` in the short form.
fn short_form(text: &str) -> Result<String, Failure> {
    let (mut target, mut published, mut protocol) = ("", None, "tcp");
    for part in text.split(',') {
        let bad =
            || Failure::new(format!("invalid publish opts format (should be name=value but got '{part}')"));
        let (key, value) = part.split_once('=').ok_or_else(bad)?;
        match key {
            "target" => target = value,
            "published" => published = Some(value),
            "protocol" => protocol = value,
            _ => return Err(Failure::new(format!("invalid field key {key}"))),
        }
    }
    Ok(published.map_or_else(|| format!("{target}/{protocol}"), |p| format!("{p}:{target}/{protocol}")))
}

fn split_protocol(text: &str) -> (&str, String) {
    match text.split_once('/') {
        Some((port, "")) => (port, "tcp".to_owned()),
        Some((port, protocol)) => (port, protocol.to_lowercase()),
        None => (text, "tcp".to_owned()),
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |t: &str| {
        t.parse::<u16>().map_err(|e| {
            let why = match e.kind() {
                std::num::IntErrorKind::PosOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.ParseUint: parsing {t:?}: {why}")
        })
    };
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if last < first { Err(format!("invalid range specified for port: {text}")) } else { Ok((first, last)) }
}

/// `[[address:]host port:]port[/protocol]`, with ranges: ports and where each is published.
fn published(text: &str) -> Result<Vec<(String, Value)>, String> {
    let parts: Vec<&str> = text.rsplitn(3, ':').collect();
    let (inside, outside, address) = match parts.as_slice() {
        [inside] => (*inside, "", ""),
        [inside, outside] => (*inside, *outside, ""),
        [inside, outside, address, ..] => (*inside, *outside, *address),
        [] => ("", "", ""),
    };
    let (inside, protocol) = split_protocol(inside);
    let bare = crate::cli::flags::check::bare(address);
    if !bare.is_empty() && bare.split('%').next().unwrap_or(bare).parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    if inside.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range(inside).map_err(|_| format!("invalid containerPort: {inside}"))?;
    let host = match outside {
        "" => None,
        text => Some(range(text).map_err(|_| format!("invalid hostPort: {text}"))?),
    };
    let several = host.is_some_and(|(from, to)| to - from != last - first);
    if several && first != last {
        return Err(format!("invalid ranges specified for container and host Ports: {inside} and {outside}"));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let bind = |step: u16| match host {
        None => String::new(),
        Some((from, to)) if several => format!("{from}-{to}"),
        Some((from, _)) => (from + step).to_string(),
    };
    Ok((0..=last - first)
        .map(|step| {
            let binding = json!({ "HostIp": bare, "HostPort": bind(step) });
            (format!("{}/{protocol}", first + step), binding)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_is_refused_in_dockers_words() {
        let rows = [
            ("abc", "invalid containerPort: abc"),
            ("x:80", "invalid hostPort: x"),
            ("1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"),
            ("80/foo", "invalid proto: foo"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("80:", "no port specified: 80:<empty>"),
            ("99999", "invalid containerPort: 99999"),
            ("82-80", "invalid containerPort: 82-80"),
        ];
        for (text, wanted) in rows {
            assert_eq!(read(&[text], &[]).unwrap_err().message, wanted, "{text}");
        }
        let (exposed, bindings) = read(&["target=80,published=8080,protocol=udp"], &["90/tcp"]).unwrap();
        assert_eq!(bindings["80/udp"][0]["HostPort"], "8080");
        assert!(exposed.contains_key("90/tcp") && exposed.contains_key("80/udp"));
        assert!(read(&[], &["a:b"]).is_err());
    }
}
