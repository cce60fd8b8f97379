//! Kernel parameters of the container's own namespaces.

use hull_model::{ContainerSpec, NetworkMode};
use std::collections::BTreeMap;

/// A container's own parameters over those that make an unprivileged user able to ping and to bind low ports, as in Docker.
/// A network that belongs to the host or to another container keeps what its owner set.
pub(super) fn sysctls(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    if spec.network == NetworkMode::Private {
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
    }
    sysctls.extend(spec.sysctls.iter().map(|(k, v)| (k.clone(), v.clone())));
    sysctls
}
