//! A request as inspections show it: with what was left out filled in.

use super::networks::mode_name;
use super::ports;
use crate::request::{HostConfig, LogConfig};
use hull_model::{ContainerSpec, NetworkMode};
use hull_plan::oci::{MASKED_PATHS, READONLY_PATHS};

/// Bytes of /dev/shm where nothing else is asked for.
pub(crate) const DEFAULT_SHM: i64 = 64 << 20;

/// Fills in what a host decides.
pub(crate) fn fill(host: &mut HostConfig, spec: &ContainerSpec) {
    let default = |text: &mut String, value: &str| {
        if text.is_empty() {
            value.clone_into(text);
        }
    };
    host.network_mode = match &spec.network {
        NetworkMode::Private => {
            let mode = mode_name(&host.network_mode).to_owned();
            let named = spec.networks.keys().any(|n| n.as_str() == mode);
            // An id is shown as it was asked for.
            if named || mode == "none" { mode } else { mode_name(&host.network_mode).to_owned() }
        }
        _ => host.network_mode.clone(),
    };
    default(&mut host.restart_policy.name, "no");
    default(&mut host.ipc_mode, "private");
    default(&mut host.cgroupns_mode, "private");
    default(&mut host.runtime, "hull");
    host.log_config = LogConfig {
        kind: spec.log.driver.as_str().to_owned(),
        config: Some(host.log_config.config.take().unwrap_or_default()),
    };
    host.port_bindings = host.port_bindings.take().map(|bindings| ports::normalised(&bindings));
    if host.shm_size == 0 {
        host.shm_size = DEFAULT_SHM;
    }
    for own in [&mut host.cap_add, &mut host.cap_drop] {
        *own = own.take().filter(|w| !w.0.is_empty());
    }
    if !spec.privileged {
        let list = |paths: &[&str]| Some(paths.iter().map(|p| (*p).to_owned()).collect());
        host.masked_paths = host.masked_paths.take().or_else(|| list(&MASKED_PATHS));
        host.readonly_paths = host.readonly_paths.take().or_else(|| list(&READONLY_PATHS));
    }
}
