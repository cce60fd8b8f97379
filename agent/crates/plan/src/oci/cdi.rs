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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files() -> Vec<CdiSpec> {
        let list = json!([
            {"cdiVersion": "0.3.0", "kind": "v.com/gpu", "containerEdits": {"env": ["ALL=1"], "additionalGids": [44]},
             "devices": [
                {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu0"}, {"path": "/dev/ctl", "type": "c", "major": 195, "minor": 255, "permissions": "rw", "uid": 7}],
                    "mounts": [{"hostPath": "/lib/gpu.so", "containerPath": "/lib/gpu.so", "options": ["ro", "nosuid"]}]}},
                {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/gpu1", "hostPath": "/dev/other"}]}},
                {"name": "hooked", "containerEdits": {"hooks": [{"hookName": "createContainer", "path": "/bin/x"}]}},
                {"name": "gone", "containerEdits": {"deviceNodes": [{"path": "/dev/gone"}]}}]},
            {"cdiVersion": "0.8.0", "kind": "v.com/gpu", "devices": [{"name": "1", "containerEdits": {"env": ["LATER=1"]}}]},
        ]);
        serde_json::from_value(list).unwrap()
    }

    fn find(names: &[&str]) -> Result<Edits, String> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let stat = |path: &std::path::Path| match path.to_str() {
            Some("/dev/gpu0") => Some((true, 195, 0, 0o660)),
            _ => None,
        };
        resolve(&files(), &names, stat).map_err(|e| e.to_string())
    }

    #[test]
    fn devices_bring_what_their_files_say() {
        let edits = find(&["v.com/gpu=0"]).unwrap();
        assert_eq!(
            (edits.env.as_slice(), edits.groups.as_slice()),
            (["ALL=1".to_owned()].as_slice(), [44].as_slice())
        );
        let numbers: Vec<_> =
            edits.devices.iter().map(|d| (d.major, d.minor, d.permissions.as_str(), d.mode, d.uid)).collect();
        assert_eq!(numbers, [(195, 0, "rwm", Some(0o660), 0), (195, 255, "rw", None, 7)]);
        assert_eq!(
            (edits.mounts[0].kind.as_str(), edits.mounts[0].options.last().unwrap().as_str()),
            ("bind", "rbind")
        );
        // The file of the later directory has the word; what a whole file brings comes once.
        assert_eq!(find(&["v.com/gpu=1"]).unwrap().env, ["LATER=1"]);
        assert_eq!(find(&["v.com/gpu=0", "v.com/gpu=0"]).unwrap().env, ["ALL=1"]);
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let unknown = find(&["v.com/gpu=9", "v.com/gpu=0", "nonsense"]).unwrap_err();
        assert_eq!(unknown, "CDI device injection failed: unresolvable CDI devices v.com/gpu=9, nonsense");
        assert!(find(&["v.com/gpu=hooked"]).unwrap_err().contains("asks for hooks"));
        assert!(find(&["v.com/gpu=gone"]).unwrap_err().contains("/dev/gone"));
    }
}
