//! A small internet: the "host" (a namespace of its own), and an "outside" that is one hop away from it.

use super::samples::{net, network};
use crate::links::{self, Pair};
use crate::netlink::{Batch, Socket};
use crate::{Driver, Options};
use hull_model::NetworkRecord;
use hull_ports::{Networks, Sandbox, SandboxSpec};
use hull_sys::netns;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

pub(super) struct World {
    pub(super) driver: Driver,
    pub(super) run_dir: PathBuf,
    pub(super) options: Options,
    pub(super) host: File,
    pub(super) outside: File,
    _directory: tempfile::TempDir,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) links: Vec<String>,
    pub(super) namespaces: Vec<String>,
    pub(super) rules: String,
}

/// Runs a test in namespaces of its own.
pub(super) fn in_world<F>(test: impl FnOnce(World) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("these tests run as root");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { test(World::new().await).await });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

impl World {
    async fn new() -> Self {
        let host = netns::current().unwrap();
        let mut route = Socket::route().unwrap();
        let (outside, mut there) = netns::create(Socket::route).unwrap();
        let pair = Pair {
            host: "uplink",
            bridge: 0,
            namespace: outside.as_raw_fd(),
            name: "eth0",
            hardware: hull_model::hardware_address(OUTSIDE),
            mtu: 1500,
        };
        let net = net("192.0.2.0/24");
        let mut batch = Batch::default();
        batch.push(links::raise(1), "lo").push(links::add_pair(&pair), "uplink");
        route.transact(batch).unwrap();
        let index = nix::net::if_::if_nametoindex("uplink").unwrap();
        let mut batch = Batch::default();
        batch.push(links::add_address(index, HOST, net), "address").push(links::raise(index), "up");
        route.transact(batch).unwrap();
        let mut batch = Batch::default();
        let links = there.dump(links::list_links(), "links", links::read_link).unwrap();
        let index = links.iter().find(|l| l.name == "eth0").unwrap().index;
        batch.push(links::add_address(index, OUTSIDE, net), "address");
        batch.push(links::raise(1), "lo").push(links::raise(index), "up");
        there.transact(batch).unwrap();
        hull_sys::link::settle(there.as_fd(), "eth0").unwrap();
        hull_sys::link::settle(route.as_fd(), "uplink").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let run_dir = directory.path().join("run");
        let resolv_conf = directory.path().join("resolv.conf");
        std::fs::write(&resolv_conf, format!("nameserver {OUTSIDE}\n")).unwrap();
        let options = Options { pool: 2, mtu: None, resolv_conf: vec![resolv_conf] };
        let driver = Driver::open(run_dir.clone(), options.clone()).await.unwrap();
        driver.restore(&[], &[]).await.unwrap();
        Self { driver, run_dir, options, host, outside, _directory: directory }
    }

    /// Ends the driver and opens another one.
    pub(super) async fn restart(&mut self) {
        let next = Driver::open(self.run_dir.clone(), self.options.clone()).await.unwrap();
        drop(std::mem::replace(&mut self.driver, next));
    }

    /// Everything of ours in the kernel.
    pub(super) fn census(&self) -> Census {
        let dumped = within(&self.host, || {
            Socket::route().unwrap().dump(links::list_links(), "links", links::read_link).unwrap()
        });
        let mut links: Vec<String> = dumped.into_iter().map(|l| l.name).collect();
        links.sort();
        let namespaces = std::fs::read_dir(self.run_dir.join("netns"))
            .map(|entries| entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        let rules = within(&self.host, || {
            // Without the program, the rest of the census still counts.
            let listed = std::process::Command::new("nft").args(["list", "ruleset"]).output();
            listed.map(|o| String::from_utf8(o.stdout).unwrap()).unwrap_or_default()
        });
        Census { links, namespaces, rules }
    }

    pub(super) async fn network(&self, name: &str, subnet: &str, internal: bool) -> NetworkRecord {
        let record = network(name, subnet, internal);
        self.driver.create(&record).await.unwrap();
        record
    }

    pub(super) async fn attach(&self, spec: &SandboxSpec) -> Sandbox {
        self.driver.attach(spec).await.unwrap_or_else(|e| panic!("{}", e.chain()))
    }
}

/// Runs something in a namespace.
pub(super) fn within<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    netns::enter(namespace.as_fd(), || Ok::<_, io::Error>(work())).unwrap()
}

pub(super) fn open(sandbox: &Sandbox) -> File {
    File::open(&sandbox.netns).unwrap()
}

/// A server that tells each client its address as it sees it; then echoes lines.
pub(super) struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(namespace: &File, port: u16) -> Self {
        let listener =
            within(namespace, || TcpListener::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let accept = move || {
            while !ended.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, peer)) => drop(std::thread::spawn(move || converse(stream, peer))),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        };
        Self { stop, threads: vec![std::thread::spawn(accept)] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|t| t.join().unwrap());
    }
}

fn converse(mut stream: TcpStream, peer: SocketAddr) {
    stream.set_nonblocking(false).unwrap();
    let _ = stream.write_all(format!("{}\n", peer.ip()).as_bytes());
    let mut buffer = [0u8; 256];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}

/// Connects from a namespace; the client's address as the server sees it.
pub(super) fn greet(namespace: &File, to: impl Into<SocketAddr>) -> io::Result<Ipv4Addr> {
    let mut stream = connect(namespace, to)?;
    Ok(line(&mut stream)?.parse().unwrap())
}

pub(super) fn connect(namespace: &File, to: impl Into<SocketAddr>) -> io::Result<TcpStream> {
    let to = to.into();
    let stream = within(namespace, || TcpStream::connect_timeout(&to, Duration::from_millis(700)))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

pub(super) fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    let mut byte = [0u8];
    while stream.read(&mut byte)? == 1 && byte != *b"\n" {
        text.push(char::from(byte[0]));
    }
    Ok(text)
}

/// Waits until it holds.
pub(super) fn eventually(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + limit;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
