//! Capabilities and `security_opt`.

use crate::node::{Node, Read};
use crate::suggest::did_you_mean;
use hull_model::{ContainerSpec, SeccompChoice};

/// Capabilities of Linux (capabilities(7)), without their prefix.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Reads a list of capabilities: with or without `CAP_`, in any case, or `ALL`.
pub(super) fn capabilities(node: &Node<'_>) -> Read<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for item in node.items("cap_add: [NET_ADMIN]")? {
        let upper = item.text("NET_ADMIN")?.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let name = match bare {
            "ALL" => "ALL".to_owned(),
            _ if CAPABILITIES.contains(&bare) => format!("CAP_{bare}"),
            _ => {
                let near = CAPABILITIES.iter().find(|c| {
                    did_you_mean(&bare.to_ascii_lowercase(), [c.to_ascii_lowercase().as_str()]).is_some()
                });
                let remedy =
                    near.map_or("see capabilities(7)".to_owned(), |near| format!("did you mean {near}?"));
                return Err(item.issue(format!("there is no capability {upper:?}"), remedy));
            }
        };
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

/// Reads `security_opt` into the container.
pub(super) fn security_opt(node: &Node<'_>, spec: &mut ContainerSpec) -> Read<()> {
    for item in node.items("security_opt: [\"no-new-privileges:true\"]")? {
        let text = item.text("no-new-privileges:true")?;
        match text.replacen('=', ":", 1).as_str() {
            "no-new-privileges" | "no-new-privileges:true" => spec.no_new_privileges = true,
            "no-new-privileges:false" => spec.no_new_privileges = false,
            "seccomp:unconfined" => spec.seccomp = SeccompChoice::Unconfined,
            // This host labels nothing.
            "label:disable" => {}
            "systempaths:unconfined" => {
                (spec.masked_paths, spec.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
            }
            option if option.strip_prefix("apparmor:").is_some_and(|profile| !profile.is_empty()) => {
                spec.apparmor = option.strip_prefix("apparmor:").map(str::to_owned);
            }
            _ => {
                let remedy = "no-new-privileges, seccomp:unconfined, apparmor:, label:disable and systempaths:unconfined are supported";
                return Err(item.issue(format!("the option {text:?} is not supported yet"), remedy));
            }
        }
    }
    Ok(())
}
