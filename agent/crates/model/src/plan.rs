//! Plans: so specific that no meaningful choice is left to whoever executes them.

use crate::{
    ContainerId, ContainerSpec, Digest, HostSettings, Ipv4Net, Name, NetworkSpec, Reference, VolumeSpec,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// One action. Each is idempotent: doing it again on a host where it was done changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Apply the host's own settings.
    ConfigureHost {
        /// All of them.
        settings: Box<HostSettings>,
    },
    /// Fetch an image.
    PullImage {
        /// Which.
        reference: Reference,
    },
    /// Make a volume.
    CreateVolume {
        /// Which.
        spec: VolumeSpec,
    },
    /// Make a network.
    CreateNetwork {
        /// Which.
        spec: NetworkSpec,
        /// The range chosen for it.
        subnet: Ipv4Net,
        /// The bridge's address.
        gateway: Ipv4Addr,
    },
    /// Ask a container to stop, then make it.
    StopContainer {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: Name,
    },
    /// Remove a stopped container with its writable layer. Volumes stay.
    RemoveContainer {
        /// Which.
        id: ContainerId,
        /// Its name, for people.
        name: Name,
    },
    /// Remove a network without endpoints.
    RemoveNetwork {
        /// Which.
        name: Name,
    },
    /// Make a container, not yet running.
    CreateContainer {
        /// What it is.
        spec: Box<ContainerSpec>,
        /// The image it is made from; `None` if a pull in the same plan brings it.
        image: Option<Digest>,
    },
    /// Start a container that is not running.
    StartContainer {
        /// Its name: in a plan that creates it, the id is not known yet.
        name: Name,
        /// Whether its restart policy asks for it, not a person or the HostSpec.
        restart: bool,
    },
}

/// The object a step works on and what it does to it: the unit of failure and back-off, and of ordering.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepKey {
    /// What is done: `pull`, `create-network`, `start`.
    pub action: String,
    /// To what: `image nginx:latest`, `container web`.
    pub object: String,
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.object)
    }
}

impl From<StepKey> for String {
    fn from(key: StepKey) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for StepKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (action, object) = text.split_once(' ').ok_or_else(|| format!("{text:?} names no object"))?;
        Ok(Self { action: action.to_owned(), object: object.to_owned() })
    }
}

impl Step {
    /// What it does, and to which object.
    pub fn key(&self) -> StepKey {
        let (action, object) = match self {
            Self::ConfigureHost { .. } => ("configure", "host".to_owned()),
            Self::PullImage { reference } => ("pull", format!("image {}", reference.familiar())),
            Self::CreateVolume { spec } => ("create", format!("volume {}", spec.name)),
            Self::CreateNetwork { spec, .. } => ("create", format!("network {}", spec.name)),
            Self::StopContainer { name, .. } => ("stop", format!("container {name}")),
            Self::RemoveContainer { name, .. } => ("remove", format!("container {name}")),
            Self::RemoveNetwork { name } => ("remove", format!("network {name}")),
            Self::CreateContainer { spec, .. } => ("create", format!("container {}", spec.name)),
            Self::StartContainer { name, .. } => ("start", format!("container {name}")),
        };
        StepKey { action: action.to_owned(), object }
    }
}

/// A step and the steps of the same plan that must have succeeded before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// What to do.
    pub step: Step,
    /// Keys of earlier steps of this plan.
    pub needs: Vec<StepKey>,
    /// Why, for people: "the image changed".
    pub reason: String,
}

/// What to do now, in an order in which every step comes after those it needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps. Empty for a host that is what it should be.
    pub steps: Vec<PlannedStep>,
    /// When to decide again although nothing changed: the earliest end of a back-off. `None`: never.
    pub wake: Option<Timestamp>,
    /// Steps that are due but wait: for the end of their back-off, or for one that does.
    pub waiting: Vec<StepKey>,
    /// What cannot be planned although it should be.
    pub blocked: Vec<Blocked>,
}

/// Something the HostSpec asks for that no step of ours may bring about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The object: `container web`.
    pub object: String,
    /// Why not.
    pub reason: String,
    /// What a person can do.
    pub remedy: String,
}

/// The failures of a step since it last succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// How many in a row; at least 1.
    pub count: u32,
    /// When the first of them was.
    pub since: Timestamp,
    /// When the last one was.
    pub at: Timestamp,
    /// The last error with its causes.
    pub error: String,
    /// What a person can do; may be empty.
    pub remedy: String,
    /// Trying the same again cannot help: wait for the input to change.
    pub permanent: bool,
    /// The step's content when it failed: a different content starts afresh.
    pub fingerprint: String,
}
