//! The table inside each container's namespace: queries to 127.0.0.11:53 go to the ports our resolver really has, so
//! that a DNS server of the container's own may bind 0.0.0.0:53. Pure.

use super::expression::Register;
use super::{Chain, ChainKind, Change, Expression, Family, Hook, Key, Operator, Payload, batch};
use crate::netlink::Batch;
use std::net::Ipv4Addr;

const TABLE: &str = "hull-resolver";
/// Where containers find their resolver.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Makes the table. `again`: in place of one that is there. (In a new namespace there is none, and removing even nothing
/// makes the kernel wait some 10 ms for all processors.)
pub(crate) fn install(udp: u16, tcp: u16, again: bool) -> Batch {
    let chain = Chain {
        name: "output",
        kind: ChainKind::Nat(Hook::Output, -100),
        rules: vec![redirect(17, udp), redirect(6, tcp)],
        foreign: false,
    };
    use Change::{AddChain, AddRules, AddTable, DeleteTable};
    let mut changes = if again { vec![AddTable, DeleteTable] } else { Vec::new() };
    changes.extend([AddTable, AddChain(&chain), AddRules(&chain)]);
    batch(Family::Ip, TABLE, &changes)
}

fn redirect(protocol: u8, port: u16) -> Vec<Expression> {
    let (address, number) = (Register(0), Register(1));
    vec![
        Expression::Field(Payload::Destination, address),
        Expression::Compare(address, Operator::Equal, ADDRESS.octets().to_vec()),
        Expression::Load(Key::TransportProtocol, number),
        Expression::Compare(number, Operator::Equal, vec![protocol]),
        Expression::Field(Payload::DestinationPort, number),
        Expression::Compare(number, Operator::Equal, 53u16.to_be_bytes().to_vec()),
        Expression::Constant(address, ADDRESS.octets().to_vec()),
        Expression::Constant(number, port.to_be_bytes().to_vec()),
        Expression::DestinationNat { address, port: number },
    ]
}
