//! Under a service manager: readiness, watchdog, and descriptors kept over a restart.

mod common;

use common::{Host, alive, until, within};
use hull_ports::{AttachSpec, Bundle, Runtime as _};
use hull_runtime::Driver;
use hull_sys::socket;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

/// The part of systemd that a service talks to.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
    store: BTreeMap<String, OwnedFd>,
    said: Vec<String>,
}

impl Manager {
    fn new(directory: &Path) -> Self {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, path, store: BTreeMap::new(), said: Vec::new() }
    }

    fn listen(&mut self) {
        let mut buffer = [0u8; 4096];
        while let Ok((length, mut fds)) = socket::receive(self.socket.as_fd(), &mut buffer) {
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let name = text.lines().find_map(|l| l.strip_prefix("FDNAME=")).map(str::to_owned);
            if text.contains("FDSTOREREMOVE=1") {
                self.store.remove(&name.unwrap());
            } else if text.contains("FDSTORE=1") {
                self.store.insert(name.unwrap(), fds.pop().unwrap());
            } else {
                self.said.push(text);
            }
        }
    }

    /// Starts the service with everything that is kept.
    fn start(&self, directory: &Path) -> Child {
        let (mut script, mut names) = (String::from("exec"), Vec::new());
        for (index, (name, fd)) in self.store.iter().enumerate() {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
            // Moved away first, so that no number is taken before it was copied.
            script.push_str(&format!(" {}<&{}", 200 + index, fd.as_raw_fd()));
            names.push(name.clone());
        }
        // Nothing but what is passed: a second copy of a pipe's end would keep its reader waiting.
        for fd in self.store.values() {
            script.push_str(&format!(" {}<&-", fd.as_raw_fd()));
        }
        for index in 0..names.len() {
            script.push_str(&format!(" {}<&{} {}<&-", 3 + index, 200 + index, 200 + index));
        }
        script.push_str("\nexport LISTEN_PID=$$\nexec \"$0\" \"$@\"");
        let child = Command::new("bash")
            .args(["-c", &script, common::BINARY, "serve", "--run-dir"])
            .arg(directory.join("run"))
            .arg("--state-dir")
            .arg(directory.join("state"))
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", "200000")
            .env("LISTEN_FDS", names.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            .spawn()
            .unwrap();
        for fd in self.store.values() {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        child
    }
}

#[tokio::test]
async fn terminals_and_exit_codes_survive_in_the_fd_store() {
    let host = Host::new().await;
    host.driver.reset().await.unwrap();
    let mut manager = Manager::new(host.directory.path());
    let mut service = manager.start(host.directory.path());
    let directory = host.directory.path();
    let driver = Driver::connect(&directory.join("run"), &directory.join("state"), None).await.unwrap();
    until("it is ready and alive", || {
        manager.listen();
        manager.said.iter().any(|s| s == "READY=1") && manager.said.iter().any(|s| s == "WATCHDOG=1")
    })
    .await;
    let mut spec = common::specification(&[
        "sh",
        "-c",
        "echo begun; while [ ! -e /shared/go ]; do sleep 0.02; done; echo over; exit 11",
    ]);
    spec["process"]["terminal"] = json!(true);
    let shared = |name: &str, mut spec: serde_json::Value| {
        std::fs::create_dir(host.path(name)).unwrap();
        let mount = json!({"destination": "/shared", "source": host.path(name), "options": ["rbind"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
        host.bundle_of(spec)
    };
    let terminal = shared("terminal", spec);
    let script = "while [ ! -e /shared/go ]; do sleep 0.02; done; exit 12";
    let short = shared("short", common::specification(&["sh", "-c", script]));
    driver.start(&terminal).await.unwrap();
    let started = driver.start(&short).await.unwrap();
    until("descriptors are kept", || {
        manager.listen();
        manager.store.len() == 4
    })
    .await;
    // It dies; one container ends meanwhile, and somebody else takes its status.
    kill(Pid::from_raw(service.id() as i32), Signal::SIGKILL).unwrap();
    service.wait().unwrap();
    std::fs::write(host.path("short/go"), "").unwrap();
    until("the container ended", || !alive(started.pid)).await;
    let mut service = manager.start(host.directory.path());
    let (status, _) = within(driver.wait(&short.id)).await.unwrap();
    assert_eq!((status.code, status.error.as_str()), (12, ""));
    std::fs::write(host.path("terminal/go"), "").unwrap();
    assert_eq!(within(driver.wait(&terminal.id)).await.unwrap().0.code, 11);
    assert_eq!(common::text(&host.lines(&terminal.id, &Default::default()).await), "begun\r\nover\r\n");
    until("descriptors are let go", || {
        manager.listen();
        manager.store.keys().eq(["socket"])
    })
    .await;
    within(driver.reset()).await.unwrap();
    assert!(service.wait().unwrap().success());
}

#[tokio::test]
async fn clients_stay_attached_when_the_supervisor_is_replaced() {
    let host = Host::new().await;
    host.driver.reset().await.unwrap();
    let mut manager = Manager::new(host.directory.path());
    let mut service = manager.start(host.directory.path());
    let directory = host.directory.path();
    let driver = Driver::connect(&directory.join("run"), &directory.join("state"), None).await.unwrap();
    let bundle = Bundle { stdin_open: true, stdin_once: true, ..host.bundle(&["cat"]) };
    let all = AttachSpec { stdin: true, stdout: true, stderr: true };
    let io = driver.attach(&bundle.id, &all).await.unwrap();
    driver.start(&bundle).await.unwrap();
    let (mut stdin, mut stdout) = (File::from(io.stdin.unwrap()), File::from(io.stdout.unwrap()));
    let mut echo = |words: &str| {
        stdin.write_all(words.as_bytes()).unwrap();
        let mut answer = vec![0; words.len()];
        stdout.read_exact(&mut answer).unwrap();
        assert_eq!(answer, words.as_bytes());
    };
    echo("one\n");
    for words in ["two\n", "three\n"] {
        kill(Pid::from_raw(service.id() as i32), Signal::SIGTERM).unwrap();
        assert!(service.wait().unwrap().success());
        manager.listen();
        let kept =
            manager.store.keys().filter(|name| name.starts_with("attach-") || name.starts_with("stdin-"));
        assert_eq!(kept.count(), 4, "{:?}", manager.store.keys());
        service = manager.start(directory);
        driver.list().await.unwrap();
        manager.listen();
        assert!(manager.store.keys().all(|name| name == "socket" || name.starts_with("pidfd-")));
        echo(words);
    }
    // The end of the input, and of the container, is seen by everybody.
    drop(stdin);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert_eq!(within(driver.wait(&bundle.id)).await.unwrap().0.code, 0);
    assert_eq!(common::text(&host.lines(&bundle.id, &Default::default()).await), "one\ntwo\nthree\n");
    within(driver.reset()).await.unwrap();
    assert!(service.wait().unwrap().success());
}
