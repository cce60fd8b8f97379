//! Volumes, host directories and memory, in the short and the long syntax.

use super::declared::Declared;
use crate::node::{Node, Read};
use hull_model::{MountKind, MountOptions, MountSpec, parse_bytes};
use std::path::{Component, Path, PathBuf};

const EXAMPLE: &str = "\"data:/var/lib/app\"";

/// Reads `volumes`, in the order they are mounted.
pub(super) fn volumes(node: &Node<'_>, declared: &Declared) -> Read<Vec<MountSpec>> {
    let read = |item: &Node<'_>| match item.value().is_mapping() {
        true => long(item, declared),
        false => short(item, declared),
    };
    node.items("volumes: [\"data:/var/lib/app\"]")?.iter().map(read).collect()
}

/// Reads `tmpfs`: a path or several, each with options after a colon.
pub(super) fn tmpfs(node: &Node<'_>) -> Read<Vec<MountSpec>> {
    node.one_or_many("tmpfs: [\"/run:size=64m\"]")?.iter().map(tmpfs_entry).collect()
}

/// Refuses two mounts on one target.
pub(super) fn check_targets(mounts: &[MountSpec], node: &Node<'_>) -> Read<()> {
    for (i, mount) in mounts.iter().enumerate() {
        if mounts[..i].iter().any(|other| other.target == mount.target) {
            let reason = format!("two mounts have the target {}", mount.target.display());
            return Err(node.issue(reason, "keep one of them"));
        }
    }
    Ok(())
}

/// `[SOURCE:]TARGET[:MODE]`
fn short(node: &Node<'_>, declared: &Declared) -> Read<MountSpec> {
    let text = node.text(EXAMPLE)?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target_text, mode) = match parts[..] {
        [source, target] => (source, target, "rw"),
        [source, target, mode] => (source, target, mode),
        [_] => return Err(anonymous(node)),
        _ => return Err(node.issue(format!("{text:?} is not a mount"), format!("write it like {EXAMPLE}"))),
    };
    let (mut read_only, mut options) = (false, MountOptions::default());
    for option in mode.split(',') {
        match option {
            "ro" => read_only = true,
            // Nothing is labelled, and every view of a file is the same.
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => options.no_copy = true,
            way if is_propagation(way) => options.propagation = Some(way.to_owned()),
            _ => {
                let remedy = "use ro, rw, z, nocopy, a way of propagation like rslave, or nothing";
                return Err(node.issue(format!("the mode {option:?} is not supported"), remedy));
            }
        }
    }
    let kind = match source {
        "" => return Err(anonymous(node)),
        path if path.starts_with('/') => MountKind::Bind { source: host_path(path, node)?, create: true },
        path if path.starts_with(['.', '~']) => return Err(relative(path, node)),
        name => MountKind::Volume { name: declared.volume(name, node)? },
    };
    Ok(MountSpec { kind, target: target(target_text, node)?, read_only, options })
}

/// Ways in which mounts spread (mount_namespaces(7)).
fn is_propagation(text: &str) -> bool {
    ["private", "rprivate", "slave", "rslave", "shared", "rshared"].contains(&text)
}

fn anonymous(node: &Node<'_>) -> crate::node::Issue {
    let reason = "a volume without a name is not supported yet";
    node.issue(reason, format!("declare one under volumes and write it like {EXAMPLE}"))
}

fn relative(path: &str, node: &Node<'_>) -> crate::node::Issue {
    let reason = format!("{path:?} is a relative path, and this document lies in no directory");
    node.issue(reason, "write the whole path on the host, or use a named volume")
}

/// What the keys of the long syntax say, before they are read together.
#[derive(Default)]
struct Long<'a> {
    kind: &'a str,
    source: Option<Node<'a>>,
    target: Option<PathBuf>,
    read_only: bool,
    create: Option<bool>,
    size: Option<u64>,
    mode: Option<u32>,
    options: MountOptions,
}

fn long(node: &Node<'_>, declared: &Declared) -> Read<MountSpec> {
    let example = "{type: volume, source: data, target: /var/lib/app}";
    let mut long = Long::default();
    for (key, value) in node.entries(example)? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "type" => long.kind = value.text("type: volume")?,
            "source" => long.source = Some(value),
            "target" => long.target = Some(target(value.text(example)?, &value)?),
            "read_only" => long.read_only = value.boolean()?,
            "consistency" => {
                value.text("cached")?;
            }
            "bind" | "volume" | "tmpfs" => kind_options(key, &value, &mut long)?,
            _ => {
                let known = ["type", "source", "target", "read_only", "bind", "volume", "tmpfs"];
                return Err(node.unknown(key, known));
            }
        }
    }
    let kind = long_kind(&long, node, declared)?;
    let target =
        long.target.ok_or_else(|| node.issue("target is missing", format!("write it like {example}")))?;
    Ok(MountSpec { kind, target, read_only: long.read_only, options: long.options })
}

fn kind_options(kind: &str, node: &Node<'_>, long: &mut Long<'_>) -> Read<()> {
    for (key, value) in node.entries("bind: {create_host_path: false}")? {
        match (kind, key) {
            _ if value.is_null() || key.starts_with("x-") => {}
            ("bind", "create_host_path") => long.create = Some(value.boolean()?),
            ("tmpfs", "size") => long.size = Some(bytes(&value)?),
            ("tmpfs", "mode") => long.mode = Some(mode(&value)?),
            ("bind", "propagation") => {
                let way = value.text("rslave")?;
                if !is_propagation(way) {
                    return Err(value.expected("a way of propagation", "rslave"));
                }
                long.options.propagation = Some(way.to_owned());
            }
            ("bind", "recursive") => recursive(&value, &mut long.options)?,
            // This host labels nothing.
            ("bind", "selinux") => _ = value.text("z")?,
            ("volume", "nocopy") => long.options.no_copy = value.boolean()?,
            ("volume", "subpath") => long.options.subpath = Some(subpath(&value)?),
            ("volume", "labels") => {
                return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
            }
            _ => {
                return Err(node.unknown(
                    key,
                    ["create_host_path", "propagation", "recursive", "nocopy", "subpath", "size", "mode"],
                ));
            }
        }
    }
    Ok(())
}

/// How far a bind reaches, and how far it is read-only.
fn recursive(node: &Node<'_>, options: &mut MountOptions) -> Read<()> {
    match node.text("enabled")? {
        "enabled" => {}
        "disabled" => options.not_recursive = true,
        "writable" => options.writable_below = true,
        "readonly" => options.recursive_read_only = true,
        _ => return Err(node.expected("how far a bind reaches", "enabled, disabled, writable or readonly")),
    }
    Ok(())
}

fn subpath(node: &Node<'_>) -> Read<String> {
    let text = node.text("conf/app")?;
    let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    match !text.is_empty() && inside && !text.contains(['\0', ',']) {
        true => Ok(text.to_owned()),
        false => Err(node.issue(format!("{text:?} is not a path inside a volume"), "write it like conf/app")),
    }
}

fn long_kind(long: &Long<'_>, node: &Node<'_>, declared: &Declared) -> Read<MountKind> {
    let source = || match &long.source {
        Some(value) => Ok((value.text("source: data")?, value)),
        None => Err(node.issue("source is missing", "name the volume, or the path on the host")),
    };
    match long.kind {
        "volume" if long.source.is_none() => Err(anonymous(node)),
        "volume" => {
            let (name, at) = source()?;
            Ok(MountKind::Volume { name: declared.volume(name, at)? })
        }
        "bind" => {
            let (path, at) = source()?;
            if !path.starts_with('/') {
                return Err(relative(path, at));
            }
            Ok(MountKind::Bind { source: host_path(path, at)?, create: long.create.unwrap_or(true) })
        }
        "tmpfs" => Ok(MountKind::Tmpfs { size: long.size, mode: long.mode }),
        "" => Err(node.issue("type is missing", "use volume, bind or tmpfs")),
        other => Err(node.issue(format!("the type {other:?} is not supported"), "use volume, bind or tmpfs")),
    }
}

fn tmpfs_entry(node: &Node<'_>) -> Read<MountSpec> {
    let text = node.text("/run:size=64m,mode=1777")?;
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut permissions, mut read_only) = (None, None, false);
    let mut more = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("size", value) => {
                let parsed =
                    parse_bytes(value).map_err(|e| node.issue(e.to_string(), "write it like size=64m"))?;
                size = Some(parsed);
            }
            ("mode", value) => permissions = Some(octal(value, node)?),
            ("ro", "") => read_only = true,
            ("uid" | "gid", value) if value.parse::<u32>().is_ok() => more.push(option.to_owned()),
            ("nr_inodes", value) if parse_bytes(value).is_ok() => more.push(option.to_owned()),
            // The first four are so already, as in Docker.
            ("rw" | "nosuid" | "nodev" | "noexec", "") => {}
            ("exec" | "suid" | "dev" | "noatime" | "nodiratime" | "relatime" | "strictatime", "") => {
                more.push(option.to_owned());
            }
            _ => {
                let reason = format!("the option {option:?} is not supported");
                return Err(node.issue(
                    reason,
                    "use size=, mode=, uid=, gid=, nr_inodes=, exec, suid, dev and ro, or remove it",
                ));
            }
        }
    }
    Ok(MountSpec {
        kind: MountKind::Tmpfs { size, mode: permissions },
        target: target(path, node)?,
        read_only,
        options: MountOptions { tmpfs: more, ..MountOptions::default() },
    })
}

/// A size, as a number of bytes or with a unit.
pub(super) fn bytes(node: &Node<'_>) -> Read<u64> {
    let text = node.scalar("512m")?;
    parse_bytes(&text).map_err(|e| node.issue(e.to_string(), "write it like 512m"))
}

/// Octal in quotes, or a number as YAML writes octal (`0o1777`).
fn mode(node: &Node<'_>) -> Read<u32> {
    match node.value() {
        serde_yaml::Value::Number(n) => {
            let mode = n.as_u64().filter(|n| *n <= 0o7777);
            mode.map(|n| n as u32).ok_or_else(|| node.expected("permission bits", "\"1777\""))
        }
        _ => octal(node.text("\"1777\"")?, node),
    }
}

fn octal(text: &str, node: &Node<'_>) -> Read<u32> {
    let parsed = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    parsed.ok_or_else(|| node.issue(format!("{text:?} is not permission bits"), "write it like 1777"))
}

fn clean(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    // Gathering the components drops doubled and trailing slashes and single dots.
    (path.is_absolute() && plain && !text.contains('\0')).then(|| path.components().collect())
}

fn host_path(text: &str, node: &Node<'_>) -> Read<PathBuf> {
    clean(text)
        .ok_or_else(|| node.issue(format!("{text:?} is not a path on the host"), "write it without .."))
}

fn target(text: &str, node: &Node<'_>) -> Read<PathBuf> {
    let path = clean(text).filter(|path| path != Path::new("/"));
    path.ok_or_else(|| {
        let reason = format!("the target {text:?} is not an absolute path inside the container");
        node.issue(reason, format!("write it like {EXAMPLE}"))
    })
}
