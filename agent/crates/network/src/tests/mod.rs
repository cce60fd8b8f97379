//! The driver for real, as root, each test in network and mount namespaces of its own.

mod endure;
mod isolate;
mod publish;
mod resolve;
pub(crate) mod samples;
mod world;
