//! Decisions: values in, values out.
//!
//! Everything in this crate is a pure, total, deterministic function. It cannot read a file, a clock or a socket, and
//! what it returns leaves no meaningful choice to whoever acts on it. Order of maps is by key, so equal inputs give
//! equal outputs, byte for byte.

mod accept;
mod backoff;
mod diff;
pub mod health;
pub mod ipam;
mod merge;
pub mod oci;
pub mod publish;
mod restart;
mod status;
mod validate;

pub use accept::{Accepted, accept};
pub use backoff::{RESTART, RETRY, Schedule};
pub use diff::{failed, plan, restarts_alone};
pub use merge::merge;
pub use restart::{Verdict, failures_in_a_row, restart};
pub use status::{StatusInput, status};
pub use validate::validate;
