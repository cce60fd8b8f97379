//! Connections that conntrack remembers. A UDP client that never pauses would keep its old way for good: to a container
//! that is gone, or past a port that was published meanwhile. (TCP ends such connections by itself.)

use crate::error::Outcome;
use crate::netlink::{Attribute, Batch, Message, Reply, Socket, attributes};
use hull_model::{PortSpec, Protocol};
use nix::errno::Errno;

const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
/// struct nfgenmsg for IPv4.
const HEADER: [u8; 4] = [2, 0, 0, 0];
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
const NLA_F_NESTED: u16 = 0x8000;
const UDP: u8 = 17;

/// The UDP ports among published ones.
pub(crate) fn datagram_ports(ports: &[PortSpec]) -> Vec<u16> {
    ports.iter().filter(|p| p.protocol == Protocol::Udp).map(|p| p.host_port).collect()
}

/// Forgets UDP connections to these host ports.
pub(crate) fn forget(socket: &mut Socket, ports: &[u16]) -> Outcome<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let request = Message::new(GET, 0, &HEADER);
    let stale = socket.dump(request, "listing tracked connections", |reply| stale_tuple(reply, ports))?;
    for tuple in stale {
        let mut message = Message::new(DELETE, 0, &HEADER);
        message.put(CTA_TUPLE_ORIG | NLA_F_NESTED, &tuple);
        let mut batch = Batch::default();
        batch.push(message, "forgetting a tracked connection");
        match socket.transact(batch) {
            Err(failure) if failure.number() != Some(Errno::ENOENT as i32) => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}

/// The original direction of a connection over UDP to one of the ports. Pure.
fn stale_tuple(reply: &Reply<'_>, ports: &[u16]) -> Option<Vec<u8>> {
    let find = |bytes, wanted| -> Option<Attribute<'_>> { attributes(bytes).find(|a| a.kind == wanted) };
    let tuple = find(reply.body.get(4..)?, CTA_TUPLE_ORIG)?.value;
    let protocol = find(tuple, CTA_TUPLE_PROTO)?.value;
    let number = find(protocol, CTA_PROTO_NUM)?.value;
    let port = find(protocol, CTA_PROTO_DST_PORT)?.value;
    let port = u16::from_be_bytes(port.try_into().ok()?);
    (number == [UDP] && ports.contains(&port)).then(|| tuple.to_vec())
}
