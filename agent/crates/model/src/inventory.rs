//! What the host is: re-read before every decision, never remembered.

use crate::{
    Attempt, ContainerId, ContainerSpec, Digest, HostSettings, Image, Ipv4Net, Name, Owner, PortSpec, StepKey,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything a decision may depend on, as observed at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Images that are complete here.
    pub images: Vec<Image>,
    /// Containers, running or not.
    pub containers: Vec<ContainerRecord>,
    /// Networks.
    pub networks: Vec<NetworkRecord>,
    /// Volumes.
    pub volumes: Vec<VolumeRecord>,
    /// Host settings in force, as this agent last applied them since boot; `None` if it never did.
    pub host: Option<HostSettings>,
    /// Whether this agent is in charge of the host itself, or only of containers (development mode).
    pub manages_host: bool,
    /// Steps that failed and have not succeeded since.
    pub failures: BTreeMap<StepKey, Attempt>,
    /// Address ranges that are routed by the host itself: not to be given to containers.
    pub host_routes: Vec<Ipv4Net>,
}

impl Inventory {
    /// The container of that name.
    pub fn container(&self, name: &Name) -> Option<&ContainerRecord> {
        self.containers.iter().find(|c| c.spec.name == *name)
    }

    /// The image that a reference names here, if it is complete.
    pub fn image(&self, reference: &crate::Reference) -> Option<&Image> {
        self.images.iter().find(|i| i.references.contains(reference))
    }
}

/// A container as the ledger and the runtime know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its id.
    pub id: ContainerId,
    /// What it was made from.
    pub spec: ContainerSpec,
    /// The image it was made from.
    pub image: Digest,
    /// Who may change it.
    pub owner: Owner,
    /// When it was created.
    pub created: Timestamp,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether it should be running. A restart policy only applies to those that should.
    pub wanted: bool,
    /// How often in a row it was restarted by its policy.
    pub restarts: u32,
    /// Addresses by network.
    #[serde(default)]
    pub addresses: BTreeMap<Name, Ipv4Addr>,
    /// Ports as they are published since its last start: with those chosen for it.
    #[serde(default)]
    pub published: Vec<PortSpec>,
    /// What an API client asked for, in the words of that API: shown back to it, never decided on.
    #[serde(default)]
    pub request: Option<serde_json::Value>,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its process runs.
    Running {
        /// Process id on the host.
        pid: i32,
        /// Since when.
        started: Timestamp,
        /// Its processes are frozen.
        #[serde(default)]
        paused: bool,
    },
    /// Its process ended.
    Exited {
        /// How.
        exit: ExitStatus,
        /// When it had been started; `None` if starting it failed.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Timestamp,
    },
}

impl ContainerState {
    /// Whether a process of it runs.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitStatus {
    /// Exit code as a shell shows it: 128 + signal for a killed process; 125 to 127 if it could not be started.
    pub code: i32,
    /// The memory limit was hit.
    pub oom_killed: bool,
    /// Why it could not be started; empty if it could.
    pub error: String,
    /// It did not end by itself: the host went down under it.
    pub interrupted: bool,
}

/// A network of containers that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Random, 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: Name,
    /// Who may change it.
    pub owner: Owner,
    /// Name of the bridge interface, at most 15 bytes.
    pub bridge: String,
    /// The addresses it hands out.
    pub subnet: Ipv4Net,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// Without a way out.
    pub internal: bool,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
}

/// A volume that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRecord {
    /// Its name.
    pub name: Name,
    /// Who may change it.
    pub owner: Owner,
    /// Where its data is on the host.
    pub path: std::path::PathBuf,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// Nobody named it: it goes with its container.
    #[serde(default)]
    pub anonymous: bool,
}

/// What the host is, for people and for `${HULL_…}` in a HostSpec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// Host name in force.
    pub hostname: String,
    /// Name and version of the operating system (os-release PRETTY_NAME).
    pub os: String,
    /// Version of the OS image (os-release IMAGE_VERSION, else VERSION_ID).
    pub os_version: String,
    /// Kernel release.
    pub kernel: String,
    /// `amd64`, `arm64`, as in image indexes.
    pub architecture: String,
    /// The booted deployment; `None` outside of Hull's OS.
    pub deployment: Option<DeploymentRecord>,
    /// Bytes of memory.
    pub memory: u64,
    /// Number of CPUs.
    pub cpus: u32,
    /// The machine's stable id.
    pub machine_id: String,
}

/// A deployed OS image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// OSTree commit checksum.
    pub commit: String,
    /// Boot slot, `a` or `b`.
    pub slot: String,
}
