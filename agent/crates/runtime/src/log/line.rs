//! One line of a log file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// A line as it is written. The text is lossy where the bytes are not UTF-8, as in Docker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    pub(crate) log: Cow<'a, str>,
    pub(crate) stream: Source,
    pub(crate) time: Cow<'a, str>,
}

/// RFC 3339 with nanoseconds.
pub(crate) fn stamp(at: Timestamp) -> String {
    format!("{at:.9}")
}
