//! The NoCloud datasource: `meta-data`, `user-data`, `vendor-data` and `network-config` from a disk, a directory or HTTP.
//!
//! [`detect`] says where they are, [`fetch`] reads them, [`layers`] understands them. Disks are read here, not mounted: a
//! seed is somebody else's file system, and the kernel's drivers for it are not needed.

mod detect;
mod disk;
mod fat;
mod http;
mod iso9660;
mod seed;

#[cfg(test)]
mod disk_tests;

use std::fmt;
use std::path::PathBuf;

pub use detect::{Places, detect};
pub use seed::{Seed, fetch, layers};

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The place.
    pub place: Place,
    /// Instance id given beside the place (`i=`).
    pub instance_id: Option<String>,
    /// Host name given beside the place (`h=`).
    pub hostname: Option<String>,
}

/// A kind of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Below a URL.
    Http {
        /// What file names are added to.
        base: String,
    },
    /// A block device with a file system labelled `cidata`.
    Device {
        /// The device's file.
        path: PathBuf,
    },
    /// A directory.
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing but what stands beside `ds=nocloud`.
    Nowhere,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Http { base } => write!(f, "nocloud ({base})"),
            Place::Device { path } => write!(f, "nocloud (label cidata, {})", path.display()),
            Place::Directory { path } => write!(f, "nocloud ({})", path.display()),
            Place::Nowhere => write!(f, "nocloud (kernel command line)"),
        }
    }
}
