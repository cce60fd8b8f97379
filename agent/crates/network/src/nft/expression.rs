//! Expressions of nf_tables rules and their wire format (linux/netfilter/nf_tables.h). Pure.

use crate::netlink::Message;

/// A register of 32 bits; `Register(0)` is NFT_REG32_00. Wider values take several in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Register(pub(crate) u32);

impl Register {
    fn number(self) -> u32 {
        8 + self.0
    }
}

/// What `meta` and `ct` can load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Name of the interface a packet came in by.
    InName,
    /// Name of the interface it goes out by.
    OutName,
    /// IPv4 or IPv6.
    NetworkProtocol,
    /// TCP, UDP, …
    TransportProtocol,
    /// Conntrack's state of its connection, as bits.
    ConnectionState,
    /// What conntrack did to its connection, as bits.
    ConnectionStatus,
}

/// A field of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// IPv4 destination.
    Destination,
    /// IPv4 source.
    Source,
    /// TCP or UDP destination port.
    DestinationPort,
}

/// How `Compare` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
}

/// How a rule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Jump(&'static str),
}

/// One step of a rule. Comparisons that do not hold end the rule; the next one is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Loads a property.
    Load(Key, Register),
    /// Loads a field.
    Field(Payload, Register),
    /// Loads the type of the destination address (RTN_LOCAL, …) from the routing tables.
    DestinationType(Register),
    /// Keeps the bits of the mask.
    Mask(Register, Vec<u8>),
    /// Compares with constant bytes.
    Compare(Register, Operator, Vec<u8>),
    /// Ends the rule unless the value is in the set; if it is a map, replaces it by what it maps to.
    Lookup { set: &'static str, key: Register, into: Option<Register> },
    /// Sends the connection to address and port in registers.
    DestinationNat { address: Register, port: Register },
    /// Gives the connection the outgoing interface's address as its source.
    Masquerade,
    /// Constant bytes into a register.
    Constant(Register, Vec<u8>),
    /// Ends the rule.
    Verdict(Verdict),
}

const NFPROTO_IPV4: u32 = 2;

impl Expression {
    /// Appends the expression as an element of a rule's list.
    pub(crate) fn encode(&self, message: &mut Message) {
        message.nest(1, |m| {
            m.put_text(1, self.name());
            m.nest(2, |m| self.encode_data(m));
        });
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Load(Key::ConnectionState | Key::ConnectionStatus, _) => "ct",
            Self::Load(..) => "meta",
            Self::Field(..) => "payload",
            Self::DestinationType(_) => "fib",
            Self::Mask(..) => "bitwise",
            Self::Compare(..) => "cmp",
            Self::Lookup { .. } => "lookup",
            Self::DestinationNat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Constant(..) | Self::Verdict(_) => "immediate",
        }
    }

    fn encode_data(&self, m: &mut Message) {
        match self {
            Self::Load(key, register) => {
                m.put_be32(1, register.number()).put_be32(2, key.number());
            }
            Self::Field(field, register) => {
                let (base, offset, length) = field.place();
                m.put_be32(1, register.number()).put_be32(2, base).put_be32(3, offset).put_be32(4, length);
            }
            Self::DestinationType(register) => {
                m.put_be32(1, register.number()).put_be32(2, 3).put_be32(3, 2);
            }
            Self::Mask(register, mask) => {
                m.put_be32(1, register.number())
                    .put_be32(2, register.number())
                    .put_be32(3, mask.len() as u32);
                data(m, 4, mask);
                data(m, 5, &vec![0; mask.len()]);
            }
            Self::Compare(register, operator, value) => {
                m.put_be32(1, register.number()).put_be32(2, u32::from(*operator == Operator::NotEqual));
                data(m, 3, value);
            }
            Self::Lookup { set, key, into } => {
                m.put_text(1, set).put_be32(2, key.number());
                if let Some(into) = into {
                    m.put_be32(3, into.number());
                }
            }
            Self::DestinationNat { address, port } => {
                m.put_be32(1, 1).put_be32(2, NFPROTO_IPV4);
                m.put_be32(3, address.number()).put_be32(5, port.number());
            }
            Self::Masquerade => {}
            Self::Constant(register, value) => {
                m.put_be32(1, register.number());
                data(m, 2, value);
            }
            Self::Verdict(verdict) => {
                m.put_be32(1, 0);
                m.nest(2, |m| encode_verdict(m, verdict));
            }
        }
    }
}

impl Key {
    fn number(self) -> u32 {
        match self {
            Self::InName => 6,
            Self::OutName => 7,
            Self::NetworkProtocol => 15,
            Self::TransportProtocol => 16,
            Self::ConnectionState => 0,
            Self::ConnectionStatus => 2,
        }
    }
}

impl Payload {
    /// Header (1 network, 2 transport), offset and length in it.
    fn place(self) -> (u32, u32, u32) {
        match self {
            Self::Destination => (1, 16, 4),
            Self::Source => (1, 12, 4),
            Self::DestinationPort => (2, 2, 2),
        }
    }
}

fn data(message: &mut Message, kind: u16, value: &[u8]) {
    message.nest(kind, |m| {
        m.put(1, value);
    });
}

fn encode_verdict(message: &mut Message, verdict: &Verdict) {
    message.nest(2, |m| match verdict {
        Verdict::Drop => {
            m.put_be32(1, 0);
        }
        Verdict::Accept => {
            m.put_be32(1, 1);
        }
        Verdict::Jump(chain) => {
            m.put_be32(1, -3i32 as u32).put_text(2, chain);
        }
    });
}
