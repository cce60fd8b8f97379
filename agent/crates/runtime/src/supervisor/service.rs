//! The service manager: readiness, watchdog, and keeping our descriptors while we are not there (sd_notify(3)).

use hull_sys::socket;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

/// What the service manager gave us, and how to talk to it. Without one, every call does nothing.
#[derive(Debug, Default)]
pub(super) struct Service {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    kept: BTreeMap<String, OwnedFd>,
}

impl Service {
    /// From `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`.
    pub(super) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|path| connect(&path));
        let watchdog = variable("WATCHDOG_USEC")
            .and_then(|text| text.parse().ok())
            .map(|us: u64| Duration::from_micros(us / 2));
        let ours = variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
        let count =
            variable("LISTEN_FDS").filter(|_| ours).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
        let kept = names.zip(socket::inherited(count.min(65_536))).collect();
        Self { socket, watchdog, kept }
    }

    /// Whether a service manager started us, and gave us a control group of our own.
    pub(super) fn is_managed(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some())
    }

    /// A descriptor that was kept under a name.
    pub(super) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.kept.remove(name)
    }

    /// Everything that was kept under names with this beginning. It is not kept any longer: a copy elsewhere would keep others
    /// from seeing that we closed ours.
    pub(super) fn take_all(&mut self, beginning: &str) -> Vec<(String, OwnedFd)> {
        let names: Vec<String> =
            self.kept.keys().filter(|name| name.starts_with(beginning)).cloned().collect();
        names
            .into_iter()
            .filter_map(|name| {
                self.forget(&name);
                self.kept.remove(&name).map(|fd| (name, fd))
            })
            .collect()
    }

    /// The listening socket, kept or made by the service manager.
    pub(super) fn take_listener(&mut self) -> Option<UnixListener> {
        const OTHERS: [&str; 4] = ["pidfd-", "pty-", "attach-", "stdin-"];
        let name = self.kept.keys().find(|name| !OTHERS.iter().any(|other| name.starts_with(other)))?.clone();
        let listener = UnixListener::from(self.kept.remove(&name)?);
        listener.set_nonblocking(true).ok()?;
        Some(listener)
    }

    pub(super) fn ready(&self) {
        self.tell("READY=1", None);
    }

    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1", None);
    }

    /// Has a descriptor kept while we are away. The manager does not watch it: a pidfd is wanted most when it has ended.
    pub(super) fn store(&self, name: &str, fd: BorrowedFd<'_>) {
        self.tell(&format!("FDSTORE=1\nFDPOLL=0\nFDNAME={name}"), Some(fd));
    }

    pub(super) fn forget(&self, name: &str) {
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), None);
    }

    fn tell(&self, text: &str, fd: Option<BorrowedFd<'_>>) {
        let Some(socket) = &self.socket else { return };
        // A manager that does not listen misses something; nothing here depends on it.
        let _ = socket::send(socket.as_fd(), text.as_bytes(), fd.as_slice());
    }
}

fn connect(path: &str) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    match path.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?,
        None => socket.connect(path).ok()?,
    }
    Some(socket)
}
