//! The agent's side: the driver behind `hull_ports::Runtime`.

mod connection;
mod driver;
mod logs;

pub use driver::Driver;
