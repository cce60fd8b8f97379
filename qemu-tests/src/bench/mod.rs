//! Us beside our peers, turn by turn, in one run.
//!
//! Here: starting one container from a bare bundle, us beside crun.

mod run;

pub(crate) use run::run;

use crate::session::Session;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 60;
const WARM_UP: usize = 5;

/// crun wants to be in a root of its own mount (a plain chroot is not enough), and refuses hybrid control groups; with
/// them out of sight and its control groups off it does less than we do.
const CRUN_ROOT: &str = r#"
set -e
root=$1 bundle=$2 exe=$3
mount --bind "$root" "$root"
cd "$root"
for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
for d in "$bundle" "$exe"; do mkdir -p "$root$d"; mount --bind "$d" "$root$d"; done
pivot_root . mnt
umount -l /mnt
if [ -d /sys/fs/cgroup/unified ]; then umount -R /sys/fs/cgroup/unified; fi
mount -t tmpfs tmpfs /run
cd /
shift 3
exec "$@"
"#;

/// Measures, prints a table, writes JSON.
pub(crate) fn start(session: &Session) -> Result<()> {
    let dir = session.directory("bench")?;
    let bundle = bundle(session, &dir)?;
    let exe = std::env::current_exe()?;
    let ours = session.work.root().join("bin/hull-runtime");
    let worker = |program: &str| [exe.display().to_string(), "bench-worker".to_owned(), program.to_owned()];
    let mut crun = Command::new("unshare");
    crun.args(["--mount", "--propagation", "private", "sh", "-c", CRUN_ROOT, "bench"])
        .arg(session.tools.root())
        .arg(&bundle)
        .arg(exe.parent().context("this program lies somewhere")?)
        .args(worker("crun"))
        .args(["--cgroup-manager=disabled", "run", "--bundle"])
        .arg(&bundle)
        .arg("bench-crun");
    let mut hull = Command::new(&exe);
    hull.args(&worker(&ours.display().to_string())[1..])
        .args(["run", "--bundle"])
        .arg(&bundle)
        .arg("bench-hull");
    let (mut hull, mut crun) = (Worker::start(&mut hull)?, Worker::start(&mut crun)?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + WARM_UP {
        let (a, b) = (hull.once().context("hull-runtime run")?, crun.once().context("crun run")?);
        if round >= WARM_UP {
            ours.push(a);
            theirs.push(b);
        }
    }
    report(session, Spread::of(ours), Spread::of(theirs))
}

fn bundle(session: &Session, dir: &Path) -> Result<PathBuf> {
    let bundle = dir.join("bundle");
    let bin = bundle.join("rootfs/bin");
    std::fs::create_dir_all(&bin).context("making the bundle")?;
    for mount in ["proc", "sys", "dev"] {
        std::fs::create_dir_all(bundle.join("rootfs").join(mount)).context("making the bundle")?;
    }
    std::fs::copy(session.tools.root().join("usr/bin/busybox"), bin.join("busybox"))
        .context("copying busybox")?;
    let kernel = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/busybox", "true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"] },
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": [
            kernel("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            kernel("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            kernel("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            kernel("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            kernel("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            kernel("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    std::fs::write(bundle.join("config.json"), config.to_string())
        .context("writing the bundle's configuration")?;
    Ok(bundle)
}

/// Median and the middle half, in milliseconds.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        let at = |quarter: usize| nanoseconds[(nanoseconds.len() - 1) * quarter / 4] as f64 / 1e6;
        Self { low: at(1), median: at(2), high: at(3) }
    }

    fn json(&self) -> serde_json::Value {
        json!({ "low_ms": self.low, "median_ms": self.median, "high_ms": self.high })
    }
}

fn report(session: &Session, ours: Spread, theirs: Spread) -> Result<()> {
    let ratio = ours.median / theirs.median;
    println!("{:24} {:>10} {:>20}", "run of a bare bundle", "median ms", "middle half ms");
    for (name, s) in [("hull-runtime run", &ours), ("crun run", &theirs)] {
        println!("{name:24} {:>10.2} {:>20}", s.median, format!("{:.2} – {:.2}", s.low, s.high));
    }
    println!(
        "ratio {ratio:.2} ({ROUNDS} rounds, turn by turn; crun without control groups, which it refuses on a hybrid host)"
    );
    let dir = session.work.root().join("bench");
    std::fs::create_dir_all(&dir).context("making the directory of results")?;
    let result = json!({ "bench": "start", "rounds": ROUNDS, "hull": ours.json(), "crun": theirs.json(), "ratio": ratio });
    std::fs::write(dir.join("start.json"), format!("{result:#}\n")).context("writing the result")
}

/// A process that runs one command whenever it is told to, and says how long that took.
struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting a worker")?;
        let orders = child.stdin.take().context("the worker has no input")?;
        let answers = BufReader::new(child.stdout.take().context("the worker has no output")?);
        Ok(Self { child, orders, answers })
    }

    fn once(&mut self) -> Result<u64> {
        self.orders.write_all(b"\n").context("telling the worker")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("hearing from the worker")?;
        line.trim().parse().with_context(|| format!("the worker says {line:?}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The worker's side: one run of the command for each line.
pub(crate) fn worker(command: &[String]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    for line in std::io::stdin().lines() {
        line?;
        let begun = Instant::now();
        let status =
            Command::new(program).args(arguments).stdin(Stdio::null()).status().context("starting it")?;
        let elapsed = begun.elapsed().as_nanos();
        ensure!(status.success(), "{program} ended with {status}");
        println!("{elapsed}");
    }
    Ok(())
}
