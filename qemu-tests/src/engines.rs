//! Container engines in namespaces of their own: ours and Docker's.

pub(crate) mod http;

use crate::wait;
use anyhow::{Context as _, Result, ensure};
use image_builder::peers::Peers;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const START: Duration = Duration::from_secs(60);

/// An engine that answers. Ends with this value.
pub(crate) struct Engine {
    child: Child,
    /// Where its API answers.
    pub(crate) socket: PathBuf,
}

impl Engine {
    /// Docker's own, with a registry beside it on its loopback.
    pub(crate) fn docker(peers: &Peers, dir: &Path) -> Result<Self> {
        let shared = dir.join("docker");
        std::fs::create_dir_all(&shared)?;
        let mut command = peers.command(&shared, "dockerd");
        command.args(["-H", "unix:///shared/docker.sock"]);
        Self::start(command, shared.join("docker.sock"), &dir.join("dockerd.log"))
    }

    /// Ours, likewise.
    pub(crate) fn hull(work: &Path, dir: &Path) -> Result<Self> {
        let shared = dir.join("hull");
        std::fs::create_dir_all(&shared)?;
        let programs = std::path::absolute(work)?.join("bin");
        let script = "ip link set lo up; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "hull",
        ]);
        command.arg(programs.join("hulld"));
        for (flag, path) in
            [("--state-dir", "state"), ("--run-dir", "run"), ("--docker-socket", "docker.sock")]
        {
            command.arg(flag).arg(shared.join(path));
        }
        Self::start(command, shared.join("docker.sock"), &dir.join("hulld.log"))
    }

    fn start(mut command: Command, socket: PathBuf, log: &Path) -> Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let mut engine = Self { child: child.context("starting an engine")?, socket };
        wait::until("the engine answers", START, || {
            ensure!(engine.child.try_wait()?.is_none(), "the engine ended; see its log");
            Ok(http::ask(&engine.socket, "GET", "/_ping", b"", "text/plain").ok())
        })?;
        Ok(engine)
    }
}

impl Engine {
    /// A command in the namespaces of the engine, and in its root.
    pub(crate) fn beside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let pid = self.child.id().to_string();
        command
            .args(["--target", &pid, "--mount", "--net", "--uts", "--ipc", "--root", "--wd", "--"])
            .arg(program);
        command
    }

    /// Its process, for looking at what it uses.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What could not be asked to go ends with its namespaces.
        _ = http::ask(&self.socket, "POST", "/hull/v1/reset", b"", "application/json");
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
