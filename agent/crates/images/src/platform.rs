//! Which of an index's images runs on this host. Pure.

use serde::Deserialize;

/// An operating system and processor, in the words of the OCI image specification (those of Go).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, …; empty if there is none.
    #[serde(default)]
    pub variant: String,
}

impl Platform {
    /// The platform this program was compiled for.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "x86" => ("386", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            "loongarch64" => ("loong64", ""),
            other => (other, ""),
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// Reads `os/architecture` or `os/architecture/variant`, or an architecture alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            ["linux"] => ("linux", std::env::consts::ARCH, ""),
            [architecture] => ("linux", *architecture, ""),
            [os, architecture] => (*os, *architecture, ""),
            [os, architecture, variant] => (*os, *architecture, *variant),
            _ => return None,
        };
        let is_word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !is_word(os) || !is_word(architecture) || !(variant.is_empty() || is_word(variant)) {
            return None;
        }
        // What the kernel and the field call the same thing.
        let (architecture, variant) = match (architecture, variant) {
            ("x86_64" | "x86-64", _) => ("amd64", variant),
            ("i386" | "i686" | "x86", _) => ("386", variant),
            ("aarch64", "") | ("arm64", "") => ("arm64", "v8"),
            ("aarch64", _) => ("arm64", variant),
            ("armhf" | "arm", "") => ("arm", "v7"),
            other => other,
        };
        Some(Self { os: os.to_lowercase(), architecture: architecture.into(), variant: variant.into() })
    }

    /// How well an image for `other` runs here: lower is better, `None` is not at all.
    pub(crate) fn rank(&self, other: &Self) -> Option<u32> {
        if self.os != other.os || self.architecture != other.architecture {
            return None;
        }
        if self.variant == other.variant {
            return Some(0);
        }
        match (self.architecture.as_str(), self.variant.as_str(), other.variant.as_str()) {
            // What every processor of the architecture runs.
            ("arm64", _, "" | "v8") | ("amd64", _, "" | "v1") => Some(1),
            // A 32-bit ARM runs what older ones ran; images that do not say mean v7.
            ("arm", own, other) => {
                let version =
                    |v: &str| if v.is_empty() { Some(7) } else { v.strip_prefix('v')?.parse::<u32>().ok() };
                version(own)?.checked_sub(version(other)?)
            }
            (_, _, "") => Some(1),
            _ => None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// Index of the best of several; the first among equals. An entry without a platform is taken if nothing else fits.
pub(crate) fn choose<'a>(
    host: &Platform,
    offered: impl Iterator<Item = Option<&'a Platform>>,
) -> Option<usize> {
    offered
        .enumerate()
        .filter_map(|(i, platform)| Some((platform.map_or(Some(u32::MAX), |p| host.rank(p))?, i)))
        .min()
        .map(|(_, i)| i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        Platform { os: next(), architecture: next(), variant: next() }
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let rows: [(&str, &[&str], Option<usize>); 11] = [
            ("linux/amd64", &["linux/arm64/v8", "linux/amd64"], Some(1)),
            ("linux/amd64", &["linux/amd64/v3", "linux/amd64/v1"], Some(1)),
            ("linux/amd64", &["linux/amd64/v3"], None),
            ("linux/amd64", &["windows/amd64", "unknown/unknown"], None),
            ("linux/arm64/v8", &["linux/arm64"], Some(0)),
            ("linux/arm64/v8", &["linux/arm64/v9"], None),
            ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6", "linux/arm64"], Some(1)),
            ("linux/arm/v6", &["linux/arm/v7"], None),
            ("linux/amd64", &["-", "linux/amd64"], Some(1)),
            ("linux/amd64", &["-"], Some(0)),
            ("linux/amd64", &[], None),
        ];
        for (host, offered, wanted) in rows {
            let parsed: Vec<Option<Platform>> =
                offered.iter().map(|t| (*t != "-").then(|| platform(t))).collect();
            assert_eq!(
                choose(&platform(host), parsed.iter().map(Option::as_ref)),
                wanted,
                "{host} {offered:?}"
            );
        }
    }

    #[test]
    fn platforms_are_read() {
        let rows = [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/arm64", Some("linux/arm64/v8")),
            ("linux/arm/v6", Some("linux/arm/v6")),
            ("aarch64", Some("linux/arm64/v8")),
            ("x86_64", Some("linux/amd64")),
            ("windows/amd64", Some("windows/amd64")),
            ("", None),
            ("linux/", None),
            ("a/b/c/d", None),
            ("linux/a b", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(Platform::parse(text).map(|p| p.to_string()).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn this_host_is_linux() {
        assert!(Platform::host().to_string().starts_with("linux/"));
    }
}
