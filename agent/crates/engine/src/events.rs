//! What happened, for whoever listens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that happened to an object, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// `container`, `image`, `network`, `volume`.
    pub kind: String,
    /// `create`, `start`, `die`, `stop`, `destroy`, `pull`, …
    pub action: String,
    /// The object's id; its name where it has no id.
    pub id: String,
    /// `name`, `image`, `exitCode`, …
    pub attributes: BTreeMap<String, String>,
}
