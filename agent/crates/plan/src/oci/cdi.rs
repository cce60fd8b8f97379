//! The Container Device Interface (specification 0.3 to 0.8): what a vendor's files say a container needs to use a device.

use super::{HostDevice, OciError};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// One file of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CdiSpec {
    /// Version of the specification.
    pub cdi_version: String,
    /// Vendor and class, as `vendor.com/class`.
    pub kind: String,
    /// What every device of the file brings along.
    #[serde(default)]
    pub container_edits: CdiEdits,
    /// The devices.
    #[serde(default)]
    pub devices: Vec<CdiDevice>,
}

/// One device of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CdiDevice {
    /// Its name in its class.
    pub name: String,
    /// What it changes in a container.
    #[serde(default)]
    pub container_edits: CdiEdits,
}

/// Changes to a container, as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CdiEdits {
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Device nodes.
    pub device_nodes: Vec<CdiNode>,
    /// Programs to be run around a container's start.
    pub hooks: Vec<serde_json::Value>,
    /// Files and directories of the host.
    pub mounts: Vec<CdiMount>,
    /// Cache and bandwidth classes.
    pub intel_rdt: Option<serde_json::Value>,
    /// Interfaces to be moved into the container.
    pub net_devices: Vec<serde_json::Value>,
    /// Supplementary groups.
    #[serde(rename = "additionalGids")]
    pub additional_gids: Vec<u32>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CdiNode {
    /// Inside.
    pub path: PathBuf,
    /// On the host; the same if `None`.
    #[serde(default)]
    pub host_path: Option<PathBuf>,
    /// `b`, `c`, `u` or `p`; as on the host if `None`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// As on the host if 0.
    #[serde(default)]
    pub major: i64,
    /// As on the host if 0.
    #[serde(default)]
    pub minor: i64,
    /// Permission bits.
    #[serde(default)]
    pub file_mode: Option<u32>,
    /// Of `r`, `w` and `m`; all if `None`.
    #[serde(default)]
    pub permissions: Option<String>,
    /// Owner.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group.
    #[serde(default)]
    pub gid: Option<u32>,
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CdiMount {
    /// On the host.
    pub host_path: PathBuf,
    /// Inside.
    pub container_path: PathBuf,
    /// File system type; a bind mount if `None`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Options as mount(8) has them.
    #[serde(default)]
    pub options: Vec<String>,
}

/// What the devices of one container bring along, with every node looked up on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// `NAME=value`, later ones winning.
    pub env: Vec<String>,
    /// Device nodes.
    pub devices: Vec<HostDevice>,
    /// Mounts in order.
    pub mounts: Vec<EditedMount>,
    /// Supplementary groups; for the caller to hand on with the container's own.
    pub groups: Vec<u32>,
}

/// One mount of [`Edits`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedMount {
    /// On the host.
    pub source: PathBuf,
    /// Inside.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
    /// Options.
    pub options: Vec<String>,
}

/// What a device node is on the host: character device, major, minor, and its permission bits.
pub type NodeStat = (bool, u64, u64, u32);

/// Finds devices by their full names in what files say, and puts their changes together. `stat` looks a device node of the host
/// up.
///
/// # Errors
/// In Docker's words, every name that no file has; then whatever of the changes is not supported, by name.
pub fn resolve(
    files: &[CdiSpec],
    names: &[String],
    stat: impl Fn(&std::path::Path) -> Option<NodeStat>,
) -> Result<Edits, OciError> {
    let find = |name: &String| {
        let (kind, device) = name.split_once('=')?;
        // A later directory's files win over an earlier one's.
        files
            .iter()
            .rev()
            .filter(|file| file.kind == kind)
            .find_map(|file| file.devices.iter().find(|d| d.name == device).map(|d| (file, d)))
    };
    let unknown: Vec<&str> = names.iter().filter(|n| find(n).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(OciError::Cdi(format!("unresolvable CDI devices {}", unknown.join(", "))));
    }
    let mut edits = Edits::default();
    let mut done: BTreeSet<*const CdiSpec> = BTreeSet::new();
    for (name, (file, device)) in names.iter().filter_map(|name| find(name).map(|found| (name, found))) {
        if done.insert(file) {
            add(&mut edits, name, &file.container_edits, &stat)?;
        }
        add(&mut edits, name, &device.container_edits, &stat)?;
    }
    Ok(edits)
}

fn add(
    edits: &mut Edits,
    name: &str,
    more: &CdiEdits,
    stat: impl Fn(&std::path::Path) -> Option<NodeStat>,
) -> Result<(), OciError> {
    let unsupported = [
        (!more.hooks.is_empty(), "hooks"),
        (more.intel_rdt.is_some(), "intelRdt"),
        (!more.net_devices.is_empty(), "netDevices"),
    ];
    if let Some((_, what)) = unsupported.into_iter().find(|(there, _)| *there) {
        return Err(OciError::Cdi(format!("device {name} asks for {what}, which are not supported")));
    }
    edits.env.extend(more.env.iter().cloned());
    edits.groups.extend(&more.additional_gids);
    for node in &more.device_nodes {
        edits.devices.push(device(name, node, &stat)?);
    }
    for mount in &more.mounts {
        let mut options = mount.options.clone();
        let kind = mount.kind.clone().filter(|k| !k.is_empty()).unwrap_or_else(|| "bind".to_owned());
        if kind == "bind" && !options.iter().any(|o| o == "bind" || o == "rbind") {
            options.push("rbind".to_owned());
        }
        let (source, target) = (mount.host_path.clone(), mount.container_path.clone());
        edits.mounts.push(EditedMount { source, target, kind, options });
    }
    Ok(())
}

fn device(
    name: &str,
    node: &CdiNode,
    stat: impl Fn(&std::path::Path) -> Option<NodeStat>,
) -> Result<HostDevice, OciError> {
    let host = node.host_path.as_ref().unwrap_or(&node.path);
    let found = stat(host);
    let written = match (node.kind.as_deref(), u64::try_from(node.major), u64::try_from(node.minor)) {
        (Some("c" | "u"), Ok(major), Ok(minor)) if node.major > 0 => Some((true, major, minor)),
        (Some("b"), Ok(major), Ok(minor)) if node.major > 0 => Some((false, major, minor)),
        _ => None,
    };
    let numbers = written.or(found.map(|(character, major, minor, _)| (character, major, minor)));
    let (character, major, minor) = numbers.ok_or_else(|| {
        OciError::Cdi(format!("device {name} needs {}, which is not a device of this host", host.display()))
    })?;
    Ok(HostDevice {
        path: node.path.clone(),
        character,
        major,
        minor,
        permissions: node.permissions.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "rwm".to_owned()),
        mode: node.file_mode.or(found.map(|(.., mode)| mode)),
        uid: node.uid.unwrap_or(0),
        gid: node.gid.unwrap_or(0),
    })
}
