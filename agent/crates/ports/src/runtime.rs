//! Container processes.

use crate::{Result, Rootfs};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hull_model::{ContainerId, ExitStatus, LogConfig};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::sync::broadcast;

/// Everything needed to start a container once: no further question is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Whose it is.
    pub id: ContainerId,
    /// The OCI runtime configuration. Its `root.path` is not used; its user is replaced by `user` below. Its network
    /// namespace, if a path is given, is joined.
    pub spec: oci_spec::runtime::Spec,
    /// The root file system, mounted as an overlay in the container's mount namespace.
    pub rootfs: Rootfs,
    /// `user`, `uid`, `user:group`, `uid:gid`, looked up in the container's own files, inside it. Empty: root.
    pub user: String,
    /// Supplementary groups, by name or number, looked up likewise.
    pub groups: Vec<String>,
    /// How its output is kept.
    pub log: LogConfig,
    /// Run a minimal init as process 1.
    pub init: bool,
}

/// A process that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Process id on the host.
    pub pid: i32,
    /// When.
    pub at: Timestamp,
}

/// A container's main process as the runtime knows it; kept after its end until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Whose.
    pub id: ContainerId,
    /// Process id on the host, and when it was started.
    pub started: Started,
    /// How and when it ended; `None` while it runs.
    pub exit: Option<(ExitStatus, Timestamp)>,
}

/// Something that happened to a container's main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuntimeEvent {
    /// It ended.
    Exited {
        /// Whose.
        id: ContainerId,
        /// How.
        exit: ExitStatus,
        /// When.
        at: Timestamp,
    },
}

/// A further process in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    /// Program and arguments; at least one.
    pub args: Vec<String>,
    /// Variables on top of the container's.
    pub env: Vec<String>,
    /// Working directory; the container's otherwise.
    pub cwd: Option<PathBuf>,
    /// As for a bundle; the container's own user if empty.
    pub user: String,
    /// Give it a terminal.
    pub tty: bool,
    /// Size of the terminal, rows and columns.
    pub size: Option<(u16, u16)>,
    /// Connect standard input; it reads as empty otherwise.
    pub stdin: bool,
    /// All capabilities.
    pub privileged: bool,
}

/// Our ends of an exec's streams. With a terminal, only `terminal` is there. Dropping `stdin` is its end of file.
#[derive(Debug)]
pub struct ExecIo {
    /// Names the process in `exec_wait`.
    pub exec: String,
    /// Process id on the host.
    pub pid: i32,
    /// Written to.
    pub stdin: Option<OwnedFd>,
    /// Read from.
    pub stdout: Option<OwnedFd>,
    /// Read from.
    pub stderr: Option<OwnedFd>,
    /// Read from and written to; its window size may be set.
    pub terminal: Option<OwnedFd>,
}

/// Which stream a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a container's output: a line with its newline, or a part of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// From which stream.
    pub stream: Stream,
    /// When it was read from the container.
    pub at: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Which part of the output is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only the last so many lines.
    pub tail: Option<usize>,
    /// Only what came at or after.
    pub since: Option<Timestamp>,
    /// Only what came before.
    pub until: Option<Timestamp>,
    /// Go on with what comes, until the container ends.
    pub follow: bool,
}

/// Output as it is read.
pub type LogStream = BoxStream<'static, Result<LogLine>>;

/// Starts, watches and ends container processes. What runs outlives the agent.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Starts a container. Returns when its program has been executed, or says why it could not be: then
    /// the error is `NotFound` if the program does not exist in it, `Permanent` if it cannot be executed.
    /// A container whose process already runs is left alone.
    async fn start(&self, bundle: &Bundle) -> Result<Started>;

    /// Every container whose process runs, or ended and was not removed.
    async fn list(&self) -> Result<Vec<ProcessRecord>>;

    /// Sends a signal to the main process. `NotFound` if it does not run.
    async fn signal(&self, id: &ContainerId, signal: i32) -> Result<()>;

    /// Kills every process of the container (cgroup.kill where there is one).
    async fn kill(&self, id: &ContainerId) -> Result<()>;

    /// Waits until the main process has ended. Returns at once if it has.
    async fn wait(&self, id: &ContainerId) -> Result<(ExitStatus, Timestamp)>;

    /// What happens from now on. A receiver that lags re-reads `list`.
    fn events(&self) -> broadcast::Receiver<RuntimeEvent>;

    /// Runs a further process in a running container.
    async fn exec(&self, id: &ContainerId, spec: &ExecSpec) -> Result<ExecIo>;

    /// Waits for the end of a process started by `exec`, and forgets it.
    async fn exec_wait(&self, exec: &str) -> Result<ExitStatus>;

    /// The container's kept output, oldest first.
    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream>;

    /// Forgets an ended container: its exit status, control group and logs. `Conflict` while it runs.
    async fn remove(&self, id: &ContainerId) -> Result<()>;

    /// Ends every container and the supervisor itself, and removes all they made.
    async fn reset(&self) -> Result<()>;
}
