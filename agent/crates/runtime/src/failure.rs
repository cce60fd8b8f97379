//! One kind of error for everything a start can fail at: it crosses from the child to the supervisor and on to the client.

use serde::{Deserialize, Serialize};
use std::io;

/// What clients read before the reason why a container could not be made.
pub(crate) const CREATE: &str = "failed to create task for container: OCI runtime create failed";
/// The same for its first process; clients look for "unable to start container process".
pub(crate) const START: &str = "failed to create task for container: OCI runtime create failed: unable to start container process: \
     error during container init";
/// The same for a further process.
pub(crate) const EXEC: &str = "OCI runtime exec failed: exec failed: unable to start container process";

/// What a caller may do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The same request may succeed later.
    Retryable,
    /// The same request cannot succeed.
    Permanent,
    /// The object, or the program to be run, does not exist.
    NotFound,
    /// The object is in a state that forbids it.
    Conflict,
}

/// What was being done, to which object, why it failed and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{doing}{}{reason}", if reason.is_empty() { "" } else { ": " })]
pub struct Failure {
    /// What a caller may do.
    pub class: Class,
    /// What was being done, to which object.
    pub doing: String,
    /// Why it failed; empty if `doing` is the whole sentence.
    pub reason: String,
    /// What a person can do; may be empty.
    #[serde(default)]
    pub remedy: String,
}

/// A result with a [`Failure`].
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of a class.
    pub fn new(class: Class, doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { class, doing: doing.into(), reason: reason.into(), remedy: String::new() }
    }

    /// A request that cannot succeed as it is.
    pub fn permanent(doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Class::Permanent, doing, reason)
    }

    /// An object in a state that forbids what was asked for, as one sentence.
    pub fn conflict(sentence: impl Into<String>) -> Self {
        Self::new(Class::Conflict, sentence, "")
    }

    /// Something that does not exist.
    pub fn not_found(doing: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Class::NotFound, doing, reason)
    }

    /// Says first what all of it was for.
    #[must_use]
    pub(crate) fn within(self, whole: &str) -> Self {
        Self { doing: format!("{whole}: {}", self.doing), ..self }
    }

    /// The same reason for something else that was being done.
    #[must_use]
    pub(crate) fn instead_of(self, doing: impl FnOnce() -> String) -> Self {
        Self { doing: doing(), ..self }
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// From an error of the kernel. Shortages may pass; everything else stays as long as the request does.
    pub fn from_io(doing: impl Into<String>, error: &io::Error) -> Self {
        let class = match error.raw_os_error() {
            Some(
                libc::EAGAIN
                | libc::ENOMEM
                | libc::EMFILE
                | libc::ENFILE
                | libc::ENOSPC
                | libc::EBUSY
                | libc::EINTR
                | libc::EDQUOT
                | libc::EIO,
            ) => Class::Retryable,
            _ => Class::Permanent,
        };
        Self::new(class, doing, describe(error))
    }
}

/// The kernel's error without the number that the standard library appends.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let errno = nix::errno::Errno::from_raw(number);
            format!("{} ({errno:?})", errno.desc().to_lowercase())
        }
        None => error.to_string(),
    }
}

/// Says what was being done when an error of the kernel came.
pub(crate) trait Doing<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::from_io(doing(), &error))
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::from_io(doing(), &io::Error::from(error)))
    }
}
