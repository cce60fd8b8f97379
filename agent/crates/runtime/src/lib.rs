//! Container processes: the OCI runtime, the supervisor that is parent of all containers, and the driver that talks to it.
//!
//! One small single-threaded process, `hull-runtime serve`, makes every container with clone3(2) and stays its parent. It holds
//! their pidfds, terminals and log pipes, writes their logs, and records how they end. The agent talks to it over a Unix socket
//! (`Driver`, with feature `client`) and may come and go.
//!
//! The supervisor is built static and without tokio:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo build --release --target x86_64-unknown-linux-gnu -p hull-runtime --no-default-features
//! ```
//!
//! Under systemd its service needs `Type=notify`, `NotifyAccess=main`, `Delegate=yes`, `KillMode=process`, `Restart=always` and
//! `FileDescriptorStoreMax=` with room for two descriptors of each container, and for three of each client that is attached when
//! the supervisor is replaced; `WatchdogSec=` is honoured. Without a service
//! manager (development) output and exit codes survive a restart too, but terminals do not.
//!
//! Devices are ruled twice. A program of ours, attached to the container's control group, answers for every use of a device by
//! the rules of `linux.resources.devices` (a configuration without rules means those of every container). And all file systems
//! are `nodev`, so that nodes which a container makes for itself open nothing, unless a rule allows a device that has no node
//! in `linux.devices`.

pub mod cgroup;
mod child;
#[cfg(feature = "client")]
mod client;
mod failure;
pub mod log;
pub mod plan;
pub mod protocol;
pub mod run;
pub mod seccomp;
mod spawn;
pub mod supervisor;

#[cfg(feature = "client")]
pub use client::Driver;
pub use failure::{Class, Failure};
