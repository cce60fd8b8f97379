//! Where things are kept between runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory that holds the toolbox, the cached stages and the logs. Always absolute.
#[derive(Debug, Clone)]
pub struct WorkDir {
    root: PathBuf,
}

impl WorkDir {
    /// Opens the directory, creating it when it is missing.
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("cannot create the work directory {}", path.display()))?;
        let root = path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))?;
        for sub in ["cache", "log", "run"] {
            fs::create_dir_all(root.join(sub))
                .with_context(|| format!("cannot create {sub} in {}", root.display()))?;
        }
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The toolbox root file system.
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// One log file for each step.
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Stages, named after the digest of their inputs.
    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// The OSTree repository that commits are made in (mode `bare`: deploying from it makes hard links).
    pub fn repo(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// Scratch space of whatever is running.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }
}
