//! The host's table as it should be, and the socket that makes it so.

use crate::error::Outcome;
use crate::netlink::Socket;
use crate::nft::{self, Element};
use nix::errno::Errno;
use std::collections::BTreeSet;

/// Elements of the host's table. Everything that changes the table goes through here, one at a time, so that the table
/// and the elements agree.
#[derive(Debug)]
pub(crate) struct Rules {
    socket: Socket,
    elements: BTreeSet<Element>,
}

impl Rules {
    /// Opens the socket; touches nothing.
    pub(crate) fn open() -> Outcome<Self> {
        Ok(Self { socket: Socket::netfilter(0)?, elements: BTreeSet::new() })
    }

    /// By which notifications name us as their cause.
    pub(crate) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Adds elements: one message whatever is there already.
    pub(crate) fn add(&mut self, elements: &[Element]) -> Outcome<()> {
        let fresh: Vec<Element> = elements.iter().filter(|e| !self.elements.contains(e)).cloned().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let done = match self.socket.transact(nft::host::add(&sorted(&fresh))) {
            Ok(()) => Ok(()),
            // Somebody flushed or changed the table behind our back: make all of it again.
            Err(failure) if is_drift(&failure) => {
                self.send_all(self.elements.iter().chain(&fresh).cloned().collect())
            }
            Err(failure) => Err(failure),
        };
        if done.is_ok() {
            self.elements.extend(fresh);
        }
        done
    }

    /// Removes elements.
    pub(crate) fn remove(&mut self, elements: &[Element]) -> Outcome<()> {
        let present: Vec<Element> = elements.iter().filter(|e| self.elements.contains(e)).cloned().collect();
        if present.is_empty() {
            return Ok(());
        }
        for element in &present {
            self.elements.remove(element);
        }
        match self.socket.transact(nft::host::delete(&sorted(&present))) {
            Err(failure) if is_drift(&failure) => self.renew(),
            other => other,
        }
    }

    /// Makes the table exactly what it should be.
    pub(crate) fn renew(&mut self) -> Outcome<()> {
        self.send_all(self.elements.clone())
    }

    /// Makes the table exactly these elements.
    pub(crate) fn set(&mut self, elements: BTreeSet<Element>) -> Outcome<()> {
        self.send_all(elements.clone())?;
        self.elements = elements;
        Ok(())
    }

    fn send_all(&mut self, elements: BTreeSet<Element>) -> Outcome<()> {
        let elements: Vec<Element> = elements.into_iter().collect();
        let renewed = self.socket.transact(nft::host::renew(&elements));
        match renewed {
            Ok(()) => Ok(()),
            // A table of another structure: of an older agent, or changed by hand.
            Err(_) => self.socket.transact(nft::host::replace(&elements)),
        }
    }

    /// Removes the table.
    pub(crate) fn clear(&mut self) -> Outcome<()> {
        self.elements.clear();
        self.socket.transact(nft::host::remove())
    }
}

fn sorted(elements: &[Element]) -> Vec<Element> {
    let mut elements = elements.to_vec();
    elements.sort_unstable();
    elements
}

fn is_drift(failure: &crate::error::Failure) -> bool {
    failure.number().is_some_and(|n| n == Errno::ENOENT as i32 || n == Errno::EEXIST as i32)
}
