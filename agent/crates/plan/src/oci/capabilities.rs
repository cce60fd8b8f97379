//! What a container's processes may do beyond an ordinary user.

use super::OciError;
use hull_model::ContainerSpec;
use std::collections::BTreeSet;

/// Capabilities a container has unless told otherwise: Docker's set.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Every capability of Linux 6.x, in the kernel's order (include/uapi/linux/capability.h).
pub const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The capabilities of a container: the default set, less what is dropped, and what is added.
pub fn capabilities(spec: &ContainerSpec) -> Result<BTreeSet<String>, OciError> {
    let all = || ALL_CAPABILITIES.iter().map(|c| (*c).to_owned());
    let known = |list: &[String]| -> Result<BTreeSet<String>, OciError> {
        let mut set = BTreeSet::new();
        for capability in list {
            match capability.as_str() {
                "ALL" | "CAP_ALL" => set.extend(all()),
                c if ALL_CAPABILITIES.contains(&c) => _ = set.insert(c.to_owned()),
                c => return Err(OciError::UnknownCapability(c.to_owned())),
            }
        }
        Ok(set)
    };
    let (add, drop) = (known(&spec.cap_add)?, known(&spec.cap_drop)?);
    if spec.privileged {
        return Ok(all().collect());
    }
    let drops_all = spec.cap_drop.iter().any(|c| c == "ALL" || c == "CAP_ALL");
    let adds_all = spec.cap_add.iter().any(|c| c == "ALL" || c == "CAP_ALL");
    let base: BTreeSet<String> = DEFAULT_CAPABILITIES.iter().map(|c| (*c).to_owned()).collect();
    // As Docker: what is named on one side wins over ALL on the other.
    Ok(match (adds_all, drops_all) {
        (true, true) => BTreeSet::new(),
        (true, false) => all().filter(|c| !drop.contains(c)).collect(),
        (false, true) => add,
        (false, false) => base.difference(&drop).cloned().chain(add.iter().cloned()).collect(),
    })
}
