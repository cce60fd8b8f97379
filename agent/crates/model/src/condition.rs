//! The status: what the host should be, what it is, and what is being done about it.

use crate::{Generation, HostFacts, Problem, StepKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In one word, how the host is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The agent has not looked yet.
    #[default]
    Starting,
    /// Something is being done.
    Progressing,
    /// The host is what it should be.
    Ready,
    /// The host is not what it should be; the conditions say why. What worked keeps working.
    Degraded,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The object: `container web`, `image nginx:latest`, `user-data: services.web`.
    pub object: String,
    /// What is wrong.
    pub reason: String,
    /// What a person can do.
    pub remedy: String,
    /// When it is tried again on its own; `None` if only a change of input helps.
    pub retry: Option<Timestamp>,
    /// Since when; the first failure.
    pub since: Timestamp,
}

/// A step that is being executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InProgress {
    /// Which.
    pub key: StepKey,
    /// Since when.
    pub since: Timestamp,
    /// How far: "12.3 MB of 40.1 MB". Empty if it cannot say.
    pub detail: String,
}

/// A container in the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSummary {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// `missing`, `created`, `running`, `restarting (1)`, `exited (1)`.
    pub state: String,
    /// Whether it is as it should be.
    pub ready: bool,
    /// Since when it is in that state.
    pub since: Option<Timestamp>,
    /// How often its policy restarted it in a row.
    pub restarts: u32,
    /// Published ports as `8080->80/tcp`.
    pub ports: Vec<String>,
    /// Addresses by network.
    pub addresses: BTreeMap<String, String>,
}

/// The one answer to "how is this host?".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// In one word.
    pub phase: Phase,
    /// The generation that should be.
    pub generation: Generation,
    /// The last generation that the host was seen to be.
    pub observed_generation: Generation,
    /// Where the HostSpec came from: `nocloud (label cidata)`, a file's path.
    pub datasource: String,
    /// The host.
    pub host: HostFacts,
    /// Version of the agent.
    pub agent_version: String,
    /// Containers that the HostSpec declares.
    pub containers: Vec<ContainerSummary>,
    /// What is being done.
    pub in_progress: Vec<InProgress>,
    /// What is not as it should be.
    pub conditions: Vec<Condition>,
    /// What was wrong with the inputs.
    pub problems: Vec<Problem>,
    /// When this was written; `None` before the first look.
    pub at: Option<Timestamp>,
}
