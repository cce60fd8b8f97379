//! Volumes: data that outlives containers.
//!
//! [`Store`] is the driver behind [`hull_ports::Volumes`]. It owns one directory:
//!
//! ```text
//! NAME/_data          the data; what containers mount
//! NAME/volume.json    name and labels
//! .tmp/N              being made, or being removed
//! ```
//! A volume is made in `.tmp`, flushed and renamed to its name; a volume that is removed is renamed back first. So after a
//! power cut it is there whole, or not at all. Names cannot begin with a dot, so `.tmp` is nobody's.

mod store;

pub use store::{Store, VolumeError};
