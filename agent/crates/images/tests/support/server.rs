//! The real registry: Debian's `docker-registry`, on loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HTPASSWD: &str = "user:$2y$05$UgK.h6rfGhU9anmr6sMay.EiVk6jL7xjG9oF97QxAWSWbEJL5eSLy\n";

/// What asks for a name and a password.
pub const LOCKED: &str = "auth: {htpasswd: {realm: r, path: \"{dir}/htpasswd\"}}";

/// A registry process with its own directory.
pub struct Server {
    pub host: String,
    process: Child,
    pub directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program and what has to stand before it: one from a root file system of another release needs its own loader.
fn program() -> Vec<PathBuf> {
    let in_root = |root: PathBuf| {
        let program = root.join("usr/bin/docker-registry");
        let machine = std::env::consts::ARCH;
        let loader = match machine {
            "x86_64" => root.join("lib64/ld-linux-x86-64.so.2"),
            _ => root.join(format!("lib/ld-linux-{machine}.so.1")),
        };
        let libraries =
            format!("{0}/lib/{machine}-linux-gnu:{0}/usr/lib/{machine}-linux-gnu", root.display());
        match (program.is_file(), loader.is_file()) {
            (false, _) => None,
            (true, false) => Some(vec![program]),
            (true, true) => Some(vec![loader, "--library-path".into(), libraries.into(), program]),
        }
    };
    let root = std::env::var_os("HULL_TOOLS_ROOT").and_then(|root| in_root(root.into()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || {
        let candidates = std::env::split_paths(&path).map(|dir| dir.join("docker-registry"));
        candidates.into_iter().find(|program| program.is_file()).map(|program| vec![program])
    };
    root.or_else(on_path).expect(
        "docker-registry was not found in HULL_TOOLS_ROOT or on PATH; `cargo xtask test` provides it \
         (or install the Debian package docker-registry)",
    )
}

/// One that lets everybody do everything.
pub async fn start() -> Server {
    start_with("").await
}

/// One with more in its configuration: `{dir}` stands for its directory.
pub async fn start_with(more: &str) -> Server {
    let directory = tempfile::tempdir().unwrap();
    // A port that is free now; the registry cannot be told to choose one and say which.
    let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = directory.path().join("config.yml");
    let storage = directory.path().join("storage");
    let more = more.replace("{dir}", &directory.path().display().to_string());
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"{host}\"}}\n{more}\n",
        storage.display()
    );
    // Somebody named `user` with the password `pass`.
    std::fs::write(directory.path().join("htpasswd"), HTPASSWD).unwrap();
    std::fs::write(&config, text).unwrap();
    let program = program();
    let log = std::fs::File::create(directory.path().join("log")).unwrap();
    let process = Command::new(&program[0])
        .args(&program[1..])
        .arg("serve")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut server = Server { host, process, directory };
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::net::TcpStream::connect(&server.host).await.is_err() {
        let ended = server.process.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "the registry does not start: {ended:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server
}
