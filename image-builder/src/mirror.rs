//! Which mirrors of Debian to use: those that this machine's apt uses.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Base addresses of the archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirrors {
    /// The main archive, with every suite.
    pub debian: String,
    /// The security archive.
    pub security: String,
}

impl Mirrors {
    /// Asks apt.
    pub fn of_host() -> Result<Self> {
        let output = Command::new("apt-get")
            .args(["indextargets", "--format", "$(REPO_URI)"])
            .output()
            .context("cannot start apt-get: images are built on Debian or a system like it")?;
        Self::choose(&String::from_utf8_lossy(&output.stdout))
    }

    /// Chooses among the addresses of the configured archives, one a line.
    fn choose(addresses: &str) -> Result<Self> {
        let ending = |name: &str| {
            let mut found = addresses.lines().map(|line| line.trim().trim_end_matches('/'));
            found.find(|address| address.rsplit('/').next() == Some(name)).map(str::to_owned)
        };
        let Some(debian) = ending("debian") else {
            bail!(
                "apt is configured with no mirror of Debian (an address ending in /debian); add one to its sources"
            );
        };
        // Mirrors carry the security archive beside the main one.
        let security = ending("debian-security").unwrap_or_else(|| format!("{debian}-security"));
        Ok(Self { debian, security })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_told_by_their_paths() {
        let both = "http://m.example/debian/\nhttp://m.example/debian/\nhttp://s.example/debian-security/\n";
        let mirrors = Mirrors::choose(both).unwrap();
        assert_eq!(mirrors.debian, "http://m.example/debian");
        assert_eq!(mirrors.security, "http://s.example/debian-security");
        let main_only = Mirrors::choose("http://other.example/apt/\nhttp://m.example/debian\n").unwrap();
        assert_eq!(main_only.security, "http://m.example/debian-security");
        assert!(Mirrors::choose("http://other.example/ubuntu/\n").is_err());
    }
}
