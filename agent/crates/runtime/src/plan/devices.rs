//! Devices: which nodes are shown, and which may be used.

use super::{container_path, refused};
use crate::failure::Result;
use oci_spec::runtime::{Linux, LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A device node of the container's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// Path in the container.
    pub path: PathBuf,
    /// A character device; a block device otherwise.
    pub character: bool,
    /// Device numbers.
    pub major: u32,
    /// Device numbers.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// May be made (`BPF_DEVCG_ACC_MKNOD`).
pub const MAKE: u8 = 1;
/// May be read.
pub const READ: u8 = 2;
/// May be written.
pub const WRITE: u8 = 4;

/// One rule for using devices. Of all rules that fit a device, the last counts, for each kind of access by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Whether it allows or forbids.
    pub allow: bool,
    /// Only character devices, or only block devices; both if `None`.
    pub character: Option<bool>,
    /// Only this major number.
    pub major: Option<u32>,
    /// Only this minor number.
    pub minor: Option<u32>,
    /// [`MAKE`], [`READ`] and [`WRITE`].
    pub access: u8,
}

/// What a container may do with devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Rules; `None` if everything is allowed.
    pub rules: Option<Vec<DeviceRule>>,
    /// Devices may be opened by nodes that the container makes for itself: its file systems are not `nodev`.
    pub own_nodes: bool,
    /// More was asked for than every container has, so that a kernel that cannot keep to the rules is refused.
    pub required: bool,
}

/// Devices of every container: null, zero, full, random, urandom, tty, console, ptmx, terminals
/// (Documentation/admin-guide/devices.txt).
const ALWAYS: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

pub(super) fn nodes(linux: &Linux) -> Result<Vec<DevicePlan>> {
    let mut plans: Vec<DevicePlan> = Vec::new();
    for device in linux.devices().iter().flatten() {
        let path = container_path(device.path(), "linux.devices")?;
        let at = path.display();
        if path == Path::new("/") || path == Path::new("/dev") {
            return Err(refused("linux.devices", format!("{at} is not a place for a device")));
        }
        let character = match device.typ() {
            LinuxDeviceType::C | LinuxDeviceType::U => true,
            LinuxDeviceType::B => false,
            other => {
                return Err(refused("linux.devices", format!("type {other:?} of {at} is not a device")));
            }
        };
        let number = |n: i64| {
            u32::try_from(n)
                .map_err(|_| refused("linux.devices", format!("{n} is not the number of a device")))
        };
        plans.push(DevicePlan {
            character,
            major: number(device.major())?,
            minor: number(device.minor())?,
            mode: device.file_mode().unwrap_or(0o666) & 0o777,
            uid: device.uid().unwrap_or(0),
            gid: device.gid().unwrap_or(0),
            path,
        });
    }
    Ok(plans)
}

pub(super) fn access(resources: &LinuxResources, nodes: &[DevicePlan]) -> Result<DeviceAccess> {
    let listed = resources.devices().as_deref().unwrap_or_default();
    let mut rules = listed.iter().map(rule).collect::<Result<Vec<_>>>()?;
    // What comes before a rule for everything has no effect.
    let everything = |r: &DeviceRule| r.character.is_none() && r.major.is_none() && r.access == 7;
    rules.drain(..rules.iter().rposition(everything).unwrap_or(0));
    if let [only] = rules.as_slice()
        && only.allow
        && everything(only)
    {
        return Ok(DeviceAccess { rules: None, own_nodes: true, required: false });
    }
    if rules.is_empty() {
        rules = default_rules(nodes);
    }
    let own_nodes =
        rules.iter().any(|rule| rule.allow && rule.access & (READ | WRITE) != 0 && !is_shown(rule, nodes));
    let required = own_nodes || !nodes.is_empty();
    Ok(DeviceAccess { rules: Some(rules), own_nodes, required })
}

/// What a configuration without rules means.
fn default_rules(nodes: &[DevicePlan]) -> Vec<DeviceRule> {
    let none = DeviceRule { allow: false, character: None, major: None, minor: None, access: 7 };
    // A node that cannot be opened may be made, as unpacking an archive does.
    let make = DeviceRule { allow: true, access: MAKE, ..none.clone() };
    let always = ALWAYS.map(|(major, minor)| (true, major, minor));
    let shown = nodes.iter().map(|node| (node.character, node.major, Some(node.minor)));
    let allowed = always.into_iter().chain(shown).map(|(character, major, minor)| DeviceRule {
        allow: true,
        character: Some(character),
        major: Some(major),
        minor,
        access: 7,
    });
    [none, make].into_iter().chain(allowed).collect()
}

/// Whether everything that a rule allows has a node that we show.
fn is_shown(rule: &DeviceRule, nodes: &[DevicePlan]) -> bool {
    let (Some(character), Some(major)) = (rule.character, rule.major) else { return false };
    let always = character && ALWAYS.iter().any(|(a, b)| *a == major && (b.is_none() || *b == rule.minor));
    always
        || nodes.iter().any(|n| n.character == character && n.major == major && Some(n.minor) == rule.minor)
}

fn rule(listed: &LinuxDeviceCgroup) -> Result<DeviceRule> {
    let wrong = |what: &str| refused("linux.resources.devices", what.to_owned());
    let character = match listed.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(true),
        Some(LinuxDeviceType::B) => Some(false),
        Some(LinuxDeviceType::P) => return Err(wrong("a pipe is not a device")),
    };
    // Less than nothing stands for every number.
    let number = |n: Option<i64>| match n {
        Some(n) if n >= 0 => u32::try_from(n).map(Some).map_err(|_| wrong("a number is too large")),
        _ => Ok(None),
    };
    let mut access = 0;
    for letter in listed.access().as_deref().filter(|a| !a.is_empty()).unwrap_or("rwm").chars() {
        access |= match letter {
            'm' => MAKE,
            'r' => READ,
            'w' => WRITE,
            _ => return Err(wrong("access is other than r, w and m")),
        };
    }
    let (major, minor) = (number(listed.major())?, number(listed.minor())?);
    // As in cgroup v1: a rule for all kinds is one for all numbers.
    let (major, minor) = if character.is_none() { (None, None) } else { (major, minor) };
    Ok(DeviceRule { allow: listed.allow(), character, major, minor, access })
}
