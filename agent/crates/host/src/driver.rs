//! The driver: items in order, each with its own problems.

use crate::files::{Access, Root};
use crate::system::{Live, System};
use crate::{facts, hosts, interfaces, people, problem, time, trust, write_files};
use async_trait::async_trait;
use hull_model::{HostFacts, HostSettings, Problem};
use hull_ports::{Error, Host, Result};
use std::io;
use std::path::{Path, PathBuf};

/// The record of what is in force, in the run directory: gone with the boot that it speaks of, as `/etc` is.
const RECORD: &str = "host-settings.json";
/// What was there before the first change since boot.
const BASE: &str = "host-base";

/// The host below a root directory.
pub struct Driver {
    root: Root,
    run_dir: PathBuf,
    system: Box<dyn System>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Driver {
    /// The host whose root directory is `root` (`/`, but in tests). `run_dir` must be emptied by a reboot; it keeps what is
    /// in force and what was there before. Nothing durable is kept.
    pub fn new(root: PathBuf, run_dir: PathBuf) -> Self {
        Self::with_system(root, run_dir, Box::new(Live))
    }

    pub(crate) fn with_system(root: PathBuf, run_dir: PathBuf, system: Box<dyn System>) -> Self {
        Self { root: Root::new(root), run_dir, system, changing: tokio::sync::Mutex::new(()) }
    }

    fn record(&self) -> io::Result<Option<HostSettings>> {
        match std::fs::read(self.run_dir.join(RECORD)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn remember(&self, settings: &HostSettings) -> io::Result<()> {
        let bytes = serde_json::to_vec(settings).map_err(io::Error::other)?;
        // Password hashes are in it.
        Root::new(self.run_dir.clone()).write(RECORD, &bytes, Access::root(0o600)).map(|_| ())
    }

    fn set_hostname(&self, settings: &HostSettings) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |doing: &str, result: std::result::Result<(), String>| {
            if let Err(e) = result {
                problems.push(problem(
                    "hostname",
                    format!("{doing}: {e}"),
                    "see the reason; the old name stays",
                ));
            }
        };
        if let Some(name) = &settings.hostname {
            let written =
                self.root.write("/etc/hostname", format!("{name}\n").as_bytes(), Access::root(0o644));
            check("writing /etc/hostname", written.map(|_| ()).map_err(|e| e.to_string()));
            check("setting the host name", self.system.set_hostname(name).map_err(|e| e.to_string()));
        }
        let names = (settings.hostname.as_deref(), settings.fqdn.as_deref());
        let written = self.root.text("/etc/hosts").and_then(|before| {
            let after = hosts::render(&before, names.0, names.1);
            if before == after {
                Ok(false)
            } else {
                self.root.write("/etc/hosts", after.as_bytes(), Access::root(0o644))
            }
        });
        check("writing /etc/hosts", written.map(|_| ()).map_err(|e| e.to_string()));
        problems
    }
}

#[async_trait]
impl Host for Driver {
    async fn facts(&self) -> Result<HostFacts> {
        facts::read(&self.root).map_err(|e| Error::retryable("reading what the host is").because(e))
    }

    async fn apply(&self, settings: &HostSettings) -> Result<Vec<Problem>> {
        let _one = self.changing.lock().await;
        let base = self.run_dir.join(BASE);
        let failed = |e: io::Error| {
            let message = format!("preparing {}", base.display());
            Error::retryable(message).because(e).remedy("the run directory must be writable")
        };
        make_private(&base).map_err(failed)?;
        let before = self.record().map_err(failed)?;
        let mut problems = self.set_hostname(settings);
        match people::apply(&self.root, &base, settings, before.as_ref()) {
            Ok(more) => problems.extend(more),
            Err(e) => {
                let reason = format!("writing /etc/passwd and its companions: {e}");
                problems.push(problem("users", reason, "see the reason; the users that were there stay"));
            }
        }
        problems.extend(time::zone(&self.root, settings.timezone.as_deref()));
        problems.extend(trust::apply(&self.root, &base, &settings.ca_certs));
        // Files of the owner come after what is made from settings, and may say otherwise.
        problems.extend(write_files::apply(&self.root, &settings.files));
        problems.extend(time::servers(&self.root, &settings.ntp, &*self.system).await);
        problems.extend(interfaces::apply(&self.root, settings.network.as_ref(), &*self.system).await);
        self.remember(settings).map_err(failed)?;
        Ok(problems)
    }

    async fn applied(&self) -> Result<Option<HostSettings>> {
        self.record().map_err(|e| {
            Error::retryable(format!("reading {}", self.run_dir.join(RECORD).display())).because(e)
        })
    }
}

fn make_private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests;
