//! Whose namespaces a service uses, which devices it may use, and where its control group is.

use crate::node::{Node, Read};
use hull_model::{ContainerSpec, DeviceSpec, IpcMode, NamespaceMode, NetworkMode};
use std::path::PathBuf;

/// What a service shares with another service's container, until containers have their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Join {
    kind: Kind,
    /// The other service.
    pub(super) service: String,
    /// The place that says so.
    pub(super) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pid,
    Ipc,
    Network,
}

impl Join {
    /// Names the other service's container.
    pub(super) fn settle(&self, spec: &mut ContainerSpec, container: &str) {
        let container = container.to_owned();
        match self.kind {
            Kind::Pid => spec.pid = NamespaceMode::Container(container),
            Kind::Ipc => spec.ipc = IpcMode::Container(container),
            Kind::Network => spec.network = NetworkMode::Container(container),
        }
    }
}

/// A mode that names whom something is shared with.
enum Shared<'a> {
    Container(&'a str),
    Service(&'a str),
}

fn shared(text: &str) -> Option<Shared<'_>> {
    let named = |kind: &str| text.strip_prefix(kind).filter(|name| !name.is_empty());
    named("container:").map(Shared::Container).or_else(|| named("service:").map(Shared::Service))
}

fn join(kind: Kind, service: &str, node: &Node<'_>) -> Join {
    Join { kind, service: service.to_owned(), path: node.path().to_owned() }
}

/// Reads `pid`.
pub(super) fn pid(node: &Node<'_>, spec: &mut ContainerSpec, joins: &mut Vec<Join>) -> Read<()> {
    let text = node.text("pid: host")?;
    match (text, shared(text)) {
        ("host", _) => spec.pid = NamespaceMode::Host,
        (_, Some(Shared::Container(name))) => spec.pid = NamespaceMode::Container(name.to_owned()),
        (_, Some(Shared::Service(name))) => joins.push(join(Kind::Pid, name, node)),
        _ => return Err(node.expected("a mode", "host, service:web or container:web")),
    }
    Ok(())
}

/// Reads `ipc`.
pub(super) fn ipc(node: &Node<'_>, spec: &mut ContainerSpec, joins: &mut Vec<Join>) -> Read<()> {
    let text = node.text("ipc: shareable")?;
    match (text, shared(text)) {
        ("private", _) => spec.ipc = IpcMode::Private,
        ("shareable", _) => spec.ipc = IpcMode::Shareable,
        ("none", _) => spec.ipc = IpcMode::None,
        ("host", _) => spec.ipc = IpcMode::Host,
        (_, Some(Shared::Container(name))) => spec.ipc = IpcMode::Container(name.to_owned()),
        (_, Some(Shared::Service(name))) => joins.push(join(Kind::Ipc, name, node)),
        _ => return Err(node.expected("a mode", "private, shareable, none, host or service:web")),
    }
    Ok(())
}

/// Reads `network_mode`. The answer is whether the service has networks of its own.
pub(super) fn network_mode(node: &Node<'_>, spec: &mut ContainerSpec, joins: &mut Vec<Join>) -> Read<bool> {
    let text = node.text("network_mode: none")?;
    match (text, shared(text)) {
        ("bridge" | "default", _) => return Ok(true),
        ("none", _) => {}
        ("host", _) => spec.network = NetworkMode::Host,
        (_, Some(Shared::Container(name))) => spec.network = NetworkMode::Container(name.to_owned()),
        (_, Some(Shared::Service(name))) => joins.push(join(Kind::Network, name, node)),
        _ => return Err(node.expected("a mode", "bridge, none, host, service:web or container:web")),
    }
    Ok(false)
}

/// Reads `uts` or `cgroup`: the host's, or the container's own where that can be said.
pub(super) fn namespace(node: &Node<'_>, private: bool) -> Read<NamespaceMode> {
    match node.text("host")? {
        "host" => Ok(NamespaceMode::Host),
        "private" if private => Ok(NamespaceMode::Private),
        _ => Err(node.expected("a mode", if private { "host or private" } else { "host" })),
    }
}

/// Reads `devices` in the short and the long form; names of the Container Device Interface stand for themselves.
pub(super) fn devices(node: &Node<'_>, spec: &mut ContainerSpec) -> Read<()> {
    for item in node.items("devices: [\"/dev/ttyUSB0:/dev/tty0:rw\"]")? {
        if item.value().is_mapping() {
            spec.devices.push(long(&item)?);
            continue;
        }
        let text = item.text("/dev/ttyUSB0")?;
        if !text.starts_with('/') && text.contains('=') {
            spec.cdi_devices.push(text.to_owned());
            continue;
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (host, inside, permissions) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, access] if is_access(access) => (host, host, access),
            [host, inside] => (host, inside, "rwm"),
            [host, inside, access] => (host, inside, access),
            _ => return Err(item.expected("a device", "\"/dev/ttyUSB0:/dev/tty0:rw\"")),
        };
        spec.devices.push(device(&item, host, inside, permissions)?);
    }
    Ok(())
}

fn long(node: &Node<'_>) -> Read<DeviceSpec> {
    let (mut source, mut target, mut permissions) = (None, None, "rwm");
    for (key, value) in node.entries("{source: /dev/ttyUSB0, target: /dev/tty0}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "source" => source = Some(value.text("/dev/ttyUSB0")?),
            "target" => target = Some(value.text("/dev/tty0")?),
            "permissions" => permissions = value.text("rwm")?,
            _ => return Err(node.unknown(key, ["source", "target", "permissions"])),
        }
    }
    let source = source.ok_or_else(|| node.issue("source is missing", "name the device of the host"))?;
    device(node, source, target.unwrap_or(source), permissions)
}

fn device(node: &Node<'_>, host: &str, inside: &str, permissions: &str) -> Read<DeviceSpec> {
    let path =
        |text: &str| text.starts_with('/') && !text.contains('\0') && !text.split('/').any(|p| p == "..");
    if !path(host) || !path(inside) || !is_access(permissions) {
        return Err(node.expected("a device", "\"/dev/ttyUSB0:/dev/tty0:rw\""));
    }
    let (host, container) = (PathBuf::from(host), PathBuf::from(inside));
    Ok(DeviceSpec { host, container, permissions: permissions.to_owned() })
}

fn is_access(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|b| b"rwm".contains(&b))
}

/// Reads `device_cgroup_rules`.
pub(super) fn device_rules(node: &Node<'_>) -> Read<Vec<String>> {
    let number = |text: &str| text == "*" || text.parse::<u32>().is_ok();
    let rule = |item: &Node<'_>| {
        let text = item.text("c 188:* rmw")?;
        let words: Vec<&str> = text.split(' ').collect();
        let good = matches!(words[..], ["a" | "b" | "c", numbers, access]
            if numbers.split_once(':').is_some_and(|(a, b)| number(a) && number(b)) && is_access(access));
        good.then(|| text.to_owned()).ok_or_else(|| item.expected("a rule for devices", "\"c 188:* rmw\""))
    };
    node.items("device_cgroup_rules: [\"c 188:* rmw\"]")?.iter().map(rule).collect()
}

/// Reads `oom_score_adj`.
pub(super) fn oom_score_adj(node: &Node<'_>) -> Read<i32> {
    let number = node.scalar("-500")?.parse::<i32>().ok().filter(|n| (-1000..=1000).contains(n));
    number.ok_or_else(|| node.expected("a number from -1000 to 1000", "-500"))
}
