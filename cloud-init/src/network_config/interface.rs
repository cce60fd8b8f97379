//! An interface, whichever version of the format described it.

use std::net::IpAddr;

/// An interface and how it is set up. Every text in it was checked and holds no line break.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// Place in the document.
    pub(super) path: String,
    /// What other interfaces call it; also the name of its files.
    pub(super) id: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Its addresses and what belongs to them.
    pub(super) setup: Setup,
}

/// What an interface is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that exists, found by what it has.
    Physical {
        /// Kernel name, which may hold `*` and `?`.
        name: Option<String>,
        /// Permanent hardware address.
        mac: Option<String>,
        /// Kernel driver.
        driver: Option<String>,
        /// Name to give it.
        set_name: Option<String>,
    },
    /// Several made into one.
    Bond {
        /// Ids of its members.
        members: Vec<String>,
        /// Lines of `[Bond]`.
        options: Vec<(&'static str, String)>,
    },
    /// A switch.
    Bridge {
        /// Ids of its members.
        members: Vec<String>,
        /// Lines of `[Bridge]`.
        options: Vec<(&'static str, String)>,
    },
    /// A tagged network on another interface.
    Vlan {
        /// Tag, 0 to 4094.
        tag: u16,
        /// Id of the interface below.
        link: String,
    },
}

impl Default for Kind {
    fn default() -> Self {
        Self::Physical { name: None, mac: None, driver: None, set_name: None }
    }
}

/// Addresses and what belongs to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) dhcp4: bool,
    pub(super) dhcp6: bool,
    pub(super) accept_ra: Option<bool>,
    /// Lines of `[DHCPv4]`.
    pub(super) dhcp4_options: Vec<(&'static str, String)>,
    /// Lines of `[DHCPv6]`.
    pub(super) dhcp6_options: Vec<(&'static str, String)>,
    /// Addresses with their prefix length.
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) routes: Vec<Route>,
    pub(super) nameservers: Vec<IpAddr>,
    pub(super) search: Vec<String>,
    pub(super) mtu: Option<u64>,
    /// The host counts as online without it.
    pub(super) optional: bool,
    /// Hardware address to give it.
    pub(super) mac: Option<String>,
}

/// A route; without a destination, the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) destination: Option<(IpAddr, u8)>,
    pub(super) gateway: Option<IpAddr>,
    pub(super) metric: Option<u64>,
    pub(super) on_link: bool,
}

impl Route {
    /// The default route through a gateway.
    pub(super) fn default_via(gateway: IpAddr) -> Self {
        Self { destination: None, gateway: Some(gateway), metric: None, on_link: false }
    }
}

impl Interface {
    /// Ids of the interfaces it needs.
    pub(super) fn refers_to(&self) -> impl Iterator<Item = &String> {
        let (members, link) = match &self.kind {
            Kind::Bond { members, .. } | Kind::Bridge { members, .. } => (members.as_slice(), None),
            Kind::Vlan { link, .. } => (&[][..], Some(link)),
            Kind::Physical { .. } => (&[][..], None),
        };
        members.iter().chain(link)
    }
}
