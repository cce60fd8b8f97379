//! Hull's one table on the host, `inet hull`. Pure.
//!
//! The rules are the same whatever runs: networks and published ports are elements of sets and maps, so that adding or
//! removing one is one element and the cost of a packet does not grow with their number. Bridges are known by their
//! names' beginning, `hull-`.
//!
//! | chain | hook, priority | what it does |
//! |---|---|---|
//! | `guard` | prerouting, raw | drops packets for 127.0.0.0/8 that did not come from the host itself |
//! | `policy` | prerouting, dstnat − 10 | lets new connections to the host pass through `user` |
//! | `user` | | the administrator's: never written to, kept when everything else is renewed |
//! | `prerouting`, `output` | dstnat | connections to the host's own addresses: looked up in `ports_by_address`, then `ports` |
//! | `forward` | filter | into a container's network only what is established or published; nothing across internal ones |
//! | `input` | filter | internal networks may answer the host but not address it |
//! | `postrouting` | srcnat | masquerades what leaves for elsewhere, and what would otherwise be answered past us |
//!
//! An administrator who wants to say who may reach published ports writes, before any translation of addresses:
//! `nft add rule inet hull user tcp dport 8080 ip saddr != 192.0.2.0/24 drop`. Rules of other tables stay in force:
//! an `accept` here overrules nobody's `drop`.

use super::expression::Register;
use super::{
    Chain, ChainKind, Change, Element, Expression, Family, Hook, Key, Layout, Operator, Payload, Rule, Set,
    Verdict, batch,
};
use crate::netlink::Batch;
use hull_model::{NetworkRecord, PortSpec, Protocol};
use std::net::Ipv4Addr;

/// The table's name.
pub(crate) const TABLE: &str = "hull";
/// The administrator's chain.
pub(crate) const USER_CHAIN: &str = "user";
/// How names of our bridges begin.
pub(crate) const BRIDGE_PREFIX: &str = "hull-";

const PORTS: &str = "ports";
const PORTS_BY_ADDRESS: &str = "ports_by_address";
const INTERNAL: &str = "internal";
const SAME: &str = "same_network";
const MEMBERS: &str = "members";

const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
const STATE_NEW: u32 = 8;
const DESTINATION_NAT: u32 = 0x20;
const RTN_LOCAL: u32 = 2;
const NFPROTO_IPV4: u8 = 2;

const R0: Register = Register(0);
const R1: Register = Register(1);
const R2: Register = Register(2);
const R4: Register = Register(4);

/// Brings the table to exactly these elements, in one atomic step, whatever it was; the administrator's chain is kept.
pub(crate) fn renew(elements: &[Element]) -> Batch {
    let (chains, sets) = (chains(), sets());
    let mut changes = vec![Change::AddTable];
    changes.extend(chains.iter().map(Change::AddChain));
    changes.extend(chains.iter().filter(|c| !c.foreign).map(Change::FlushChain));
    changes.extend(sets.iter().map(Change::AddSet));
    changes.extend(sets.iter().map(Change::FlushSet));
    changes.push(Change::AddElements(elements));
    changes.extend(chains.iter().filter(|c| !c.foreign).map(Change::AddRules));
    batch(Family::Inet, TABLE, &changes)
}

/// Puts a new table in place of one with another structure.
pub(crate) fn replace(elements: &[Element]) -> Batch {
    let (chains, sets) = (chains(), sets());
    let mut changes = vec![Change::AddTable, Change::DeleteTable, Change::AddTable];
    changes.extend(chains.iter().map(Change::AddChain));
    changes.extend(sets.iter().map(Change::AddSet));
    changes.push(Change::AddElements(elements));
    changes.extend(chains.iter().map(Change::AddRules));
    batch(Family::Inet, TABLE, &changes)
}

/// Adds elements.
pub(crate) fn add(elements: &[Element]) -> Batch {
    batch(Family::Inet, TABLE, &[Change::AddElements(elements)])
}

/// Removes elements.
pub(crate) fn delete(elements: &[Element]) -> Batch {
    batch(Family::Inet, TABLE, &[Change::DeleteElements(elements)])
}

/// Removes the table.
pub(crate) fn remove() -> Batch {
    batch(Family::Inet, TABLE, &[Change::AddTable, Change::DeleteTable])
}

/// What a network adds.
pub(crate) fn network_elements(network: &NetworkRecord) -> Vec<Element> {
    let name = interface(&network.bridge);
    let element = |set, key, last| Element { set, key, last, value: Vec::new() };
    let member = |address: Ipv4Addr| [&address.octets(), name.as_slice()].concat();
    let mut elements = vec![
        element(MEMBERS, member(network.subnet.address), member(network.subnet.last())),
        element(SAME, [name.as_slice(), &name].concat(), Vec::new()),
    ];
    if network.internal {
        elements.push(element(INTERNAL, name, Vec::new()));
    }
    elements
}

/// What a published port adds. Keys are unique exactly when (address, protocol, port) is.
pub(crate) fn port_element(port: &PortSpec, container: Ipv4Addr) -> Element {
    let protocol = [protocol_number(port.protocol), 0, 0, 0];
    let mut key = Vec::with_capacity(12);
    key.extend(port.host_ip.iter().flat_map(Ipv4Addr::octets));
    key.extend(protocol);
    key.extend(service(port.host_port));
    let value = [container.octets(), service(port.container_port)].concat();
    Element {
        set: if port.host_ip.is_some() { PORTS_BY_ADDRESS } else { PORTS },
        key,
        last: Vec::new(),
        value,
    }
}

fn service(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

fn interface(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

fn sets() -> Vec<Set> {
    let port = Layout::PROTOCOL.then(Layout::SERVICE);
    let target = Layout::ADDRESS.then(Layout::SERVICE);
    let by_address = Layout::ADDRESS.then(Layout::PROTOCOL).then(Layout::SERVICE);
    let pair = Layout::INTERFACE.then(Layout::INTERFACE);
    let member = Layout::ADDRESS.then(Layout::INTERFACE);
    let set = |name, key, value| Set { name, key, value, ranges: &[] };
    vec![
        set(PORTS, port, Some(target)),
        set(PORTS_BY_ADDRESS, by_address, Some(target)),
        set(INTERNAL, Layout::INTERFACE, None),
        set(SAME, pair, None),
        Set { name: MEMBERS, key: member, value: None, ranges: &[4, 16] },
    ]
}

fn chains() -> Vec<Chain> {
    let chain = |name, kind, rules| Chain { name, kind, rules, foreign: name == USER_CHAIN };
    let nat = || vec![join([not_ipv6(), destination_is_local(), verdict(Verdict::Jump("publish"))])];
    // Chains that are jumped to come before those that jump.
    vec![
        chain(USER_CHAIN, ChainKind::Regular, Vec::new()),
        chain("publish", ChainKind::Regular, publish()),
        chain("into", ChainKind::Regular, into_network()),
        chain("out", ChainKind::Regular, out_of_network()),
        chain("guard", ChainKind::Filter(Hook::Prerouting, -300), vec![loopback_guard()]),
        chain("policy", ChainKind::Filter(Hook::Prerouting, -110), vec![policy()]),
        chain("prerouting", ChainKind::Nat(Hook::Prerouting, -100), nat()),
        chain("output", ChainKind::Nat(Hook::Output, -100), nat()),
        chain("input", ChainKind::Filter(Hook::Input, 0), input()),
        chain("forward", ChainKind::Filter(Hook::Forward, 0), forward()),
        chain("postrouting", ChainKind::Nat(Hook::Postrouting, 100), postrouting()),
    ]
}

fn join<const N: usize>(parts: [Rule; N]) -> Rule {
    parts.concat()
}

fn verdict(verdict: Verdict) -> Rule {
    vec![Expression::Verdict(verdict)]
}

fn not_ipv6() -> Rule {
    vec![
        Expression::Load(Key::NetworkProtocol, R0),
        Expression::Compare(R0, Operator::Equal, vec![NFPROTO_IPV4]),
    ]
}

fn destination_is_local() -> Rule {
    vec![
        Expression::DestinationType(R0),
        Expression::Compare(R0, Operator::Equal, RTN_LOCAL.to_ne_bytes().to_vec()),
    ]
}

/// `iifname "hull-*"` and the like.
fn bridge(key: Key, operator: Operator) -> Rule {
    vec![Expression::Load(key, R0), Expression::Compare(R0, operator, BRIDGE_PREFIX.as_bytes().to_vec())]
}

fn internal(key: Key) -> Rule {
    vec![Expression::Load(key, R0), Expression::Lookup { set: INTERNAL, key: R0, into: None }]
}

/// In by a bridge and out by the same.
fn same_network() -> Rule {
    vec![
        Expression::Load(Key::InName, R0),
        Expression::Load(Key::OutName, R4),
        Expression::Lookup { set: SAME, key: R0, into: None },
    ]
}

/// Out by the bridge of the network that the source belongs to.
fn from_member() -> Rule {
    vec![
        Expression::Field(Payload::Source, R0),
        Expression::Load(Key::OutName, R1),
        Expression::Lookup { set: MEMBERS, key: R0, into: None },
    ]
}

/// Any of the bits of `ct state` or `ct status`.
fn connection(key: Key, bits: u32) -> Rule {
    vec![
        Expression::Load(key, R0),
        Expression::Mask(R0, bits.to_ne_bytes().to_vec()),
        Expression::Compare(R0, Operator::NotEqual, vec![0; 4]),
    ]
}

fn loopback(field: Payload) -> Rule {
    vec![Expression::Field(field, R0), Expression::Compare(R0, Operator::Equal, vec![127])]
}

fn loopback_guard() -> Rule {
    let from_elsewhere =
        vec![Expression::Load(Key::InName, R0), Expression::Compare(R0, Operator::NotEqual, interface("lo"))];
    join([not_ipv6(), from_elsewhere, loopback(Payload::Destination), verdict(Verdict::Drop)])
}

fn policy() -> Rule {
    join([
        connection(Key::ConnectionState, STATE_NEW),
        destination_is_local(),
        verdict(Verdict::Jump(USER_CHAIN)),
    ])
}

fn publish() -> Vec<Rule> {
    let by_address = vec![
        Expression::Field(Payload::Destination, R0),
        Expression::Load(Key::TransportProtocol, R1),
        Expression::Field(Payload::DestinationPort, R2),
        Expression::Lookup { set: PORTS_BY_ADDRESS, key: R0, into: Some(R0) },
        Expression::DestinationNat { address: R0, port: R1 },
    ];
    let any_address = vec![
        Expression::Load(Key::TransportProtocol, R0),
        Expression::Field(Payload::DestinationPort, R1),
        Expression::Lookup { set: PORTS, key: R0, into: Some(R0) },
        Expression::DestinationNat { address: R0, port: R1 },
    ];
    vec![by_address, any_address]
}

fn forward() -> Vec<Rule> {
    vec![
        join([bridge(Key::OutName, Operator::Equal), verdict(Verdict::Jump("into"))]),
        join([bridge(Key::InName, Operator::Equal), verdict(Verdict::Jump("out"))]),
    ]
}

fn into_network() -> Vec<Rule> {
    vec![
        // Where bridged packets pass through here too (br_netfilter), neighbours still reach each other.
        join([same_network(), verdict(Verdict::Accept)]),
        join([internal(Key::OutName), verdict(Verdict::Drop)]),
        join([internal(Key::InName), verdict(Verdict::Drop)]),
        join([connection(Key::ConnectionState, ESTABLISHED_OR_RELATED), verdict(Verdict::Accept)]),
        join([connection(Key::ConnectionStatus, DESTINATION_NAT), verdict(Verdict::Accept)]),
        verdict(Verdict::Drop),
    ]
}

fn out_of_network() -> Vec<Rule> {
    let ipv6 = vec![
        Expression::Load(Key::NetworkProtocol, R0),
        Expression::Compare(R0, Operator::NotEqual, vec![NFPROTO_IPV4]),
    ];
    vec![
        join([bridge(Key::OutName, Operator::Equal), verdict(Verdict::Accept)]),
        join([internal(Key::InName), verdict(Verdict::Drop)]),
        join([ipv6, verdict(Verdict::Drop)]),
    ]
}

fn input() -> Vec<Rule> {
    let answers = connection(Key::ConnectionState, ESTABLISHED_OR_RELATED);
    vec![
        join([internal(Key::InName), answers, verdict(Verdict::Accept)]),
        join([internal(Key::InName), verdict(Verdict::Drop)]),
    ]
}

fn postrouting() -> Vec<Rule> {
    let masquerade = || vec![Expression::Masquerade];
    let published = || connection(Key::ConnectionStatus, DESTINATION_NAT);
    vec![
        // A container that uses a published port of its own network: the answer has to come back through us. Known by its
        // address, since bridged packets (br_netfilter) have no incoming interface here.
        join([not_ipv6(), from_member(), published(), masquerade()]),
        // The host that uses 127.0.0.1: a container could not answer to that.
        join([not_ipv6(), bridge(Key::OutName, Operator::Equal), loopback(Payload::Source), masquerade()]),
        join([
            not_ipv6(),
            bridge(Key::InName, Operator::Equal),
            bridge(Key::OutName, Operator::NotEqual),
            masquerade(),
        ]),
    ]
}
