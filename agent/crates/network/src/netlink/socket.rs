//! A synchronous netlink socket. The kernel works a request off inside `sendmsg`, so its answers are there when it returns.

use super::message::{HEADER, Message, NLM_F_ACK, NLM_F_DUMP, Reply, u32_at};
use crate::error::{Failure, Outcome};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send,
    setsockopt, socket, sockopt,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// A batch of many thousand map elements goes out in one piece, so that it is atomic.
const SEND_BUFFER: usize = 32 << 20;

/// Requests that are sent together. For nf_tables: all or nothing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    messages: Vec<(Message, String)>,
    /// The last message is a mark that is not answered.
    closed: bool,
}

impl Batch {
    /// Adds a request; `what` says in an error what was asked for.
    pub(crate) fn push(&mut self, message: Message, what: impl Into<String>) -> &mut Self {
        self.messages.push((message, what.into()));
        self
    }

    /// Adds the mark that ends an nf_tables batch.
    pub(crate) fn close(&mut self, mark: Message) {
        self.messages.push((mark, String::new()));
        self.closed = true;
    }

    /// The datagram, with its messages numbered from `first`.
    pub(crate) fn encode(&self, first: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.messages.iter().map(|(m, _)| m.body.len() + HEADER).sum());
        for (index, (message, _)) in self.messages.iter().enumerate() {
            let length = (HEADER + message.body.len()) as u32;
            bytes.extend_from_slice(&length.to_ne_bytes());
            bytes.extend_from_slice(&message.kind.to_ne_bytes());
            bytes.extend_from_slice(&message.flags.to_ne_bytes());
            bytes.extend_from_slice(&first.wrapping_add(index as u32).to_ne_bytes());
            bytes.extend_from_slice(&0u32.to_ne_bytes());
            bytes.extend_from_slice(&message.body);
        }
        bytes
    }
}

/// A netlink socket of the namespace it was opened in, wherever it is used.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    port: u32,
}

impl Socket {
    /// For links, addresses and routes.
    pub(crate) fn route() -> Outcome<Self> {
        Self::open(SockProtocol::NetlinkRoute, 0)
    }

    /// For nf_tables; hears the groups of the mask.
    pub(crate) fn netfilter(groups: u32) -> Outcome<Self> {
        let socket = Self::open(SockProtocol::NetlinkNetFilter, groups)?;
        // Both are refused without CAP_NET_ADMIN over the first user namespace: then smaller batches have to do.
        let _ = setsockopt(&socket.descriptor, sockopt::SndBufForce, &SEND_BUFFER);
        let _ = setsockopt(&socket.descriptor, sockopt::RcvBufForce, &(4 << 20));
        Ok(socket)
    }

    fn open(protocol: SockProtocol, groups: u32) -> Outcome<Self> {
        let descriptor = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            protocol,
        )
        .map_err(Failure::errno("opening a netlink socket"))?;
        bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, groups))
            .map_err(Failure::errno("binding a netlink socket"))?;
        let name: NetlinkAddr = getsockname(descriptor.as_raw_fd())
            .map_err(Failure::errno("asking for a netlink socket's port"))?;
        Ok(Self { descriptor, sequence: 1, port: name.pid() })
    }

    /// The number by which notifications name this socket as their cause.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Sends all requests in one go and returns the first error. Requests after a failed one may have been done, except
    /// in an nf_tables batch.
    pub(crate) fn transact(&mut self, mut batch: Batch) -> Outcome<()> {
        // Errors always come; the last request asks for an answer in any case, which shows that all was read.
        let Some(asked) = batch.messages.len().checked_sub(1 + usize::from(batch.closed)) else {
            return Ok(());
        };
        batch.messages[asked].0.flags |= NLM_F_ACK;
        let first = self.sequence;
        self.sequence = self.sequence.wrapping_add(batch.messages.len() as u32);
        self.send(&batch.encode(first), &batch.messages[asked].1)?;
        let mut confirmed = false;
        let mut failed: Option<(usize, Errno)> = None;
        let mut buffer = vec![0u8; 16 << 10];
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Failure::errno("reading the kernel's answer")(errno)),
            };
            for reply in Reply::split(&buffer[..length]).filter(|r| r.kind == NLMSG_ERROR) {
                let index = reply.sequence.wrapping_sub(first) as usize;
                let code = u32_at(reply.body, 0).unwrap_or(0) as i32;
                confirmed |= index == asked;
                if code != 0 && index < batch.messages.len() && failed.is_none_or(|(i, _)| index < i) {
                    failed = Some((index, Errno::from_raw(-code)));
                }
            }
        }
        match failed {
            Some((index, source)) => {
                Err(Failure::Netlink { what: batch.messages.swap_remove(index).1, source })
            }
            None if confirmed => Ok(()),
            None => Err(Failure::Netlink { what: batch.messages.swap_remove(asked).1, source: Errno::EIO }),
        }
    }

    /// Asks for all objects and reads each answer with `read`. Asks again if they changed meanwhile.
    pub(crate) fn dump<T>(
        &mut self,
        mut request: Message,
        what: &str,
        read: impl Fn(&Reply<'_>) -> Option<T>,
    ) -> Outcome<Vec<T>> {
        request.flags |= NLM_F_DUMP;
        loop {
            let mut batch = Batch::default();
            batch.push(request.clone(), what);
            let first = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            self.send(&batch.encode(first), what)?;
            if let Some(objects) = self.collect(first, what, &read)? {
                return Ok(objects);
            }
        }
    }

    fn collect<T>(
        &self,
        first: u32,
        what: &str,
        read: impl Fn(&Reply<'_>) -> Option<T>,
    ) -> Outcome<Option<Vec<T>>> {
        let mut objects = Vec::new();
        let mut interrupted = false;
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let length = match recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(Failure::errno(what)(errno)),
            };
            for reply in Reply::split(&buffer[..length]).filter(|r| r.sequence == first) {
                interrupted |= reply.flags & NLM_F_DUMP_INTR != 0;
                match reply.kind {
                    NLMSG_DONE => return Ok((!interrupted).then_some(objects)),
                    NLMSG_ERROR => {
                        let code = u32_at(reply.body, 0).unwrap_or(0) as i32;
                        return Err(Failure::Netlink {
                            what: what.to_owned(),
                            source: Errno::from_raw(-code),
                        });
                    }
                    _ => objects.extend(read(&reply)),
                }
            }
        }
    }

    /// Reads what the socket's groups announced, without waiting. `None`: nothing there.
    /// `Some(Err)`: announcements were lost.
    pub(crate) fn announced(&self, buffer: &mut [u8]) -> Option<Result<usize, Errno>> {
        loop {
            match recv(self.descriptor.as_raw_fd(), buffer, MsgFlags::empty()) {
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EINTR) => {}
                other => return Some(other),
            }
        }
    }

    fn send(&self, bytes: &[u8], what: &str) -> Outcome<()> {
        loop {
            match send(self.descriptor.as_raw_fd(), bytes, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Failure::errno(what)(errno)),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }
}
