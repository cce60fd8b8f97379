//! Volumes: data that outlives containers.

use crate::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a named volume should be. Removing it from the HostSpec keeps its data: only a person removes data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// The volume's name.
    pub name: Name,
    /// Labels, shown and filtered on.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
