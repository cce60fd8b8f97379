//! The objects of the host and the executor of steps.
//!
//! The engine owns the ledger (what was decided and must survive), one lock per object, the failures to be retried, and the
//! events. It acts through the drivers, one [`hull_model::Step`] at a time, and decides nothing that `hull_plan` can decide.
//! What is observed is always re-read: the ledger joined with what the drivers say right now.

mod adopt;
mod check;
mod commit;
mod containers;
mod create;
mod describe;
mod devices;
mod engine;
mod events;
mod execute;
mod failures;
mod find;
mod health;
mod images;
mod ledger;
mod lifecycle;
mod locks;
mod mounts;
mod networks;
mod ports;
mod progress;
mod records;
mod remove;
mod settle;
mod start;
mod streams;
mod volumes;
mod wait;

pub use commit::Commit;
pub use create::{CreateRequest, Created};
pub use devices::CDI_DIRECTORIES;
pub use engine::{Engine, Settings};
pub use events::Event;
pub use find::FindError;
pub use health::{Health, HealthStatus, Probe};
pub use images::{Import, parse_reference, repository_and_tag};
pub use ledger::{Ledger, LedgerError};
pub use lifecycle::{StopRequest, Update};
pub use progress::Mark;
pub use remove::RemoveRequest;
pub use wait::Until;

/// The system call filter for a set of capabilities, supplied by whoever composes the agent.
pub type SeccompProfile = fn(&std::collections::BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp;
