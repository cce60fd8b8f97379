//! Image references as people write them (`nginx`, `registry:5000/team/app:v1@sha256:…`).

use crate::{Digest, InvalidDigest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text does not name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// The text breaks the grammar of the OCI distribution specification.
    #[error("invalid reference format: {text:?}: {reason}")]
    Format {
        /// The offending text.
        text: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The part after `@` is no digest.
    #[error("invalid reference format")]
    Digest(#[from] InvalidDigest),
}

/// A fully qualified image reference. Short names mean the default registry, and `library/` there, as in Docker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Host, with a port if one was given: `docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// Path below the registry: `library/nginx`.
    pub repository: String,
    /// Tag. Present unless only a digest was given.
    pub tag: Option<String>,
    /// Digest. Wins over the tag when pulling.
    pub digest: Option<Digest>,
}

/// The registry that short names mean.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The longest repository, and the longest registry (distribution specification, "Pulling manifests"; RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;

impl Reference {
    /// Parses what a person wrote.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let fail = |reason| InvalidReference::Format { text: text.to_owned(), reason };
        let (name_and_tag, digest) = match text.split_once('@') {
            Some((left, right)) => (left, Some(Digest::parse(right)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(name_and_tag);
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(fail(
                "a tag is 1 to 128 letters, digits, '_', '.' or '-', not beginning with '.' or '-'",
            ));
        }
        let (registry, path) = split_registry(name);
        if !is_registry(registry) {
            return Err(fail("the registry must be a host name or address, with an optional port"));
        }
        if path.is_empty() || !path.split('/').all(is_component) {
            return Err(fail(
                "a repository is lower-case letters and digits, separated by '.', '_', '-' or '/'",
            ));
        }
        let repository = match (registry, path.contains('/')) {
            (DEFAULT_REGISTRY, false) => format!("library/{path}"),
            _ => path.to_owned(),
        };
        // Of the whole name: what was read once must be readable in its full form too.
        if repository.len() > MAX_NAME || registry.len() > MAX_NAME {
            return Err(fail("repository name must not be more than 255 characters"));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// What to ask the registry for: the digest if there is one, the tag otherwise.
    pub fn manifest_selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The short form that Docker shows: the default registry and `library/` are left out.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }

    /// The familiar form without tag and digest, as `docker images` shows it under REPOSITORY.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        self.repository.strip_prefix("library/").unwrap_or(&self.repository).to_owned()
    }
}

/// Splits the tag off: a colon after the last slash.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let after_slash = text.rfind('/').map_or(0, |i| i + 1);
    match text[after_slash..].find(':') {
        Some(i) => (&text[..after_slash + i], Some(&text[after_slash + i + 1..])),
        None => (text, None),
    }
}

/// The first component is a registry if it looks like a host: it has a dot or a port, or is `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "index.docker.io" => (DEFAULT_REGISTRY, rest),
            _ => (first, rest),
        },
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, after)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", after.strip_prefix(':')),
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host_is_good = !host.is_empty()
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    host_is_good && port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(|b| alphanumeric(*b)) || !bytes.last().is_some_and(|b| alphanumeric(*b)) {
        return false;
    }
    let separators =
        part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|s| !s.is_empty());
    separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_normalised_as_docker_does() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let at_digest = format!("a/b@{digest}");
        let rows: &[(&str, &str, &str)] = &[
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
            ("team/app", "docker.io/team/app:latest", "team/app:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("127.0.0.1:5000/demo/web:1", "127.0.0.1:5000/demo/web:1", "127.0.0.1:5000/demo/web:1"),
            ("index.docker.io/library/x", "docker.io/library/x:latest", "x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            (&at_digest, &format!("docker.io/a/b@{digest}"), &at_digest),
        ];
        for (text, full, familiar) in rows {
            let parsed = Reference::parse(text).unwrap();
            assert_eq!(parsed.to_string(), *full, "{text}");
            assert_eq!(parsed.familiar(), *familiar, "{text}");
            assert_eq!(Reference::parse(full).unwrap(), parsed, "{text}");
        }
    }

    #[test]
    fn the_longest_names_can_be_read_in_every_form() {
        for (name, fits) in [
            ("a".repeat(247), true),
            ("a".repeat(248), false),
            (format!("r.example:5000/{}", "a".repeat(255)), true),
            (format!("r.example:5000/{}", "a".repeat(256)), false),
            (format!("{}example/a", "a.".repeat(124)), true),
            (format!("{}example/a", "a.".repeat(125)), false),
        ] {
            let parsed = Reference::parse(&name);
            assert_eq!(parsed.is_ok(), fits, "{} bytes: {parsed:?}", name.len());
            if let Ok(reference) = parsed {
                assert_eq!(Reference::parse(&reference.to_string()).as_ref(), Ok(&reference));
                assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference));
            }
        }
    }

    #[test]
    fn malformed_references_are_refused() {
        for bad in [
            "",
            "/",
            "A",
            "a:",
            "a@",
            "a@sha256:00",
            "a//b",
            "a/../b",
            "-a",
            "a:b:c",
            "x:99999999/a",
            "a b",
            "é",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad:?}");
        }
    }
}
