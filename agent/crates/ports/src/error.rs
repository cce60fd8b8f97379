//! Errors at the door: one type, so that callers branch on the class and people read the chain.

use std::error::Error as StdError;
use std::fmt;

/// What a caller may do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same request may succeed later: try again after a back-off.
    Retryable,
    /// The same request cannot succeed: the input has to change.
    Permanent,
    /// The object does not exist.
    NotFound,
    /// The object is in a state, or in a use, that forbids it.
    Conflict,
}

/// A driver's failure: what was being done, to which object, what to do about it, and why it failed.
#[derive(Debug)]
pub struct Error {
    /// What a caller may do.
    pub class: ErrorClass,
    /// What was being done, to which object. Never repeats the source.
    pub message: String,
    /// What a person can do; may be empty.
    pub remedy: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with a driver's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a cause of its own.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), remedy: String::new(), source: None }
    }

    /// An error that may pass by itself.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Retryable, message)
    }

    /// An error that needs another input.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Permanent, message)
    }

    /// An object that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::NotFound, message)
    }

    /// An object in the wrong state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Conflict, message)
    }

    /// Adds what a person can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same failure, which means something else to this caller.
    #[must_use]
    pub fn classed(mut self, class: ErrorClass) -> Self {
        self.class = class;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The message and all causes on one line, for status, logs and API answers.
    pub fn chain(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let inner = Error::retryable("reading answer").because(std::io::Error::other("connection reset"));
        let outer = Error::retryable("pulling image web").because(inner);
        assert_eq!(outer.chain(), "pulling image web: reading answer: connection reset");
        assert_eq!(outer.to_string(), "pulling image web");
    }
}
