//! Why an archive cannot be read or written.

use std::io;

/// What is wrong with an archive, or with the stream it comes from.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The archive is not well formed.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// The archive ends in the middle of an entry.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// An entry is something, or asks for something, that the reader's user cannot do.
    #[error("entry {path:?}: {reason}")]
    Refused {
        /// Path of the entry as it stands in the archive, cut to 200 characters.
        path: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The stream behind the archive failed.
    #[error("reading the archive")]
    Input(#[source] io::Error),
}

impl TarError {
    /// An archive that breaks a rule of the format.
    pub fn malformed(reason: &'static str) -> Self {
        Self::Malformed(reason)
    }

    /// An entry that breaks a rule.
    pub fn refused(path: &[u8], reason: &'static str) -> Self {
        Self::Refused { path: shown(path), reason }
    }
}

/// A path of an archive for people: at most 200 characters.
pub fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).collect()
}
