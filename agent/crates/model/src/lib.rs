//! The nouns of the container host: what it should be, what it is, what is being done about it.
//!
//! This crate owns types and their textual forms. It refuses all I/O: no clock, no file, no socket; whoever needs
//! the time or the contents of a file passes them in. Everything here is a value that can be compared whole.

mod condition;
mod container;
mod digest;
mod host;
mod ids;
mod image;
mod inventory;
mod network;
mod plan;
mod problem;
mod reference;
mod signal;
mod spec;
mod units;
mod volume;

pub use condition::{Condition, ContainerSummary, HostStatus, InProgress, Phase};
pub use container::{
    ContainerSpec, DeviceRate, DeviceSpec, EndpointSpec, Healthcheck, HostPort, IpcMode, Link, LogConfig,
    LogDriver, MountKind, MountOptions, MountSpec, NamespaceMode, NetworkMode, PortSpec, Protocol, Resources,
    RestartPolicy, SeccompChoice, Ulimit,
};
pub use digest::{Digest, InvalidDigest};
pub use host::{CaCerts, Group, HostSettings, Ntp, User, WriteFile};
pub use ids::{ContainerId, Generation, InvalidId, Name, Owner};
pub use image::{HistoryEntry, Image, ImageConfig};
pub use inventory::{
    ContainerRecord, ContainerState, DeploymentRecord, ExitStatus, HostFacts, Inventory, NetworkRecord,
    VolumeRecord,
};
pub use network::{HostNetwork, Ipv4Net, NetworkSpec, hardware_address};
pub use plan::{Attempt, Blocked, Plan, PlannedStep, Step, StepKey};
pub use problem::{Problem, Severity};
pub use reference::{InvalidReference, Reference};
pub use signal::parse_signal;
pub use spec::{HostSpec, HullSettings, Layer, Registry, Source, Workloads};
pub use units::{InvalidUnit, parse_bytes, parse_duration};
pub use volume::VolumeSpec;
