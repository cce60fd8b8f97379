//! What the kernel says about a process (proc(5)).

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// One process.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) comm: String,
    /// Arguments; the name in brackets if it has none.
    pub(super) args: String,
    /// Columns of /proc/PID/stat from the third on.
    stat: Vec<String>,
    status: BTreeMap<String, String>,
    pub(super) wchan: String,
}

/// Columns of /proc/PID/stat, counted as in proc(5).
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    State = 3,
    Parent = 4,
    Group = 5,
    Session = 6,
    Tty = 7,
    Foreground = 8,
    Flags = 9,
    MinorFaults = 10,
    MajorFaults = 12,
    User = 14,
    System = 15,
    Priority = 18,
    Nice = 19,
    Threads = 20,
    Start = 22,
    Virtual = 23,
    Resident = 24,
    Processor = 39,
    Policy = 41,
}

impl Process {
    /// Reads a process; `None` if it is gone.
    pub(super) fn read(proc: &Path, pid: i32) -> Option<Self> {
        let dir = proc.join(pid.to_string());
        let text = String::from_utf8_lossy(&std::fs::read(dir.join("stat")).ok()?).into_owned();
        // The name is in brackets, and may have brackets itself.
        let (front, back) = text.rsplit_once(')')?;
        let comm = front.split_once('(')?.1.to_owned();
        let raw = std::fs::read(dir.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&raw).trim_end_matches('\0').replace('\0', " ");
        let args = if line.is_empty() { format!("[{comm}]") } else { line.replace('\n', "?") };
        let status = std::fs::read_to_string(dir.join("status")).unwrap_or_default();
        let pair = |line: &str| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned()));
        let wchan = std::fs::read_to_string(dir.join("wchan")).unwrap_or_default();
        Some(Self {
            pid,
            comm,
            args,
            stat: back.split_whitespace().map(str::to_owned).collect(),
            status: status.lines().filter_map(pair).collect(),
            wchan,
        })
    }

    /// A column as text.
    pub(super) fn text(&self, field: Field) -> &str {
        self.stat.get(field as usize - 3).map_or("-", String::as_str)
    }

    /// A column as a number; 0 if it is none.
    pub(super) fn number(&self, field: Field) -> i64 {
        self.text(field).parse().unwrap_or(0)
    }

    /// One of the four ids of a line of the status: real, effective, saved, file system.
    pub(super) fn id(&self, key: &str, which: usize) -> &str {
        self.status.get(key).and_then(|ids| ids.split_whitespace().nth(which)).unwrap_or("0")
    }

    /// A line of the status.
    pub(super) fn status(&self, key: &str) -> &str {
        self.status.get(key).map_or("-", String::as_str)
    }
}

/// What columns need to know about the host.
#[derive(Debug, Clone)]
pub(super) struct Host {
    users: BTreeMap<String, String>,
    pub(super) now: Timestamp,
    /// Seconds since the host was started.
    pub(super) uptime: f64,
    /// Kilobytes.
    pub(super) memory: u64,
    /// Clock ticks in a second.
    pub(super) ticks: f64,
    /// Bytes in a page.
    pub(super) page: i64,
}

impl Host {
    pub(super) fn read(proc: &Path, passwd: &Path, now: Timestamp) -> Self {
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let user = |line: &str| {
            let mut parts = line.split(':');
            let name = parts.next()?.to_owned();
            Some((parts.nth(1)?.to_owned(), name))
        };
        let uptime = text(&proc.join("uptime"));
        let memory = text(&proc.join("meminfo"));
        let total = memory.lines().find_map(|l| l.strip_prefix("MemTotal:"));
        let setting = |name| nix::unistd::sysconf(name).ok().flatten();
        #[allow(clippy::cast_precision_loss, reason = "a hundred or a thousand")]
        Self {
            // The first of several names of one user counts.
            users: text(passwd).lines().rev().filter_map(user).collect(),
            now,
            uptime: uptime.split_whitespace().next().and_then(|t| t.parse().ok()).unwrap_or(0.0),
            memory: total.and_then(|t| t.split_whitespace().next()?.parse().ok()).unwrap_or(0),
            ticks: setting(nix::unistd::SysconfVar::CLK_TCK).unwrap_or(100) as f64,
            page: setting(nix::unistd::SysconfVar::PAGE_SIZE).unwrap_or(4096),
        }
    }

    /// A user's name on the host; the number without one.
    pub(super) fn user(&self, id: &str) -> String {
        self.users.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }
}
