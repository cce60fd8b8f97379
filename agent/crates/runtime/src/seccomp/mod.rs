//! System call filters: from the OCI object to a BPF program, and our default profile.

mod compile;
mod numbers;
mod profile;

pub use compile::{Filter, compile};
pub use profile::default_profile;

#[cfg(test)]
mod tests;
