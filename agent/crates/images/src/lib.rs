//! Images: getting them from registries, keeping them, and handing them out as root file systems.
//!
//! [`Store`] is the driver behind [`hull_ports::Images`]. It owns one directory and everything in it. Nothing is an image
//! before its configuration and every layer were verified against their digests and flushed to the disk.
//!
//! What leaves this crate is directories; mounting them is the runtime's work. **The overlay must be mounted `nodev`**:
//! layers may contain device nodes, and devices of a container are made in its own `/dev`.

mod base;
mod bundle;
mod check;
mod compressed;
mod configuration;
mod disk;
mod distribution;
mod erofs;
#[cfg(fuzzing)]
pub mod fuzzing;
mod images;
mod layer;
mod layers;
mod manifest;
mod platform;
mod progress;
mod pull;
mod push;
mod records;
mod registry;
mod rootfs;
mod snapshot;
mod store;
mod sweep;
mod tree;

pub use platform::Platform;
pub use snapshot::Snapshot;
pub use store::{Options, Store};
