//! Connections of clients. A client that sends rubbish, or does not read what it asked for, is disconnected.

use super::sources::Source;
use super::{Caller, Supervisor};
use crate::protocol::{Answer, Call, Reply, decode, encode};
use hull_sys::socket;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// Answers a client has not read yet may not be more than this.
const MAX_BACKLOG: usize = 32 << 20;

pub(super) struct Client {
    stream: OwnedFd,
    received: Vec<u8>,
    backlog: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    backlog_size: usize,
    pub(super) subscribed: bool,
}

impl Client {
    /// Writes what is waiting. `Ok(true)`: nothing waits any more.
    fn flush(&mut self) -> io::Result<bool> {
        while let Some((bytes, fds)) = self.backlog.front_mut() {
            let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
            match socket::send(self.stream.as_fd(), bytes, &borrowed) {
                Ok(sent) => {
                    self.backlog_size -= sent;
                    bytes.drain(..sent);
                    // They went with the first byte.
                    fds.clear();
                    if bytes.is_empty() {
                        self.backlog.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads what is there. `Ok(false)`: the client is gone.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; 64 << 10];
        match socket::receive(self.stream.as_fd(), &mut buffer) {
            Ok((0, _)) => Ok(false),
            // Descriptors from clients are not expected and close here.
            Ok((length, _)) => {
                self.received.extend_from_slice(&buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Supervisor {
    pub(super) fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let stream = OwnedFd::from(stream);
        let Ok(token) = self.sources.add_with(stream.as_fd(), Source::Client) else { return };
        let client = Client {
            stream,
            received: Vec::new(),
            backlog: VecDeque::new(),
            backlog_size: 0,
            subscribed: false,
        };
        self.clients.insert(token, client);
    }

    pub(super) fn client_ready(&mut self, key: u64) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let alive = client.read();
        let mut calls = Vec::new();
        let readable = loop {
            match decode::<Call>(&mut client.received) {
                Ok(Some(call)) => calls.push(call),
                Ok(None) => break true,
                Err(error) => {
                    eprintln!("hull-runtime: disconnecting a client: {error}");
                    break false;
                }
            }
        };
        for call in calls {
            self.handle((key, call.number), call.request);
        }
        if !matches!(alive, Ok(true)) || !readable {
            self.disconnect(key);
        } else {
            self.flush(key);
        }
    }

    pub(super) fn answer(&mut self, caller: Caller, answer: Answer) {
        self.answer_with(caller, answer, Vec::new());
    }

    pub(super) fn answer_with(&mut self, (key, number): Caller, answer: Answer, fds: Vec<OwnedFd>) {
        self.send(key, &Reply::Answer { number, fds: fds.len(), answer }, fds);
    }

    pub(super) fn send(&mut self, key: u64, reply: &Reply, fds: Vec<OwnedFd>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        match encode(reply) {
            Ok(bytes) => {
                client.backlog_size += bytes.len();
                client.backlog.push_back((bytes, fds));
            }
            Err(error) => {
                eprintln!("hull-runtime: answering a client: {error}");
                self.disconnect(key);
                return;
            }
        }
        self.flush(key);
    }

    fn flush(&mut self, key: u64) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        match client.flush() {
            Ok(done) if client.backlog_size <= MAX_BACKLOG => {
                self.sources.set_writing(client.stream.as_fd(), key, !done);
            }
            _ => self.disconnect(key),
        }
    }

    fn disconnect(&mut self, key: u64) {
        if let Some(client) = self.clients.remove(&key) {
            self.sources.remove(client.stream.as_fd(), key);
        }
    }
}
