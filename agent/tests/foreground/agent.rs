//! The agent under test, as a process.

use crate::wait;
use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// Leaves the machine's network and mounts alone: everything from here on happens in namespaces of our own.
pub(crate) fn enter_namespaces() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .context("making namespaces: this test needs root")?;
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let status =
            Command::new(program).args(arguments).status().with_context(|| format!("starting {program}"))?;
        ensure!(status.success(), "{program} {arguments:?}: {status}");
        Ok(())
    };
    run("mount", &["--make-rprivate", "/"])?;
    let busybox = std::env::var("HULL_TEST_BUSYBOX");
    let busybox =
        busybox.context("HULL_TEST_BUSYBOX is not set: `cargo xtask test` makes the toolbox and sets it")?;
    run(&busybox, &["ip", "link", "set", "lo", "up"])
}

/// A directory below /tmp that ends with this value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/hull-foreground-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("removing {}: {error}", self.0.display());
        }
    }
}

/// hulld with a document.
pub(crate) struct Agent {
    child: Child,
    dir: PathBuf,
}

impl Agent {
    pub(crate) fn start(dir: &Path, document: &str) -> Result<Self> {
        let write = std::fs::write(dir.join("host.yaml"), document);
        write.context("writing the document")?;
        Ok(Self { child: spawn(dir)?, dir: dir.to_owned() })
    }

    /// Replaces the document, as an editor does.
    pub(crate) fn declare(&self, document: &str) -> Result<()> {
        let new = self.dir.join("host.yaml.new");
        std::fs::write(&new, document).context("writing the document")?;
        std::fs::rename(new, self.dir.join("host.yaml")).context("replacing the document")
    }

    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        self.kill_then(|_| Ok(()))
    }

    /// As a bad disk would, between two agents.
    pub(crate) fn kill_damage_ledger_and_restart(&mut self) -> Result<()> {
        self.kill_then(|dir| {
            let garbage = b"this is no database at all".repeat(1000);
            // The log beside it would repair it.
            std::fs::remove_file(dir.join("state/ledger.sqlite-wal")).context("removing the ledger's log")?;
            std::fs::write(dir.join("state/ledger.sqlite"), garbage).context("damaging the ledger")
        })
    }

    fn kill_then(&mut self, between: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.child.kill().context("killing the agent")?;
        self.child.wait()?;
        between(&self.dir)?;
        self.child = spawn(&self.dir)?;
        wait::until("the agent is back", DEADLINE, || {
            ensure!(self.child.try_wait()?.is_none(), "the agent ended");
            Ok(self.hull_output(&["status"])?.status.success().then_some(()))
        })
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a process id")?;
        kill(Pid::from_raw(pid), Signal::SIGINT).context("interrupting the agent")?;
        let status = wait::until("the agent ends", DEADLINE, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
        command.arg("-H").arg(format!("unix://{}", self.dir.join("docker.sock").display())).args(arguments);
        command
    }

    /// What `hull` prints; it must succeed.
    pub(crate) fn hull(&self, arguments: &[&str]) -> Result<String> {
        let output = self.hull_output(arguments)?;
        ensure!(output.status.success(), "hull {arguments:?}: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn hull_output(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments).stdin(Stdio::null()).output().context("starting hull")
    }

    pub(crate) fn hull_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no input")?.write_all(input)?;
        child.wait_with_output().context("waiting for hull")
    }

    pub(crate) fn wait_for_status(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait::until(what, DEADLINE, || {
            let output = self.hull_output(&["status", "--format", "json"])?;
            let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) else { return Ok(None) };
            last.clone_from(&status);
            Ok(is_so(&status).then_some(status))
        });
        found.with_context(|| format!("the last status was {last:#}"))
    }

    /// The page of the published web server.
    pub(crate) fn wait_for_page(&self) -> Result<String> {
        wait::until("the published port answers", DEADLINE, || {
            Ok(get().ok().filter(|p| p.contains("id=\"starts\"")))
        })
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("hulld.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    pub(crate) fn volume_file(&self, volume: &str, file: &str) -> PathBuf {
        self.dir.join("state/volumes").join(volume).join("_data").join(file)
    }

    /// Whether a process still has our run directory on its command line.
    pub(crate) fn supervisor_runs(&self) -> Result<bool> {
        let run_dir = self.dir.join("run").display().to_string();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&run_dir) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Without a doubt nothing may be left, also after a failure: what the agent cannot undo itself ends here.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            _ = self.hull_output(&["system", "reset", "--force"]);
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

fn spawn(dir: &Path) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("hulld.log"))?;
    Command::new(env!("CARGO_BIN_EXE_hulld"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .arg("--run-dir")
        .arg(dir.join("run"))
        .arg("--docker-socket")
        .arg(dir.join("docker.sock"))
        .arg("--config")
        .arg(dir.join("host.yaml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("starting hulld")
}

fn get() -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 8080))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The container of that name in a status.
pub(crate) fn container<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["containers"].as_array()?.iter().find(|c| c["name"] == name)
}

/// Directories below a control group file system whose name contains the id.
pub(crate) fn control_groups(root: &Path, id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                if entry.file_name().to_string_lossy().contains(id) {
                    found.push(entry.path());
                }
                waiting.push(entry.path());
            }
        }
    }
    found
}
