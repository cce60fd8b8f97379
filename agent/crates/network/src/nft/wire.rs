//! Tables and changes to them as nf_tables messages (linux/netfilter/nf_tables.h). Pure.

use super::{Chain, ChainKind, Element, Family, Set};
use crate::netlink::{Batch, Message, Reply, attributes, text};

/// The group that hears every change to a ruleset, as a mask for bind(2): NFNLGRP_NFTABLES is 7.
pub(crate) const GROUP_MASK: u32 = 1 << 6;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const DELSET: u16 = 11;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;

const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFT_SET_INTERVAL: u32 = 0x4;
const NFT_SET_MAP: u32 = 0x8;
const NFT_SET_CONCAT: u32 = 0x80;
/// Elements in one message: a list's length has to fit into 16 bits.
const CHUNK: usize = 400;

/// One change; several make an atomic batch.
#[derive(Debug, Clone)]
pub(crate) enum Change<'a> {
    /// Makes the table unless it exists.
    AddTable,
    /// Removes the table with all in it.
    DeleteTable,
    /// Makes the chain unless it exists.
    AddChain(&'a Chain),
    /// Removes the chain's rules.
    FlushChain(&'a Chain),
    /// Appends the chain's rules.
    AddRules(&'a Chain),
    /// Makes the set unless it exists.
    AddSet(&'a Set),
    /// Removes the set's elements.
    FlushSet(&'a Set),
    /// Adds elements of one set. Fails if one of them exists.
    AddElements(&'a [Element]),
    /// Removes elements of one set. Fails if one of them does not exist.
    DeleteElements(&'a [Element]),
}

/// The messages of an atomic batch of changes to one table.
pub(crate) fn batch(family: Family, table: &str, changes: &[Change<'_>]) -> Batch {
    let mut batch = Batch::default();
    batch.push(
        Message::new(BATCH_BEGIN, 0, &header(0, SUBSYSTEM)),
        format!("changing nftables table {table}"),
    );
    let encoder = Encoder { family, table };
    for change in changes {
        encoder.encode(change, &mut batch);
    }
    batch.close(Message::new(BATCH_END, 0, &header(0, SUBSYSTEM)));
    batch
}

/// If the message announces that something was removed from the table by someone other than `port`: from which
/// chain, or an empty text.
pub(crate) fn deletion_in(reply: &Reply<'_>, table: &str, port: u32) -> Option<String> {
    let kind = reply.kind.checked_sub(SUBSYSTEM << 8)?;
    if reply.port == port || ![DELTABLE, DELCHAIN, DELRULE, DELSET, DELSETELEM].contains(&kind) {
        return None;
    }
    let body = reply.body.get(4..)?;
    let of = |wanted: u16| attributes(body).find(|a| a.kind == wanted).map(|a| text(a.value));
    if of(1)? != table {
        return None;
    }
    Some(if kind == DELRULE { of(2).unwrap_or_default() } else { String::new() })
}

fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

struct Encoder<'a> {
    family: Family,
    table: &'a str,
}

impl Encoder<'_> {
    fn message(&self, kind: u16, flags: u16) -> Message {
        let mut message = Message::new(SUBSYSTEM << 8 | kind, flags, &header(self.family.number(), 0));
        message.put_text(1, self.table);
        message
    }

    fn encode(&self, change: &Change<'_>, batch: &mut Batch) {
        let table = self.table;
        match change {
            Change::AddTable => {
                let mut message = self.message(NEWTABLE, NLM_F_CREATE);
                message.put_be32(2, 0);
                batch.push(message, format!("adding nftables table {table}"));
            }
            Change::DeleteTable => {
                batch.push(self.message(DELTABLE, 0), format!("removing nftables table {table}"));
            }
            Change::AddChain(chain) => {
                batch.push(
                    self.chain(chain),
                    format!("adding chain {} to nftables table {table}", chain.name),
                );
            }
            Change::FlushChain(chain) => {
                let mut message = self.message(DELRULE, 0);
                message.put_text(2, chain.name);
                batch.push(message, format!("flushing chain {} of nftables table {table}", chain.name));
            }
            Change::AddRules(chain) => self.rules(chain, batch),
            Change::AddSet(set) => {
                batch.push(self.set(set), format!("adding set {} to nftables table {table}", set.name));
            }
            Change::FlushSet(set) => {
                let mut message = self.message(DELSETELEM, 0);
                message.put_text(2, set.name);
                batch.push(message, format!("flushing set {} of nftables table {table}", set.name));
            }
            Change::AddElements(elements) => {
                self.elements(elements, NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, "adding to", batch);
            }
            Change::DeleteElements(elements) => {
                self.elements(elements, DELSETELEM, 0, "removing from", batch)
            }
        }
    }

    fn chain(&self, chain: &Chain) -> Message {
        let mut message = self.message(NEWCHAIN, NLM_F_CREATE);
        message.put_text(3, chain.name);
        let (kind, hook, priority) = match chain.kind {
            ChainKind::Regular => return message,
            ChainKind::Filter(hook, priority) => ("filter", hook, priority),
            ChainKind::Nat(hook, priority) => ("nat", hook, priority),
        };
        message.nest(4, |m| {
            m.put_be32(1, hook.number()).put_be32(2, priority as u32);
        });
        message.put_be32(5, 1).put_text(7, kind);
        message
    }

    fn rules(&self, chain: &Chain, batch: &mut Batch) {
        for (index, rule) in chain.rules.iter().enumerate() {
            let mut message = self.message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
            message.put_text(2, chain.name);
            message.nest(4, |m| rule.iter().for_each(|expression| expression.encode(m)));
            let what =
                format!("adding rule {index} to chain {} of nftables table {}", chain.name, self.table);
            batch.push(message, what);
        }
    }

    fn set(&self, set: &Set) -> Message {
        let mut message = self.message(NEWSET, NLM_F_CREATE);
        message.put_text(2, set.name);
        let ranges = if set.ranges.is_empty() { 0 } else { NFT_SET_INTERVAL | NFT_SET_CONCAT };
        message.put_be32(3, if set.value.is_some() { NFT_SET_MAP } else { 0 } | ranges);
        message.put_be32(4, set.key.kind).put_be32(5, set.key.length);
        if let Some(value) = set.value {
            message.put_be32(6, value.kind).put_be32(7, value.length);
        }
        if !set.ranges.is_empty() {
            message.nest(9, |m| {
                m.nest(2, |m| {
                    for length in set.ranges {
                        m.nest(1, |m| {
                            m.put_be32(1, *length);
                        });
                    }
                });
            });
        }
        // The kernel wants a number that tells the sets of one batch apart.
        message.put_be32(10, set.name.bytes().fold(0, |id, b| id * 31 % 65_521 + u32::from(b)));
        message
    }

    fn elements(&self, elements: &[Element], kind: u16, flags: u16, verb: &str, batch: &mut Batch) {
        for chunk in elements.chunk_by(|a, b| a.set == b.set).flat_map(|same| same.chunks(CHUNK)) {
            let set = chunk[0].set;
            let mut message = self.message(kind, flags);
            message.put_text(2, set);
            message.nest(3, |m| {
                for element in chunk {
                    m.nest(1, |m| {
                        m.nest(1, |m| {
                            m.put(1, &element.key);
                        });
                        if !element.last.is_empty() {
                            m.nest(10, |m| {
                                m.put(1, &element.last);
                            });
                        }
                        if !element.value.is_empty() && kind == NEWSETELEM {
                            m.nest(2, |m| {
                                m.put(1, &element.value);
                            });
                        }
                    });
                }
            });
            batch.push(message, format!("{verb} set {set} of nftables table {}", self.table));
        }
    }
}
