//! What was wrong with an input, said so that its author can mend it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How much a problem takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The key is left out and everything else is applied.
    Warning,
    /// The object, or for workloads the whole set, is not applied; the last good one stays.
    Error,
}

/// One thing wrong with one input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// How much it takes away.
    pub severity: Severity,
    /// Where the input came from: `user-data`, `vendor-data`, a file's path.
    pub source: String,
    /// Path of the key within the input: `services.web.ports[0]`. Empty for the whole.
    pub object: String,
    /// What is wrong.
    pub reason: String,
    /// What the author can do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if !self.object.is_empty() {
            write!(f, ": {}", self.object)?;
        }
        write!(f, ": {}", self.reason)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}
