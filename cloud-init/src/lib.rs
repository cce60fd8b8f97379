//! From what a platform or a person says about a host to layers of its HostSpec.
//!
//! Parsing is pure: bytes in, a [`hull_model::Layer`] with its problems out; nothing here panics on any input. Fetching
//! is apart, in [`nocloud`]. A mistake costs what it concerns and nothing else: one user, one file, one interface; for
//! `services`, `networks` and `volumes`, which only make sense together, all three.

pub mod cloud_config;
pub mod compose;
mod document;
mod known_keys;
pub mod meta_data;
pub mod network_config;
pub mod nocloud;
mod node;
mod report;
mod suggest;
mod yaml;

#[cfg(test)]
mod robustness;
