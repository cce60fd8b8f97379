//! nf_tables: rulesets as values, their wire format, and the two tables that Hull installs.

mod expression;
pub(crate) mod host;
pub(crate) mod resolver;
mod table;
mod wire;

pub(crate) use expression::{Expression, Key, Operator, Payload, Verdict};
pub(crate) use table::{Chain, ChainKind, Element, Family, Hook, Layout, Rule, Set};
pub(crate) use wire::{Change, GROUP_MASK, batch, deletion_in};

#[cfg(test)]
mod tests;
