//! Devices of the host, and the rules by which the kernel lets a container use them.

use super::{OciError, OciInput};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A device of the host as a container is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Inside the container.
    pub path: PathBuf,
    /// A character device; a block device otherwise.
    pub character: bool,
    /// Device numbers.
    pub major: u64,
    /// Device numbers.
    pub minor: u64,
    /// Of `r`, `w` and `m` (make).
    pub permissions: String,
    /// Permission bits of the node inside; 666 if `None`.
    pub mode: Option<u32>,
    /// Owner of the node inside.
    pub uid: u32,
    /// Group of the node inside.
    pub gid: u32,
}

/// Devices that every container may use: null, zero, full, random, urandom, tty, console, ptmx, and its own terminals
/// (Documentation/admin-guide/devices.txt).
const ALWAYS: [(u64, Option<u64>); 9] = [
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

/// Nodes to be made.
pub(super) fn nodes(input: &OciInput<'_>) -> Vec<Value> {
    let node = |device: &HostDevice| {
        json!({
            "path": device.path,
            "type": if device.character { "c" } else { "b" },
            "major": device.major,
            "minor": device.minor,
            "fileMode": device.mode.unwrap_or(0o666),
            "uid": device.uid,
            "gid": device.gid,
        })
    };
    input.devices.iter().chain(&input.cdi.devices).map(node).collect()
}

/// Rules, of which the last that fits counts.
pub(super) fn rules(input: &OciInput<'_>) -> Result<Vec<Value>, OciError> {
    if input.spec.privileged {
        return Ok(vec![json!({ "allow": true, "access": "rwm" })]);
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    // A node that cannot be opened may be made, as unpacking an archive does.
    rules.extend(["c", "b"].map(|kind| json!({ "allow": true, "type": kind, "access": "m" })));
    for (major, minor) in ALWAYS {
        rules.push(allow("c", Some(major), minor, "rwm"));
    }
    for device in input.devices.iter().chain(&input.cdi.devices) {
        let kind = if device.character { "c" } else { "b" };
        rules.push(allow(kind, Some(device.major), Some(device.minor), &device.permissions));
    }
    for text in &input.spec.device_cgroup_rules {
        rules.push(parse_rule(text)?);
    }
    Ok(rules)
}

fn allow(kind: &str, major: Option<u64>, minor: Option<u64>, access: &str) -> Value {
    let mut rule = json!({ "allow": true, "type": kind, "access": access });
    if let Some(major) = major {
        rule["major"] = json!(major);
    }
    if let Some(minor) = minor {
        rule["minor"] = json!(minor);
    }
    rule
}

/// A rule as cgroup v1's devices.allow has it: `c 42:* rmw`.
fn parse_rule(text: &str) -> Result<Value, OciError> {
    let wrong = || OciError::DeviceRule(text.to_owned());
    let words: Vec<&str> = text.split(' ').collect();
    let &[kind, numbers, access] = words.as_slice() else { return Err(wrong()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(wrong)?;
    let number = |word: &str| match word {
        "*" => Ok(None),
        digits if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u32>().map(|n| Some(u64::from(n))).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    };
    let (major, minor) = (number(major)?, number(minor)?);
    let known = access.bytes().all(|b| b"rwm".contains(&b)) && (1..=3).contains(&access.len());
    if !["a", "b", "c"].contains(&kind) || !known {
        return Err(wrong());
    }
    Ok(allow(kind, major, minor, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_the_kernel_writes_them() {
        let rule = |text: &str| parse_rule(text).map_err(|e| e.to_string());
        assert_eq!(rule("c 42:* rmw"), Ok(json!({"allow": true, "type": "c", "major": 42, "access": "rmw"})));
        assert_eq!(
            rule("b 8:1 r"),
            Ok(json!({"allow": true, "type": "b", "major": 8, "minor": 1, "access": "r"}))
        );
        assert_eq!(rule("a *:* m"), Ok(json!({"allow": true, "type": "a", "access": "m"})));
        for wrong in [
            "",
            "foo",
            "c 42 r",
            "c 42:1",
            "d 1:1 r",
            "c -1:1 r",
            "c 1:1 x",
            "c 1:1 rwmr",
            "c 1:1 ",
            "c 4294967296:1 r",
        ] {
            assert_eq!(rule(wrong), Err(format!("invalid device cgroup rule format: '{wrong}'")));
        }
    }
}
