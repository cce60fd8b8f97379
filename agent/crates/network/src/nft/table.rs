//! A table as a value. Pure.

use super::Expression;

/// Which packets a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Inet,
    Ip,
}

impl Family {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
        }
    }
}

/// Where a packet is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// How a chain is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChainKind {
    /// By a jump.
    Regular,
    /// By every packet at the hook; lower priorities first.
    Filter(Hook, i32),
    /// By the first packet of each connection.
    Nat(Hook, i32),
}

/// A chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) kind: ChainKind,
    pub(crate) rules: Vec<Rule>,
    /// Its rules are somebody else's: never touched once it exists.
    pub(crate) foreign: bool,
}

/// Expressions that are run in order.
pub(crate) type Rule = Vec<Expression>;

/// Type and length of a set's keys or a map's values: the numbers by which `nft` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) kind: u32,
    pub(crate) length: u32,
}

impl Layout {
    pub(crate) const ADDRESS: Self = Self { kind: 7, length: 4 };
    pub(crate) const PROTOCOL: Self = Self { kind: 12, length: 4 };
    pub(crate) const SERVICE: Self = Self { kind: 13, length: 4 };
    pub(crate) const INTERFACE: Self = Self { kind: 41, length: 16 };

    /// One behind the other, each padded to 32 bits.
    pub(crate) const fn then(self, next: Self) -> Self {
        Self { kind: (self.kind << 6) | next.kind, length: self.length + next.length }
    }
}

/// A set; a map if it has values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: Layout,
    pub(crate) value: Option<Layout>,
    /// Elements are ranges in each part of the key, whose lengths these are; empty: single keys.
    pub(crate) ranges: &'static [u32],
}

/// An element of a set, in wire format.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(crate) set: &'static str,
    pub(crate) key: Vec<u8>,
    /// Last key of a range; empty for a single one.
    pub(crate) last: Vec<u8>,
    pub(crate) value: Vec<u8>,
}
