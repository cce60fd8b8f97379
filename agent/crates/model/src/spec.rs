//! The HostSpec: everything a host should be, as one value; and the layers it is merged from.

use crate::{ContainerSpec, Generation, HostSettings, Name, NetworkSpec, Problem, VolumeSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host should be. Every accepted change has its own generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostSpec {
    /// Which version of the intent this is.
    pub generation: Generation,
    /// The host itself.
    pub host: HostSettings,
    /// What runs on it.
    pub workloads: Workloads,
    /// What is Hull's own.
    pub hull: HullSettings,
}

/// The containers of the HostSpec with the networks and volumes they use. Taken or refused as one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workloads {
    /// By container name.
    pub containers: BTreeMap<Name, ContainerSpec>,
    /// By network name.
    pub networks: BTreeMap<Name, NetworkSpec>,
    /// By volume name.
    pub volumes: BTreeMap<Name, VolumeSpec>,
}

/// Settings of Hull itself: the `hull:` key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HullSettings {
    /// Registries by host and port, as in image references.
    pub registries: BTreeMap<String, Registry>,
}

/// How one registry is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// Plain HTTP, or HTTPS without a known authority, is acceptable.
    pub insecure: bool,
    /// Asked first, in order: `host:port` with an optional `http://` or `https://` before it.
    pub mirrors: Vec<String>,
    /// User name for basic or token authentication.
    pub username: Option<String>,
    /// Password for basic or token authentication.
    pub password: Option<String>,
}

/// Where a layer of intent came from, lowest priority first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// What the image says without being told anything.
    Defaults,
    /// The platform's instance data: host name, public keys, network.
    MetaData,
    /// The platform vendor's cloud-config.
    VendorData,
    /// The owner's cloud-config.
    UserData,
    /// A file given on the command line.
    File,
}

impl Source {
    /// The name used in problems and the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::MetaData => "meta-data",
            Self::VendorData => "vendor-data",
            Self::UserData => "user-data",
            Self::File => "file",
        }
    }
}

/// One source's intent, parsed. What could not be understood is in `problems`, and absent from the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Whose intent.
    pub source: Source,
    /// The host settings it speaks of.
    pub host: HostSettings,
    /// The workloads it declares; `None` if it says nothing of them or they could not be understood.
    pub workloads: Option<Workloads>,
    /// Hull's own settings.
    pub hull: HullSettings,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl Layer {
    /// A layer that says nothing.
    pub fn empty(source: Source) -> Self {
        Self {
            source,
            host: HostSettings::default(),
            workloads: None,
            hull: HullSettings::default(),
            problems: Vec::new(),
        }
    }
}
