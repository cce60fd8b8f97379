//! Identifiers as types: an id that exists is well formed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not valid: {reason}")]
pub struct InvalidId {
    /// What the text was meant to be ("container id", "name").
    pub what: &'static str,
    /// The offending text.
    pub text: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

/// A container's id: 64 lower-case hexadecimal digits, chosen at random when the container is created.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Makes an id from 32 bytes of randomness, which the caller provides.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as people see it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text))
        } else {
            Err(InvalidId {
                what: "container id",
                text,
                reason: "it must be 64 lower-case hexadecimal digits",
            })
        }
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> String {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a container, network or volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 255 bytes, as in Docker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks and wraps a name.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let invalid = |reason| InvalidId { what: "name", text: text.clone(), reason };
        let mut bytes = text.bytes();
        match bytes.next() {
            None => return Err(invalid("it must not be empty")),
            Some(b) if !b.is_ascii_alphanumeric() => {
                return Err(invalid("it must begin with a letter or a digit"));
            }
            Some(_) => {}
        }
        if text.len() > 255 {
            return Err(invalid("it must not be longer than 255 bytes"));
        }
        if !bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')) {
            return Err(invalid("only letters, digits, '_', '.' and '-' are allowed"));
        }
        Ok(Self(text))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a HostSpec: grows by one with every change that was accepted, and is never used again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who may change or remove an object. The reconciler only ever plans away what it owns itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Declared in the HostSpec.
    HostSpec,
    /// Made through the Docker API, or by `hull` with Docker's words.
    Docker,
    /// Made by a kubelet through the CRI.
    Cri,
}

impl Owner {
    /// The name used in labels, the ledger and the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostSpec => "host-spec",
            Self::Docker => "docker",
            Self::Cri => "cri",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_docker_grammar() {
        for good in ["a", "web", "web-1", "A_b.c", "0x"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".hidden", "a/b", "a b", "ü", "a\n", "../x", &"x".repeat(256)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn container_ids_are_64_hex_digits() {
        let id = ContainerId::from_random([0xab; 32]);
        assert_eq!(id.as_str().len(), 64);
        assert_eq!(id.short(), "abababababab");
        assert!(ContainerId::try_from("AB".repeat(32)).is_err());
        assert!(ContainerId::try_from("ab".to_owned()).is_err());
    }
}
