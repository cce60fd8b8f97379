//! Links, addresses and routes as route netlink messages (rtnetlink(7), linux/if_link.h). Pure.

use crate::netlink::{Attribute, Message, Reply, attributes, text, u32_at};
use hull_model::Ipv4Net;
use std::net::Ipv4Addr;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_FLUSH: u16 = 24;
const BR_STATE_DISABLED: u8 = 0;
/// Device group of ports that are being removed: "hull" as a number, which nobody else will have chosen.
const RETIRED: u32 = 0x6875_6c6c;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;

/// A link of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// `bridge`, `veth`, …; empty for hardware.
    pub(crate) kind: String,
    pub(crate) mtu: u32,
    /// Index of the bridge it is a port of, or 0.
    pub(crate) master: u32,
}

/// A route of the main table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Ipv4Net,
    /// Index of the interface it leaves by, or 0.
    pub(crate) out: u32,
}

/// The two ends of a container's interface.
#[derive(Debug, Clone)]
pub(crate) struct Pair<'a> {
    /// Name on the host.
    pub(crate) host: &'a str,
    /// Index of the bridge.
    pub(crate) bridge: u32,
    /// A descriptor of the container's namespace.
    pub(crate) namespace: i32,
    /// Name in it.
    pub(crate) name: &'a str,
    pub(crate) hardware: [u8; 6],
    pub(crate) mtu: u32,
}

/// struct ifinfomsg.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0u8; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Makes a bridge, down. Fails if the name is taken.
pub(crate) fn add_bridge(name: &str, hardware: [u8; 6], mtu: u32) -> Message {
    let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link_header(0, 0, 0));
    message.put_text(IFLA_IFNAME, name).put(IFLA_ADDRESS, &hardware).put_u32(IFLA_MTU, mtu);
    message.nest(IFLA_LINKINFO, |m| {
        m.put_text(INFO_KIND, "bridge");
    });
    message
}

/// Makes both ends: the host's end a port of the bridge, the other in the container's namespace; down.
/// (The kernel refuses to bring an end up before it knows the other.)
pub(crate) fn add_pair(pair: &Pair<'_>) -> Message {
    let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link_header(0, 0, 0));
    message.put_text(IFLA_IFNAME, pair.host).put_u32(IFLA_MTU, pair.mtu).put_u32(IFLA_MASTER, pair.bridge);
    message.nest(IFLA_LINKINFO, |m| {
        m.put_text(INFO_KIND, "veth");
        m.nest(INFO_DATA, |m| {
            m.nest_with(VETH_INFO_PEER, &link_header(0, 0, 0), |m| {
                m.put_text(IFLA_IFNAME, pair.name).put(IFLA_ADDRESS, &pair.hardware);
                m.put_u32(IFLA_MTU, pair.mtu).put_u32(IFLA_NET_NS_FD, pair.namespace as u32);
            });
        });
    });
    message
}

/// Makes a link a port of a bridge.
pub(crate) fn join_bridge(name: &str, bridge: u32) -> Message {
    let mut message = Message::new(RTM_NEWLINK, 0, &link_header(0, 0, 0));
    message.put_text(IFLA_IFNAME, name).put_u32(IFLA_MASTER, bridge);
    message
}

/// Brings a bridge port up; frames may leave by the port they came in by; no IPv6 address is made up for it.
pub(crate) fn raise_port(name: &str, ipv6: bool) -> Message {
    let mut message = Message::new(RTM_NEWLINK, 0, &link_header(0, IFF_UP, IFF_UP));
    message.put_text(IFLA_IFNAME, name);
    message.nest(IFLA_LINKINFO, |m| {
        m.put_text(INFO_SLAVE_KIND, "bridge");
        m.nest(INFO_SLAVE_DATA, |m| {
            m.put(IFLA_BRPORT_MODE, &[1]);
        });
    });
    if ipv6 {
        message.nest(IFLA_AF_SPEC, |m| {
            m.nest(AF_INET6, |m| {
                m.put(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
            });
        });
    }
    message
}

/// Brings a link up.
pub(crate) fn raise(index: u32) -> Message {
    Message::new(RTM_NEWLINK, 0, &link_header(index, IFF_UP, IFF_UP))
}

/// Takes a bridge port out of service at once: nothing passes it, its addresses are forgotten, and it joins the group that
/// `remove_retired` removes.
pub(crate) fn retire_port(name: &str) -> Message {
    let mut message = Message::new(RTM_NEWLINK, 0, &link_header(0, 0, 0));
    message.put_text(IFLA_IFNAME, name).put_u32(IFLA_GROUP, RETIRED);
    message.nest(IFLA_LINKINFO, |m| {
        m.put_text(INFO_SLAVE_KIND, "bridge");
        m.nest(INFO_SLAVE_DATA, |m| {
            m.put(IFLA_BRPORT_STATE, &[BR_STATE_DISABLED]).put(IFLA_BRPORT_FLUSH, &[]);
        });
    });
    message
}

/// Removes all retired ports together.
pub(crate) fn remove_retired() -> Message {
    let mut message = Message::new(RTM_DELLINK, 0, &link_header(0, 0, 0));
    message.put_u32(IFLA_GROUP, RETIRED);
    message
}

/// Removes a link; a pair goes with either end.
pub(crate) fn remove(name: &str) -> Message {
    let mut message = Message::new(RTM_DELLINK, 0, &link_header(0, 0, 0));
    message.put_text(IFLA_IFNAME, name);
    message
}

/// Gives a link an address in its network.
pub(crate) fn add_address(index: u32, address: Ipv4Addr, network: Ipv4Net) -> Message {
    let mut header = [AF_INET, network.prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header);
    message.put(2, &address.octets()).put(1, &address.octets());
    if network.prefix < 31 {
        message.put(4, &network.last().octets());
    }
    message
}

/// The default route.
pub(crate) fn add_default_route(index: u32, gateway: Ipv4Addr) -> Message {
    let header = [AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header);
    message.put(5, &gateway.octets()).put_u32(4, index);
    message
}

/// Asks for all links.
pub(crate) fn list_links() -> Message {
    Message::new(RTM_GETLINK, 0, &link_header(0, 0, 0))
}

/// Asks for all IPv4 addresses.
pub(crate) fn list_addresses() -> Message {
    Message::new(RTM_GETADDR, 0, &[AF_INET, 0, 0, 0, 0, 0, 0, 0])
}

/// Asks for all IPv4 routes.
pub(crate) fn list_routes() -> Message {
    Message::new(RTM_GETROUTE, 0, &[AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// Reads a link.
pub(crate) fn read_link(reply: &Reply<'_>) -> Option<Link> {
    let index = u32_at(reply.body, 4).filter(|_| reply.kind == RTM_NEWLINK)?;
    let mut link = Link { index, name: String::new(), kind: String::new(), mtu: 0, master: 0 };
    for Attribute { kind, value } in attributes(reply.body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_MASTER => link.master = u32_at(value, 0)?,
            IFLA_LINKINFO => {
                link.kind = attributes(value)
                    .find(|a| a.kind == INFO_KIND)
                    .map(|a| text(a.value))
                    .unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

/// Reads an address with its prefix, and its link's index.
pub(crate) fn read_address(reply: &Reply<'_>) -> Option<(u32, Ipv4Addr, u8)> {
    let index = u32_at(reply.body, 4).filter(|_| reply.kind == RTM_NEWADDR)?;
    let local = attributes(reply.body.get(8..)?).find(|a| a.kind == 2)?;
    Some((index, address(local.value)?, *reply.body.get(1)?))
}

/// Reads a route of the main table.
pub(crate) fn read_route(reply: &Reply<'_>) -> Option<Route> {
    let prefix = *reply.body.get(1).filter(|_| reply.kind == RTM_NEWROUTE)?;
    if reply.body.get(4) != Some(&RT_TABLE_MAIN) || reply.body.get(7) != Some(&RTN_UNICAST) {
        return None;
    }
    let (mut to, mut out) = (Ipv4Addr::UNSPECIFIED, 0);
    for Attribute { kind, value } in attributes(reply.body.get(12..)?) {
        match kind {
            1 => to = address(value)?,
            4 => out = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(Route { destination: Ipv4Net::new(to, prefix)?, out })
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}
