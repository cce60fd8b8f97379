//! Networks of containers: bridges, veth pairs, addresses, published ports and name resolution, by netlink alone.
//!
//! [`Driver`] implements [`hull_ports::Networks`]. No child program is started and nothing listens on the host. What it
//! makes is known by its name and outlives it: bridges `hull-XXXXXXXX`, interfaces `hvXXXXXXXXXXX`, the nftables table
//! `inet hull` (see the module `nft::host` for its chains and the administrator's), and one bind-mounted namespace per
//! container in `<run dir>/netns`. One agent per network namespace.
//!
//! On the host it changes one more thing: `net.ipv4.ip_forward` is set to 1 if it is 0 once a network exists. On a host
//! that did not forward before, this also lets packets pass between its own interfaces; a host for which that matters
//! says so in its own firewall, which stays in force.

mod attach;
mod bridge;
mod conntrack;
mod dns;
mod driver;
mod error;
mod links;
mod names;
mod namespace;
mod netlink;
mod nft;
mod pool;
mod ports;
mod reaper;
mod restore;
mod rules;
mod sysctl;
mod watch;

pub use driver::{Driver, Options};

#[cfg(test)]
mod tests;
