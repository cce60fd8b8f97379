//! A host of containers in a temporary directory, with busybox as the image. Needs root.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use futures_util::StreamExt as _;
use hull_model::{ContainerId, ExitStatus, LogConfig};
use hull_ports::{Bundle, ExecIo, ExecSpec, LogLine, LogOptions, Rootfs, Runtime as _};
use hull_runtime::Driver;
use oci_spec::runtime::Spec;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const BINARY: &str = env!("CARGO_BIN_EXE_hull-runtime");
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

pub struct Host {
    pub directory: tempfile::TempDir,
    pub driver: Driver,
    counter: std::sync::atomic::AtomicU32,
}

/// Makes an image directory with busybox in it.
pub fn make_image(root: &Path) {
    let busybox = std::env::var_os("HULL_TEST_BUSYBOX").map_or(PathBuf::from("/bin/busybox"), PathBuf::from);
    for directory in ["bin", "etc", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::copy(&busybox, root.join("bin/busybox"))
        .expect("a static busybox is needed: install busybox-static");
    for applet in [
        "sh", "cat", "ls", "id", "env", "true", "false", "sleep", "mount", "mknod", "head", "seq", "yes",
        "stty", "dd", "grep", "readlink", "kill", "unshare", "ps", "hostname", "echo", "touch", "mkdir",
        "tty", "pwd", "chmod", "ln",
    ] {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n")
        .unwrap();
    std::fs::write(root.join("etc/group"), "root:x:0:\nwww:x:34:\nlogs:x:50:web\n").unwrap();
}

pub fn specification(args: &[&str]) -> Value {
    let profile =
        hull_runtime::seccomp::default_profile(&CAPABILITIES.iter().map(|c| (*c).to_owned()).collect());
    json!({
        "ociVersion": "1.0.2",
        "hostname": "box",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin", "A=b"], "cwd": "/",
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "resources": {},
            "seccomp": profile,
        },
    })
}

impl Host {
    pub async fn new() -> Self {
        Self::with_image(|_| {}).await
    }

    /// `change` may make the image a hostile one.
    pub async fn with_image(change: impl FnOnce(&Path)) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make containers: run them as root");
        let directory = tempfile::tempdir().unwrap();
        make_image(&directory.path().join("image"));
        change(&directory.path().join("image"));
        let driver = connect(directory.path()).await;
        Self { directory, driver, counter: std::sync::atomic::AtomicU32::new(1) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn bundle(&self, args: &[&str]) -> Bundle {
        self.bundle_of(specification(args))
    }

    pub fn bundle_of(&self, specification: Value) -> Bundle {
        let number = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut bytes = [0u8; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes[4..8].copy_from_slice(&std::process::id().to_be_bytes());
        bytes[8..16].copy_from_slice(
            &self
                .directory
                .path()
                .to_str()
                .unwrap()
                .bytes()
                .fold(7u64, |h, b| h.wrapping_mul(31) + u64::from(b))
                .to_be_bytes(),
        );
        let layers = self.path(&format!("c{number}"));
        for name in ["upper", "work"] {
            std::fs::create_dir_all(layers.join(name)).unwrap();
        }
        Bundle {
            id: ContainerId::from_random(bytes),
            spec: serde_json::from_value::<Spec>(specification).unwrap(),
            rootfs: Rootfs {
                lower: vec![self.path("image")],
                upper: layers.join("upper"),
                work: layers.join("work"),
            },
            user: String::new(),
            groups: Vec::new(),
            log: LogConfig::default(),
            stdin_open: false,
            stdin_once: false,
            init: false,
        }
    }

    /// Runs a container to its end: status and output.
    pub async fn run(&self, bundle: &Bundle) -> (ExitStatus, String) {
        let result = self.driver.start(bundle).await;
        result.unwrap_or_else(|error| panic!("{}", error.chain()));
        let (status, _) = within(self.driver.wait(&bundle.id)).await.unwrap();
        (status, self.output(&bundle.id).await)
    }

    pub async fn shell(&self, script: &str) -> (ExitStatus, String) {
        self.run(&self.bundle(&["sh", "-c", script])).await
    }

    pub async fn output(&self, id: &ContainerId) -> String {
        text(&self.lines(id, &LogOptions::default()).await)
    }

    pub async fn lines(&self, id: &ContainerId, options: &LogOptions) -> Vec<LogLine> {
        let stream = self.driver.logs(id, options).await.unwrap();
        within(stream.map(Result::unwrap).collect()).await
    }

    /// Waits until a container has said something.
    pub async fn until_said(&self, id: &ContainerId, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.output(id).await.contains(what) {
            assert!(Instant::now() < deadline, "it never said {what:?} but {:?}", self.output(id).await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn exec(&self, id: &ContainerId, args: &[&str]) -> (ExitStatus, String) {
        let spec = ExecSpec { args: args.iter().map(|a| (*a).to_owned()).collect(), ..ExecSpec::default() };
        self.exec_spec(id, &spec).await
    }

    pub async fn exec_spec(&self, id: &ContainerId, spec: &ExecSpec) -> (ExitStatus, String) {
        let io = self.driver.exec(id, spec).await;
        let ExecIo { exec, stdin, stdout, stderr, .. } =
            io.unwrap_or_else(|error| panic!("{}", error.chain()));
        drop(stdin);
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            for fd in [stdout, stderr].into_iter().flatten() {
                std::fs::File::from(fd).read_to_string(&mut text).unwrap();
            }
            text
        });
        let text = within(read).await.unwrap();
        (within(self.driver.exec_wait(&exec)).await.unwrap(), text)
    }

    pub fn supervisor_pid(&self) -> i32 {
        supervisor_pid(self.directory.path())
    }

    /// Ends everything and checks that nothing stays.
    pub async fn finish(self) {
        let ids: BTreeSet<String> =
            self.driver.list().await.unwrap().into_iter().map(|r| r.id.to_string()).collect();
        let supervisor = self.supervisor_pid();
        within(self.driver.reset()).await.unwrap();
        until("the supervisor ends", || !alive(supervisor)).await;
        for id in ids {
            for hierarchy in ["", "unified/", "memory/", "cpu/", "pids/", "cpuset/", "blkio/", "devices/"] {
                let group = PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}hull/{id}"));
                assert!(!group.exists(), "{} stayed", group.display());
            }
        }
        assert!(!self.path("state/containers").exists());
    }
}

/// A test that failed leaves nothing behind either.
impl Drop for Host {
    fn drop(&mut self) {
        let containers = std::fs::read_dir(self.directory.path().join("state/containers"));
        let Some(pid) = find_supervisor(self.directory.path()) else { return };
        // First, so that it makes no more.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        for id in containers.into_iter().flatten().flatten().map(|entry| entry.file_name()) {
            for hierarchy in ["", "unified"] {
                let group = Path::new("/sys/fs/cgroup").join(hierarchy).join("hull").join(&id);
                let _ = std::fs::write(group.join("cgroup.kill"), "1");
            }
            let deadline = Instant::now() + Duration::from_secs(5);
            for hierarchy in ["", "unified", "memory", "cpu", "pids", "cpuset", "blkio", "devices"] {
                let group = Path::new("/sys/fs/cgroup").join(hierarchy).join("hull").join(&id);
                while group.exists() && std::fs::remove_dir(&group).is_err() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

pub async fn connect(directory: &Path) -> Driver {
    let binary = std::env::var_os("HULL_TEST_RUNTIME").map_or_else(|| BINARY.into(), PathBuf::from);
    let result = Driver::connect(&directory.join("run"), &directory.join("state"), Some(binary)).await;
    result.unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// The supervisor of a run directory, found by its command line.
pub fn supervisor_pid(directory: &Path) -> i32 {
    find_supervisor(directory).unwrap_or_else(|| panic!("no supervisor runs in {}", directory.display()))
}

fn find_supervisor(directory: &Path) -> Option<i32> {
    let wanted = directory.join("run");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_str().unwrap_or("").parse::<i32>() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // Children that are being set up have the same command line.
        if words.get(1) == Some(&&b"serve"[..])
            && words.get(3) == Some(&wanted.to_str().unwrap().as_bytes())
            && stat.split(") ").nth(1).and_then(|rest| rest.split(' ').nth(3)) == Some(&pid.to_string())
        {
            return Some(pid);
        }
    }
    None
}

pub fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
}

pub fn text(lines: &[LogLine]) -> String {
    String::from_utf8(lines.iter().flat_map(|l| l.bytes.clone()).collect()).unwrap()
}
