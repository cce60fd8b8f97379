//! Kernel parameters that belong to a namespace of the container.

use super::refused;
use crate::failure::{CREATE, Failure, Result};
use hull_sys::process::flags;
use std::collections::HashMap;
use std::path::PathBuf;

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks every key and value. The answer has file names below /proc/sys, in the order of the keys.
pub(super) fn plan(
    wanted: HashMap<String, String>,
    new: u64,
    join: &[(u64, PathBuf)],
) -> Result<Vec<(String, String)>> {
    let owns = |bit| new & bit != 0 || join.iter().any(|(b, _)| *b == bit);
    let mut plans = Vec::new();
    for (key, value) in wanted {
        let well_formed = !key.is_empty()
            && key.split(['.', '/']).all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            });
        if !well_formed {
            return Err(refused("linux.sysctl", format!("{key:?} is not the name of a kernel parameter")));
        }
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') || value.contains(['=', '+']) {
            return Err(refused(
                "linux.sysctl",
                format!("the value of {key} contains a character that is not allowed"),
            ));
        }
        let dotted = key.replace('/', ".");
        let (bit, shared) = if dotted.starts_with("net.") {
            (flags::NEWNET, "not allowed in host network namespace")
        } else if dotted.starts_with("fs.mqueue.") || IPC.contains(&dotted.as_str()) {
            (flags::NEWIPC, "is not allowed in the hosts ipc namespace")
        } else if dotted == "kernel.domainname" {
            (flags::NEWUTS, "is not in a separate kernel namespace")
        } else {
            return Err(not_allowed(&key, "is not in a separate kernel namespace"));
        };
        if !owns(bit) {
            return Err(not_allowed(&key, shared));
        }
        plans.push((dotted.replace('.', "/"), value));
    }
    plans.sort();
    Ok(plans)
}

/// As clients know it.
fn not_allowed(key: &str, reason: &str) -> Failure {
    Failure::permanent(CREATE, format!("sysctl {key:?} {reason}"))
}
