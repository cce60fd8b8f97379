//! The driver for real, as root, each test in network and mount namespaces of its own.

mod publish;
mod resolve;
pub(crate) mod samples;
mod world;
