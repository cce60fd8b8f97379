//! Capabilities, security options and namespaces.

use crate::error::ApiError;
use crate::request::{CreateRequest, HostConfig};
use hull_model::{IpcMode, NamespaceMode, SeccompChoice};
use hull_plan::oci::ALL_CAPABILITIES;

/// What security options say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) seccomp: SeccompChoice,
    pub(crate) no_new_privileges: bool,
}

/// Reads security options. What this host cannot do is refused.
pub(crate) fn options(host: &HostConfig) -> Result<Security, ApiError> {
    let mut read = Security::default();
    for option in host.security_opt.iter().flatten() {
        let bad = |n| ApiError::internal(format!("invalid --security-opt {n}: {option:?}"));
        if option == "no-new-privileges" {
            read.no_new_privileges = true;
            continue;
        }
        let split = option.split_once('=').or_else(|| option.split_once(':'));
        let (key, value) = split.ok_or_else(|| bad(1))?;
        let truth = || crate::query::go_bool(value).ok_or_else(|| bad(2));
        match key {
            "seccomp" => {
                read.seccomp = match value {
                    "unconfined" => SeccompChoice::Unconfined,
                    "builtin" | "" => SeccompChoice::Default,
                    profile => SeccompChoice::Profile(profile.to_owned()),
                }
            }
            "no-new-privileges" => read.no_new_privileges = truth()?,
            "apparmor" if matches!(value, "unconfined" | "") => {}
            "apparmor" => return Err(ApiError::unsupported(format!("the AppArmor profile {value:?}"))),
            "label" if value == "disable" => {}
            "label" => return Err(ApiError::unsupported(format!("the SELinux label {value:?}"))),
            "writable-cgroups" => {
                if truth()? {
                    return Err(ApiError::unsupported("a writable control group file system"));
                }
            }
            _ => return Err(bad(2)),
        }
    }
    Ok(read)
}

/// Capabilities with their full names.
pub(crate) fn capabilities(option: &str, names: &[String]) -> Result<Vec<String>, ApiError> {
    let full = |name: &String| {
        let upper = name.trim().to_ascii_uppercase();
        if upper == "ALL" {
            return Ok(upper);
        }
        let upper = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        match ALL_CAPABILITIES.contains(&upper.as_str()) {
            true => Ok(upper),
            false => Err(ApiError::bad_request(format!("invalid {option}: unknown capability: {upper:?}"))),
        }
    };
    names.iter().map(full).collect()
}

/// Namespaces that a container shares.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespaces {
    pub(crate) pid: NamespaceMode,
    pub(crate) ipc: IpcMode,
    pub(crate) uts: NamespaceMode,
    pub(crate) cgroupns: NamespaceMode,
}

/// Reads the modes of all namespaces but the network's.
pub(crate) fn namespaces(request: &CreateRequest) -> Result<Namespaces, ApiError> {
    let host = &request.host_config;
    let bad = |what: &str, mode: &str| ApiError::bad_request(format!("invalid {what} mode: {mode}"));
    let uts = match host.uts_mode.as_str() {
        "" | "private" => NamespaceMode::Private,
        "host" => NamespaceMode::Host,
        other => return Err(bad("UTS", other)),
    };
    let named = request.config.as_ref().is_some_and(|c| !c.hostname.is_empty());
    if uts == NamespaceMode::Host && named {
        return Err(ApiError::bad_request("conflicting options: hostname and the UTS mode"));
    }
    let pid = match host.pid_mode.as_str() {
        "" | "private" => NamespaceMode::Private,
        "host" => NamespaceMode::Host,
        other => match other.strip_prefix("container:").filter(|c| !c.is_empty()) {
            Some(container) => NamespaceMode::Container(container.to_owned()),
            None => return Err(bad("PID", other)),
        },
    };
    let ipc = match host.ipc_mode.as_str() {
        "" | "private" => IpcMode::Private,
        "shareable" => IpcMode::Shareable,
        "none" => IpcMode::None,
        "host" => IpcMode::Host,
        other => match other.strip_prefix("container:").filter(|c| !c.is_empty()) {
            Some(container) => IpcMode::Container(container.to_owned()),
            None => return Err(bad("IPC", other)),
        },
    };
    let cgroupns = match host.cgroupns_mode.as_str() {
        "" | "private" => NamespaceMode::Private,
        "host" => NamespaceMode::Host,
        other => return Err(bad("cgroup namespace", other)),
    };
    match host.userns_mode.as_str() {
        "" | "host" => Ok(Namespaces { pid, ipc, uts, cgroupns }),
        other => Err(bad("user namespace", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(option: &str) -> Result<Security, String> {
        let host = HostConfig { security_opt: Some(vec![option.to_owned()]), ..HostConfig::default() };
        options(&host).map_err(|e| e.message)
    }

    #[test]
    fn security_options_are_read_or_refused() {
        assert!(said("no-new-privileges").unwrap().no_new_privileges);
        assert!(said("no-new-privileges:true").unwrap().no_new_privileges);
        assert_eq!(said("seccomp=unconfined").unwrap().seccomp, SeccompChoice::Unconfined);
        assert_eq!(said("seccomp={}").unwrap().seccomp, SeccompChoice::Profile("{}".into()));
        assert!(said("label=disable").is_ok() && said("apparmor=unconfined").is_ok());
        for (option, words) in [
            ("bogus", "invalid --security-opt 1: \"bogus\""),
            ("bogus=x", "invalid --security-opt 2: \"bogus=x\""),
            ("no-new-privileges=x", "invalid --security-opt 2: \"no-new-privileges=x\""),
            ("", "invalid --security-opt 1: \"\""),
            ("apparmor=mine", "the AppArmor profile \"mine\" is not supported by Hull"),
        ] {
            assert_eq!(said(option), Err(words.to_owned()), "{option}");
        }
    }

    #[test]
    fn capabilities_have_full_names() {
        let names = |n: &str| capabilities("CapAdd", &[n.to_owned()]).map_err(|e| e.message);
        assert_eq!(names("net_admin"), Ok(vec!["CAP_NET_ADMIN".to_owned()]));
        assert_eq!(names("all"), Ok(vec!["ALL".to_owned()]));
        assert_eq!(names("bogus"), Err("invalid CapAdd: unknown capability: \"CAP_BOGUS\"".to_owned()));
    }
}
