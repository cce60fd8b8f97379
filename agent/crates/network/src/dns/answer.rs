//! What to do with a query. Pure.

use super::zone::{Scope, Upstream, Zones};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::Ipv4Addr;

/// Seconds that an answer of ours may be kept. Containers come and go.
const TTL: u32 = 1;
/// What a datagram may hold without EDNS (RFC 1035, 4.2.1), and what we take with it.
const PLAIN_PAYLOAD: u16 = 512;
const MAX_PAYLOAD: u16 = 4096;

/// What becomes of a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// This is the answer.
    Answer(Message),
    /// Somebody else knows.
    Forward,
    /// Not a query.
    Drop,
}

/// Decides. `turn` differs from query to query, so that several addresses of a name take turns at being first.
pub(crate) fn decide(query: &Message, scope: &Scope, zones: &Zones, turn: usize) -> Decision {
    if query.metadata.message_type != MessageType::Query {
        return Decision::Drop;
    }
    if query.metadata.op_code != OpCode::Query {
        return Decision::Answer(failure(query, ResponseCode::NotImp));
    }
    let [question] = query.queries.as_slice() else {
        return Decision::Answer(failure(query, ResponseCode::FormErr));
    };
    let known =
        (question.query_class == DNSClass::IN).then(|| lookup(question, scope, zones, turn)).flatten();
    match (known, &scope.upstream) {
        (Some((code, answers)), _) => Decision::Answer(reply(query, code, answers)),
        // Without a way out there is nothing but the container's networks.
        (None, Upstream::Nobody) => Decision::Answer(failure(query, ResponseCode::NXDomain)),
        (None, _) => Decision::Forward,
    }
}

/// An answer without records.
pub(crate) fn failure(query: &Message, code: ResponseCode) -> Message {
    let mut message = reply(query, code, Vec::new());
    message.metadata.authoritative = false;
    message
}

/// The answer in wire format; without its records and marked so if it does not fit.
pub(crate) fn encode(message: &Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= limit { Some(bytes) } else { message.truncate().to_vec().ok() }
}

/// How long a datagram the asker takes.
pub(crate) fn payload_limit(query: &Message) -> usize {
    let announced = query.edns.as_ref().map_or(PLAIN_PAYLOAD, Edns::max_payload);
    usize::from(announced.clamp(PLAIN_PAYLOAD, MAX_PAYLOAD))
}

type Known = (ResponseCode, Vec<Record>);

fn lookup(question: &Query, scope: &Scope, zones: &Zones, turn: usize) -> Option<Known> {
    let name = question.name.to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    if let Some(address) = reverse(name) {
        return lookup_reverse(question, address, scope, zones);
    }
    let mut addresses = zones.addresses(scope, name);
    if addresses.is_empty() {
        return None;
    }
    if !matches!(question.query_type, RecordType::A | RecordType::ANY) {
        return Some((ResponseCode::NoError, Vec::new()));
    }
    let count = addresses.len();
    addresses.rotate_left(turn % count);
    let record = |address| Record::from_rdata(question.name.clone(), TTL, RData::A(A(address)));
    Some((ResponseCode::NoError, addresses.into_iter().map(record).collect()))
}

fn lookup_reverse(question: &Query, address: Ipv4Addr, scope: &Scope, zones: &Zones) -> Option<Known> {
    match zones.name(scope, address) {
        Some(_) if !matches!(question.query_type, RecordType::PTR | RecordType::ANY) => {
            Some((ResponseCode::NoError, Vec::new()))
        }
        Some(name) => {
            let target = Name::from_ascii(format!("{name}.")).ok()?;
            Some((
                ResponseCode::NoError,
                vec![Record::from_rdata(question.name.clone(), TTL, RData::PTR(PTR(target)))],
            ))
        }
        // Nobody outside needs to hear of our addresses.
        None if zones.covers(scope, address) => Some((ResponseCode::NXDomain, Vec::new())),
        None => None,
    }
}

/// The address that `4.3.2.1.in-addr.arpa` asks for.
fn reverse(name: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut labels = name.strip_suffix(".in-addr.arpa")?.split('.');
    for octet in octets.iter_mut().rev() {
        *octet = labels.next()?.parse().ok()?;
    }
    labels.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn reply(query: &Message, code: ResponseCode, answers: Vec<Record>) -> Message {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.metadata.authoritative = true;
    message.metadata.response_code = code;
    message.queries = query.queries.clone();
    message.answers = answers;
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD);
        message.edns = Some(edns);
    }
    message
}

#[cfg(test)]
mod tests;
