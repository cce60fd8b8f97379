//! A document full of mistakes, read over HTTP: the host boots, is reachable, and says what is wrong with what.

use crate::guest::{Guest, Seed};
use crate::registry::{HOST_SEEN_BY_GUEST, Registry};
use crate::session::{Session, free_port};
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The first document: a port twice, an unknown key, something only a shell could do.
const CONTRADICTORY: &str = "#cloud-config
hostname: survivor
runcmd: [reboot]
hostnmae: typo
services:
  one: {image: 'registry.invalid/one', ports: ['8080:80']}
  two: {image: 'registry.invalid/two', ports: ['8080:80']}
";
/// The second one is no YAML at all.
const BROKEN: &str = "#cloud-config\nservices: [\n";
/// The third is well formed, but its image cannot be had.
const UNREACHABLE: &str = "#cloud-config
hostname: survivor
services:
  one: {image: '127.0.0.1:9/one', restart: always}
hull: {registries: {'127.0.0.1:9': {insecure: true}}}
";

pub(crate) fn run(session: &Session) -> Result<()> {
    let dir = session.directory("bad-input")?;
    let server = Server::start()?;
    server.serve(CONTRADICTORY);
    let url = format!("http://{HOST_SEEN_BY_GUEST}:{}/", server.port);
    let mut guest = Guest::boot(session, &dir, &Seed::Url(url))?;
    guest.wait_for_ssh()?;
    let degraded = |s: &serde_json::Value| s["phase"] == "degraded";
    let status = guest.wait_for_status("the host says it is degraded", degraded)?;
    for expected in ["host port 8080/tcp is published by", "runcmd", "hostnmae"] {
        ensure!(
            status["problems"].to_string().contains(expected),
            "the status does not name {expected:?}: {status:#}"
        );
    }
    ensure!(guest.ssh("hostname")?.trim() == "survivor", "the good half was not applied");
    server.serve(BROKEN);
    restart_agent(&guest)?;
    let status = guest.wait_for_status("the broken document is reported", |s| {
        degraded(s)
            && s["problems"].to_string().contains("user-data")
            && !s["problems"].to_string().contains("8080")
    })?;
    ensure!(status["generation"] == 1, "a broken document changed the host: {status:#}");
    server.serve(UNREACHABLE);
    restart_agent(&guest)?;
    let status = guest.wait_for_status("the registry that is down is a condition", |s| {
        s["conditions"].to_string().contains("127.0.0.1:9")
    })?;
    let condition = &status["conditions"][0];
    ensure!(condition["retry"].is_string(), "it is not tried again: {condition:#}");
    ensure!(condition["remedy"].as_str().is_some_and(|r| !r.is_empty()), "no remedy: {condition:#}");
    a_full_disk_is_survived(session, &dir, &server, &guest)
}

/// Nothing fits any more: the pull fails and says why; with room again it succeeds by itself.
fn a_full_disk_is_survived(session: &Session, dir: &Path, server: &Server, guest: &Guest<'_>) -> Result<()> {
    let registry = Registry::with_demo_images(session, dir)?;
    let name = registry.name_in_guest();
    guest.ssh("fallocate -l $(($(df --output=avail -B1 /var | tail -1) - 1000000)) /var/filler")?;
    server.serve(&format!(
        "#cloud-config\nservices: {{web: {{image: '{name}/demo/web:1'}}}}\nhull: {{registries: {{'{name}': {{insecure: true}}}}}}\n"
    ));
    restart_agent(guest)?;
    guest.wait_for_status("the full disk is a condition", |s| {
        let text = s["conditions"].to_string();
        text.contains("demo/web") && (text.contains("space") || text.contains("full"))
    })?;
    guest.ssh("rm /var/filler")?;
    guest.wait_for_status("the host is ready", |s| s["phase"] == "ready")?;
    Ok(())
}

fn restart_agent(guest: &Guest<'_>) -> Result<()> {
    guest.ssh("systemctl restart hulld").map(|_| ())
}

/// A NoCloud server on loopback. Ends with the process.
struct Server {
    port: u16,
    user_data: Arc<Mutex<String>>,
}

impl Server {
    fn start() -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listening for the guest")?;
        let user_data = Arc::new(Mutex::new(String::new()));
        let shared = user_data.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let text = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // A guest that hangs up in the middle asks again.
                _ = answer(stream, &text);
            }
        });
        Ok(Self { port, user_data })
    }

    fn serve(&self, user_data: &str) {
        *self.user_data.lock().unwrap_or_else(PoisonError::into_inner) = user_data.to_owned();
    }
}

fn answer(mut stream: TcpStream, user_data: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, body) = match request.split_whitespace().nth(1) {
        Some("/meta-data") => ("200 OK", "instance-id: bad-1\n"),
        Some("/user-data") => ("200 OK", user_data),
        _ => ("404 Not Found", ""),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
