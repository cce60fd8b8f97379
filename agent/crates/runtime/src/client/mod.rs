//! The agent's side: the driver behind `hull_ports::Runtime`.
//!
//! What changes a container goes through the supervisor. What only looks at one, its kernel counters and its log, is read here,
//! so that the supervisor is not kept from its work.

mod connection;
mod driver;
mod kept;
mod logs;
mod remote;
mod runtime;
mod stats;

pub use driver::Driver;
