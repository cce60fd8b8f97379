//! Kernel parameters of the calling thread's network namespace, under /proc/sys/net.

use crate::error::{Failure, Outcome};
use std::fs;
use std::path::Path;

/// Writes a parameter.
pub(crate) fn set(name: &str, value: &str) -> Outcome<()> {
    let path = Path::new("/proc/sys/net").join(name);
    fs::write(&path, value).map_err(Failure::system(format!("writing {value} to {}", path.display())))
}

/// Writes a parameter if the kernel has it.
pub(crate) fn set_if_present(name: &str, value: &str) -> Outcome<()> {
    match set(name, value) {
        Err(failure) if failure.number() == Some(nix::errno::Errno::ENOENT as i32) => Ok(()),
        other => other,
    }
}

/// Lets the host forward between its interfaces unless it does so already.
pub(crate) fn enable_forwarding() -> Outcome<()> {
    let path = "/proc/sys/net/ipv4/ip_forward";
    let now = fs::read_to_string(path).map_err(Failure::system(format!("reading {path}")))?;
    if now.trim() == "0" { set("ipv4/ip_forward", "1") } else { Ok(()) }
}

/// A bridge of an IPv4 network: no IPv6, no router's advice, and no source addresses that do not belong there.
pub(crate) fn prepare_bridge(name: &str) -> Outcome<()> {
    set_if_present(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
    set_if_present(&format!("ipv6/conf/{name}/disable_ipv6"), "1")?;
    set(&format!("ipv4/conf/{name}/accept_redirects"), "0")?;
    set(&format!("ipv4/conf/{name}/rp_filter"), "1")
}

/// The host's end of a container's interface.
pub(crate) fn prepare_port(name: &str) -> Outcome<()> {
    set_if_present(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
    set_if_present(&format!("ipv6/conf/{name}/disable_ipv6"), "1")
}

/// A container's namespace before it has interfaces. Ping and low ports need no capability there, as in Docker.
pub(crate) fn prepare_namespace() -> Outcome<()> {
    set_if_present("ipv6/conf/default/accept_ra", "0")?;
    set_if_present("ipv6/conf/default/disable_ipv6", "1")?;
    set("ipv4/ip_unprivileged_port_start", "0")?;
    set("ipv4/ping_group_range", "0 2147483647")
}

/// Lets connections from 127.0.0.1 of the host leave by the bridge. The table's `guard` chain keeps the way back closed.
pub(crate) fn allow_loopback(bridge: &str) -> Outcome<()> {
    set(&format!("ipv4/conf/{bridge}/route_localnet"), "1")
}
