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
    /// Keep its standard input open for whoever attaches; it reads as empty otherwise.
    #[serde(default)]
    pub stdin_open: bool,
    /// Close its standard input for good once the first client that was attached to it has gone.
    #[serde(default)]
    pub stdin_once: bool,
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
    /// Its processes are frozen.
    #[serde(default)]
    pub paused: bool,
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
    /// The kernel killed a process of it because memory ran out; the main process may go on.
    OutOfMemory {
        /// Whose.
        id: ContainerId,
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

/// Which streams of a container's main process are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachSpec {
    /// Its standard input.
    pub stdin: bool,
    /// Its standard output.
    pub stdout: bool,
    /// Its standard error.
    pub stderr: bool,
}

/// Our ends of the streams of a container's main process. Reading ends at the end of the process. What the container writes
/// from now on arrives whole: a slow reader makes the container wait. With a terminal everything comes out of `stdout`, and
/// `stdin` is written to the terminal.
#[derive(Debug)]
pub struct AttachIo {
    /// Written to. Dropping it is the container's end of file only for `stdin_once`; with a terminal never.
    pub stdin: Option<OwnedFd>,
    /// Read from.
    pub stdout: Option<OwnedFd>,
    /// Read from.
    pub stderr: Option<OwnedFd>,
}

/// Bytes and requests of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIo {
    /// Device numbers.
    pub major: u64,
    /// Device numbers.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Traffic of one interface of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // The columns of /proc/net/dev, named as there.
pub struct InterfaceStats {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// What a container uses at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Nanoseconds of CPU time: all, in the kernel, in user space.
    pub cpu_total: u64,
    /// In the kernel.
    pub cpu_system: u64,
    /// In user space.
    pub cpu_user: u64,
    /// Periods with a quota, periods in which it was used up, nanoseconds waited for the next one.
    pub throttling: (u64, u64, u64),
    /// Bytes of memory in use, as the kernel charges them.
    pub memory_usage: u64,
    /// The most that were in use; 0 if the kernel does not say.
    pub memory_max: u64,
    /// Bytes it may use; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// How often the limit was hit.
    pub memory_failures: u64,
    /// The kernel's own counters (memory.stat).
    pub memory_stat: std::collections::BTreeMap<String, u64>,
    /// Processes and threads.
    pub pids: u64,
    /// How many it may have; `None` without a limit.
    pub pids_limit: Option<u64>,
    /// Disks.
    pub devices: Vec<DeviceIo>,
    /// Interfaces of its network namespace, without loopback.
    pub interfaces: std::collections::BTreeMap<String, InterfaceStats>,
    /// Whether the counters are those of cgroup v2.
    pub unified: bool,
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
    /// Labels and the like that go with it, as its log was configured when it was written.
    pub attributes: std::sync::Arc<std::collections::BTreeMap<String, String>>,
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

    /// Kills a process started by `exec`, with the processes it started.
    async fn exec_kill(&self, exec: &str) -> Result<()> {
        _ = exec;
        Err(crate::Error::permanent("exec_kill is not supported by this driver"))
    }

    /// Connects to the streams of the main process. May be called before the container is started: then its start waits for
    /// nothing, and no byte that it writes is missed. Several may be attached. `Conflict` for `stdin` of a container whose
    /// standard input is closed.
    async fn attach(&self, id: &ContainerId, spec: &AttachSpec) -> Result<AttachIo> {
        _ = (id, spec);
        Err(crate::Error::permanent("attach is not supported by this driver"))
    }

    /// Sets the size of the main process's terminal, rows and columns. `Conflict` if it does not run or has none.
    async fn resize(&self, id: &ContainerId, rows: u16, columns: u16) -> Result<()> {
        _ = (id, rows, columns);
        Err(crate::Error::permanent("resize is not supported by this driver"))
    }

    /// Freezes every process of the container. `Conflict` if it does not run or is frozen.
    async fn pause(&self, id: &ContainerId) -> Result<()> {
        _ = id;
        Err(crate::Error::permanent("pause is not supported by this driver"))
    }

    /// Lets them go on. `Conflict` if they are not frozen.
    async fn resume(&self, id: &ContainerId) -> Result<()> {
        _ = id;
        Err(crate::Error::permanent("resume is not supported by this driver"))
    }

    /// Process ids, on the host, of everything that runs in the container.
    async fn processes(&self, id: &ContainerId) -> Result<Vec<i32>> {
        _ = id;
        Err(crate::Error::permanent("processes is not supported by this driver"))
    }

    /// What it uses. `Conflict` if it does not run.
    async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        _ = id;
        Err(crate::Error::permanent("stats is not supported by this driver"))
    }

    /// Changes the limits of a running container. What the kernel refuses changes nothing.
    async fn update(&self, id: &ContainerId, resources: &oci_spec::runtime::LinuxResources) -> Result<()> {
        _ = (id, resources);
        Err(crate::Error::permanent("update is not supported by this driver"))
    }

    /// The container's kept output, oldest first. `Permanent` for a log driver that cannot be read back.
    async fn logs(&self, id: &ContainerId, options: &LogOptions) -> Result<LogStream>;

    /// Forgets an ended container: its exit status, control group and logs. `Conflict` while it runs.
    async fn remove(&self, id: &ContainerId) -> Result<()>;

    /// Ends every container and the supervisor itself, and removes all they made.
    async fn reset(&self) -> Result<()>;
}
