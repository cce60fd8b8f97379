//! Sending a container's output elsewhere without ever waiting.

use super::record::Source;
use super::syslog::{Address, Syslog};
use hull_model::{ContainerId, LogConfig};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, UnixAddr, connect, getsockopt, send,
    socket, sockopt,
};
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Held for a remote end that is slow, before the container waits.
const BLOCKING: usize = 64 << 10;
/// Held for it before messages are dropped, if the log does not block and nothing else was asked for.
const NON_BLOCKING: usize = 1 << 20;
/// Between attempts to reach an end that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// What a message looks like on its way.
#[derive(Debug)]
pub(super) enum Wire {
    /// The journal's native protocol; these fields go with every message.
    Journal(Vec<u8>),
    /// One of syslog's forms.
    Syslog(Box<Syslog>),
}

impl Wire {
    fn message(&self, source: Source, at: Timestamp, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Journal(fields) => journal(fields, source, bytes),
            Self::Syslog(syslog) => syslog.message(source, at, bytes),
        }
    }
}

#[derive(Debug)]
enum Link {
    Down { since: Option<Instant> },
    Connecting(OwnedFd),
    Up(OwnedFd),
}

/// A remote end and what it has not taken yet.
#[derive(Debug)]
pub(crate) struct Remote {
    wire: Wire,
    address: Address,
    link: Link,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    limit: usize,
    non_blocking: bool,
    lost: u64,
    /// Counts connections.
    dialled: u64,
}

impl Remote {
    /// Connects, or begins to. An error is one that a start should fail with.
    pub(super) fn open(wire: Wire, address: Address, config: &LogConfig) -> nix::Result<Self> {
        let asked = config.options.get("max-buffer-size").and_then(|text| size(text));
        let limit = if config.non_blocking { asked.unwrap_or(NON_BLOCKING) } else { BLOCKING };
        let link = dial(&address)?;
        let (queue, non_blocking) = (VecDeque::new(), config.non_blocking);
        Ok(Self { wire, address, link, queue, queued: 0, limit, non_blocking, lost: 0, dialled: 0 })
    }

    /// Whether the container may go on: a remote end that is gone stops nobody, one that is slow does.
    pub(crate) fn has_room(&self) -> bool {
        self.non_blocking || self.queued < self.limit || matches!(self.link, Link::Down { .. })
    }

    /// Sends a piece of output, now or when there is room.
    pub(super) fn piece(&mut self, source: Source, at: Timestamp, bytes: &[u8]) {
        self.revive();
        let full = self.non_blocking && self.queued + bytes.len() > self.limit;
        if full || matches!(self.link, Link::Down { .. }) {
            self.lost += 1;
            return;
        }
        if self.lost > 0 {
            let text = format!("hull: {} messages were not delivered\n", self.lost);
            self.lost = 0;
            self.enqueue(self.wire.message(Source::Stderr, at, text.as_bytes()));
        }
        self.enqueue(self.wire.message(source, at, bytes));
        self.flush();
    }

    /// Sends what is waiting, as far as it is taken.
    pub(crate) fn flush(&mut self) {
        self.connected();
        while let (Link::Up(fd), Some(message)) = (&self.link, self.queue.front_mut()) {
            match send(fd.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT) {
                Ok(sent) if sent < message.len() => {
                    message.drain(..sent);
                    self.queued -= sent;
                }
                // Too long for a datagram: nobody will ever take it.
                Ok(_) | Err(Errno::EMSGSIZE) => {
                    self.queued -= message.len();
                    self.queue.pop_front();
                }
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => return,
                // A port nobody listens on says so with the next datagram; others may be heard.
                Err(Errno::ECONNREFUSED) if matches!(self.address, Address::Udp(_)) => {
                    self.queued -= message.len();
                    self.queue.pop_front();
                }
                Err(errno) => self.fall(errno),
            }
        }
    }

    /// What to wait for room on; `None` if nothing waits.
    pub(crate) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        match &self.link {
            Link::Connecting(fd) => Some(fd.as_fd()),
            Link::Up(fd) if !self.queue.is_empty() => Some(fd.as_fd()),
            _ => None,
        }
    }

    /// The connection, whether something waits or not, and its number.
    pub(crate) fn connection(&self) -> (Option<BorrowedFd<'_>>, u64) {
        match &self.link {
            Link::Connecting(fd) | Link::Up(fd) => (Some(fd.as_fd()), self.dialled),
            Link::Down { .. } => (None, self.dialled),
        }
    }

    fn enqueue(&mut self, message: Vec<u8>) {
        self.queued += message.len();
        self.queue.push_back(message);
    }

    fn fall(&mut self, errno: Errno) {
        eprintln!("hull-runtime: sending output to {}: {}", self.address, errno.desc().to_lowercase());
        self.lost += self.queue.len() as u64;
        self.queue.clear();
        self.queued = 0;
        self.link = Link::Down { since: Some(Instant::now()) };
    }

    fn revive(&mut self) {
        if let Link::Down { since } = &self.link
            && since.is_none_or(|since| since.elapsed() >= RETRY)
        {
            self.dialled += 1;
            self.link = dial(&self.address).unwrap_or_else(|_| Link::Down { since: Some(Instant::now()) });
        }
    }

    /// Looks whether a connection that was begun is there.
    fn connected(&mut self) {
        let Link::Connecting(fd) = &self.link else { return };
        let mut poll = [nix::poll::PollFd::new(fd.as_fd(), nix::poll::PollFlags::POLLOUT)];
        if !matches!(nix::poll::poll(&mut poll, nix::poll::PollTimeout::ZERO), Ok(1..)) {
            return;
        }
        match getsockopt(fd, sockopt::SocketError) {
            Ok(0) => {
                let Link::Connecting(fd) = std::mem::replace(&mut self.link, Link::Down { since: None })
                else {
                    return;
                };
                self.link = Link::Up(fd);
            }
            Ok(number) => self.fall(Errno::from_raw(number)),
            Err(errno) => self.fall(errno),
        }
    }
}

fn dial(address: &Address) -> nix::Result<Link> {
    let (family, kind) = match address {
        Address::UnixGram(_) => (AddressFamily::Unix, SockType::Datagram),
        Address::Unix(_) => (AddressFamily::Unix, SockType::Stream),
        Address::Udp(to) if to.is_ipv4() => (AddressFamily::Inet, SockType::Datagram),
        Address::Udp(_) => (AddressFamily::Inet6, SockType::Datagram),
        Address::Tcp(to) if to.is_ipv4() => (AddressFamily::Inet, SockType::Stream),
        Address::Tcp(_) => (AddressFamily::Inet6, SockType::Stream),
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    let connected = match address {
        Address::UnixGram(path) | Address::Unix(path) => {
            connect(fd.as_raw_fd(), &UnixAddr::new(path.as_path())?)
        }
        Address::Udp(to) | Address::Tcp(to) => connect(fd.as_raw_fd(), &SockaddrStorage::from(*to)),
    };
    match connected {
        Ok(()) => Ok(Link::Up(fd)),
        Err(Errno::EINPROGRESS) => Ok(Link::Connecting(fd)),
        Err(errno) => Err(errno),
    }
}

fn journal(fields: &[u8], source: Source, bytes: &[u8]) -> Vec<u8> {
    let (line, whole) = match bytes.strip_suffix(b"\n") {
        Some(line) => (line, true),
        None => (bytes, false),
    };
    let mut message = Vec::with_capacity(fields.len() + line.len() + 64);
    field(&mut message, "MESSAGE", line);
    field(&mut message, "PRIORITY", if source == Source::Stderr { b"3" } else { b"6" });
    if !whole {
        field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    message.extend_from_slice(fields);
    message
}

/// A field of the journal's native protocol (systemd, "Native Journal Protocol").
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// What goes with every message of a container.
pub(super) fn journal_fields(id: &ContainerId, config: &LogConfig) -> Vec<u8> {
    let option = |name: &str| config.options.get(name).map_or("", String::as_str);
    let tag = Some(option("tag")).filter(|tag| !tag.is_empty()).unwrap_or(id.short());
    let mut fields = Vec::new();
    for (name, value) in [
        ("CONTAINER_ID", id.short()),
        ("CONTAINER_ID_FULL", id.as_str()),
        ("CONTAINER_NAME", option("container-name")),
        ("CONTAINER_TAG", tag),
        ("IMAGE_NAME", option("image-name")),
        ("SYSLOG_IDENTIFIER", tag),
    ] {
        field(&mut fields, name, value.as_bytes());
    }
    for (name, value) in &config.attributes {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        let name = name.trim_start_matches('_');
        if !name.is_empty() {
            field(&mut fields, name, value.as_bytes());
        }
    }
    fields
}

/// Bytes, with a unit of k, m or g.
pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.trim_end_matches('b');
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}
