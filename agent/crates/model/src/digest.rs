//! Content digests (OCI image specification, "Digests").

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not a digest this host can verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest {0:?} is not of the form sha256:<64 lower-case hexadecimal digits>")]
pub struct InvalidDigest(pub String);

/// A sha256 digest. Other algorithms are refused: a digest that cannot be verified is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Wraps a computed sha256.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// Parses `sha256:…`.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let hex = text.strip_prefix("sha256:").ok_or_else(|| InvalidDigest(text.to_owned()))?;
        if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(hex.to_owned()))
        } else {
            Err(InvalidDigest(text.to_owned()))
        }
    }

    /// The 64 hexadecimal digits, without the algorithm: safe as a file name.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, as people see it.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verifiable_digests_are_accepted() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(Digest::parse(&good).unwrap().to_string(), good);
        for bad in ["", "sha256:", "sha256:../../etc/passwd", "sha512:00", &good.to_uppercase(), &good[..70]]
        {
            assert!(Digest::parse(bad).is_err(), "{bad:?}");
        }
    }
}
