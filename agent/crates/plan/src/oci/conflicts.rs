//! Options that exclude each other.

use super::OciError;
use hull_model::{ContainerSpec, NamespaceMode, NetworkMode};

/// Refuses a container whose options exclude each other, in Docker's words.
///
/// # Errors
/// [`OciError::Conflict`] with the first conflict.
pub fn conflicts(spec: &ContainerSpec) -> Result<(), OciError> {
    let host_name = spec.hostname.is_some();
    let joined = matches!(spec.network, NetworkMode::Container(_));
    let publishes = !spec.ports.is_empty() || spec.publish_all;
    let found = [
        (spec.uts == NamespaceMode::Host && host_name, "conflicting options: hostname and the UTS mode"),
        (joined && host_name, "conflicting options: hostname and the network mode"),
        (
            joined && !spec.links.is_empty(),
            "conflicting options: container type network can't be used with links. This would result in undefined behavior",
        ),
        (
            spec.network == NetworkMode::Host && !spec.links.is_empty(),
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
        ),
        (joined && !spec.dns.is_empty(), "conflicting options: dns and the network mode"),
        (
            joined && !spec.extra_hosts.is_empty(),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (joined && publishes, "conflicting options: port publishing and the container type network mode"),
        (
            joined && !spec.exposed.is_empty(),
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            spec.uts == NamespaceMode::Host && spec.domainname.is_some(),
            "sysctl \"kernel.domainname\" is not in a separate kernel namespace",
        ),
        (matches!(spec.uts, NamespaceMode::Container(_)), "invalid UTS mode"),
        (matches!(spec.cgroupns, NamespaceMode::Container(_)), "invalid cgroup namespace mode"),
    ];
    found.into_iter().find(|(holds, _)| *holds).map_or(Ok(()), |(_, words)| Err(OciError::Conflict(words)))
}
