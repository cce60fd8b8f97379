//! What the supervisor waits for.

use crate::failure::{Doing as _, Result};
use crate::log;
use hull_model::ContainerId;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Where something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody connects.
    Listener,
    /// We are told to stop.
    Signals,
    /// A client speaks, listens again, or is gone; the key is the source's token.
    Client(u64),
    /// A container that is being set up reports.
    Setup(ContainerId),
    /// A container's main process ended.
    Process(ContainerId),
    /// A container wrote something on the output of that index.
    Output(ContainerId, usize),
    /// A reader of a container's output has room again, or is gone.
    Sink(ContainerId, u64, log::Source),
    /// Somebody writes to a container's standard input, or is gone.
    Feed(ContainerId, u64),
    /// A container's standard input has room again, or nobody reads it any more.
    Input(ContainerId),
    /// Where a container's log is sent to has room again.
    Remote(ContainerId),
    /// Something that outlives its container has room again, or is gone.
    Lingering(u64),
    /// A container's groups changed: frozen or not.
    Frozen(ContainerId),
    /// A container's memory ran out, or its count of that changed.
    Memory(ContainerId),
    /// A file of a log was compressed.
    Packed,
    /// Something happened to the socket's directory.
    Directory,
    /// A further process that is being set up reports.
    ExecSetup(String),
    /// A further process ended.
    ExecProcess(String),
}

/// An epoll instance and what its tokens stand for.
pub(super) struct Sources {
    epoll: Epoll,
    by_token: BTreeMap<u64, Source>,
    next: u64,
}

impl Sources {
    pub(super) fn new() -> Result<Self> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).doing(|| "making an epoll instance".to_owned())?;
        Ok(Self { epoll, by_token: BTreeMap::new(), next: 1 })
    }

    /// Waits for input from a descriptor. The token takes it back.
    pub(super) fn add(&mut self, fd: BorrowedFd<'_>, source: Source) -> Result<u64> {
        self.add_for(fd, EpollFlags::EPOLLIN, |_| source)
    }

    /// As `add`, for a source that contains its own token.
    pub(super) fn add_with(&mut self, fd: BorrowedFd<'_>, source: impl FnOnce(u64) -> Source) -> Result<u64> {
        self.add_for(fd, EpollFlags::EPOLLIN, source)
    }

    /// As `add_with`, for other events. Errors, and that nobody is at the other end, are always told.
    pub(super) fn add_for(
        &mut self,
        fd: BorrowedFd<'_>,
        flags: EpollFlags,
        source: impl FnOnce(u64) -> Source,
    ) -> Result<u64> {
        let token = self.next;
        self.epoll.add(fd, EpollEvent::new(flags, token)).doing(|| "waiting for a descriptor".to_owned())?;
        self.next += 1;
        self.by_token.insert(token, source(token));
        Ok(token)
    }

    /// Waits for other events of the same descriptor.
    pub(super) fn set_flags(&mut self, fd: BorrowedFd<'_>, token: u64, flags: EpollFlags) {
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(flags, token));
    }

    /// Waits no longer for a descriptor that was closed.
    pub(super) fn forget(&mut self, token: u64) {
        self.by_token.remove(&token);
    }

    /// Whether to wait for room to write, too.
    pub(super) fn set_writing(&mut self, fd: BorrowedFd<'_>, token: u64, writing: bool) {
        let flags = if writing { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        self.set_flags(fd, token, flags);
    }

    /// Waits no longer for a descriptor, which is still open.
    pub(super) fn remove(&mut self, fd: BorrowedFd<'_>, token: u64) {
        self.by_token.remove(&token);
        let _ = self.epoll.delete(fd);
    }

    /// Sleeps until something happens, at most for `patience`. Every source gets its turn before any gets a second one.
    pub(super) fn wait(&mut self, patience: Option<Duration>) -> Result<Vec<Source>> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = match patience {
            None => EpollTimeout::NONE,
            Some(duration) => {
                EpollTimeout::try_from(duration.min(Duration::from_secs(3600))).unwrap_or(EpollTimeout::ZERO)
            }
        };
        let count = match self.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            other => other.doing(|| "waiting for events".to_owned())?,
        };
        Ok(events[..count].iter().filter_map(|event| self.by_token.get(&event.data()).cloned()).collect())
    }
}
