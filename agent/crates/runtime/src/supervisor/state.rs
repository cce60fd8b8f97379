//! What is kept on disk of each container, so that the supervisor may end at any moment.
//!
//! `S/containers/<id>/` has `state.json` (what runs), `exit.json` (how it ended, once everything it said is in its log),
//! `log/` or `<id>-json.log`, the named pipes `stdin`, `stdout` and `stderr`, and `rootfs`, an empty directory to mount on.

use crate::cgroup::Cgroup;
use crate::plan::ProcessPlan;
use crate::protocol::Exit;
use hull_model::{ContainerId, LogConfig};
use jiff::Timestamp;
use oci_spec::runtime::LinuxSeccomp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A container that was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) id: ContainerId,
    pub(super) pid: i32,
    /// When the kernel started the process, in ticks since boot: with `pid` and `boot` it names one process for ever.
    pub(super) pid_started: u64,
    /// The boot it runs in.
    pub(super) boot: String,
    pub(super) started: Timestamp,
    pub(super) log: LogConfig,
    pub(super) cgroup: Cgroup,
    /// `CLONE_NEW*` bits of the namespaces it does not share with the host.
    pub(super) namespaces: u64,
    /// What further processes get.
    pub(super) process: ProcessPlan,
    pub(super) seccomp: Option<LinuxSeccomp>,
    /// Whether its standard input was opened for clients, and is closed when the first one has finished.
    #[serde(default)]
    pub(super) stdin_open: bool,
    #[serde(default)]
    pub(super) stdin_once: bool,
}

/// Paths of one container's files.
#[derive(Debug, Clone)]
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new(state_dir: &Path, id: &ContainerId) -> Self {
        Self(containers(state_dir).join(id.as_str()))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(super) fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    pub(super) fn pipe(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A named pipe with nothing in it.
    pub(super) fn make_fresh_pipe(&self, name: &str) -> io::Result<()> {
        remove_if_there(&self.pipe(name))?;
        Ok(nix::unistd::mkfifo(&self.pipe(name), nix::sys::stat::Mode::from_bits_truncate(0o600))?)
    }

    /// Makes everything a start needs. Logs of an earlier start of the same container stay.
    pub(super) fn prepare(&self) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700).recursive(true);
        for directory in [&self.log(), &self.rootfs()] {
            builder.create(directory)?;
        }
        remove_if_there(&self.0.join("exit.json"))?;
        for name in ["stdout", "stderr"] {
            match nix::unistd::mkfifo(&self.pipe(name), nix::sys::stat::Mode::from_bits_truncate(0o600)) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    pub(super) fn save_state(&self, state: &State) -> io::Result<()> {
        self.save("state.json", state).map(drop)
    }

    /// The file is there when this returns; the caller makes it durable when there is time, with the descriptor.
    pub(super) fn save_exit(&self, exit: &Exit) -> io::Result<File> {
        self.save("exit.json", exit)
    }

    fn save<T: Serialize>(&self, name: &str, value: &T) -> io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let temporary = self.0.join(format!("{name}.tmp"));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        std::fs::rename(&temporary, self.0.join(name))?;
        Ok(file)
    }

    pub(super) fn load_state(&self) -> Option<State> {
        load(&self.0.join("state.json"))
    }

    pub(super) fn load_exit(&self) -> Option<Exit> {
        load(&self.0.join("exit.json"))
    }

    /// Forgets that a start was tried: what remains is an older exit, or nothing.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// The directory all containers are in.
pub(super) fn containers(state_dir: &Path) -> PathBuf {
    state_dir.join("containers")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// `None` for what is missing, and for what a power cut left unreadable.
fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The running kernel's boot id.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When a process was started (`starttime` of /proc/PID/stat, in ticks since boot).
pub(super) fn process_start(pid: i32) -> Option<u64> {
    stat_field(pid, 22)?.parse().ok()
}

/// How a process that nobody has reaped yet ended (`exit_code` of /proc/PID/stat).
pub(super) fn unreaped_status(pid: i32) -> Option<i32> {
    (stat_field(pid, 3)? == "Z").then(|| stat_field(pid, 52)?.parse().ok())?
}

/// A field of /proc/PID/stat by its number in proc_pid_stat(5).
fn stat_field(pid: i32, number: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, is in parentheses and may contain anything.
    let rest = &text[text.rfind(')')? + 1..];
    rest.split_whitespace().nth(number - 3).map(str::to_owned)
}
