//! Clients that read what a container says and write what it reads.
//!
//! ```text
//!                          ┌──► log
//!  container ═ pipe/pty ═► supervisor ─ pipe ─► reader 1     (one pipe for each stream of each client)
//!                          └──────────── pipe ─► reader 2
//!  container ◄═ pipe/pty ═ supervisor ◄ pipe ── writer 1     (splice(2): nothing is held here)
//!                                     ◄ pipe ── writer 2
//! ```
//!
//! - A client may attach before the start: its pipes wait here, what it writes waits in its pipe.
//! - Nothing is buffered in the supervisor while a container runs: as much is taken from it as every reader's pipe has room for.
//!   If one has none, the container's output is not read and the container waits; nobody else does.
//! - A reader that goes away shows as an error on its pipe and is forgotten. So clients may be killed at any moment.
//! - At the end of the main process what its pipes still hold goes to the log and to every reader; what a slow reader cannot
//!   take yet stays in memory for it (at most what a pipe holds), after which it reads the end.
//! - When the supervisor is stopped by the service manager, all ends go into its store of descriptors, and the next supervisor
//!   goes on with them. They are there only for that moment: a copy elsewhere would keep readers from seeing the end. If
//!   the supervisor is killed, clients see the end of their streams, and logs and exit codes are kept.

use super::sources::{Source, Sources};
use super::{Caller, Supervisor};
use crate::failure::{Class, Doing as _, Failure, Result};
use crate::log;
use crate::protocol::{Answer, AttachRequest};
use hull_model::ContainerId;
use hull_sys::pipe;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::EpollFlags;
use nix::unistd::pipe2;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Clients of one container at once.
const MAX_CLIENTS: usize = 256;
/// A write of this many bytes to a pipe that is not full is taken whole (pipe(7), `PIPE_BUF`).
const ATOMIC: usize = 4096;

/// The writing end of a reader's pipe.
pub(super) struct Sink {
    pub(super) fd: OwnedFd,
    token: u64,
    /// The container waits for it.
    waiting: bool,
}

/// The reading end of a writer's pipe.
pub(super) struct Feed {
    pub(super) fd: OwnedFd,
    /// `None` while nothing is taken from it.
    pub(super) token: Option<u64>,
}

/// One client.
#[derive(Default)]
pub(super) struct Attachment {
    pub(super) key: u64,
    pub(super) feed: Option<Feed>,
    pub(super) stdout: Option<Sink>,
    pub(super) stderr: Option<Sink>,
}

impl Attachment {
    pub(super) fn sink(&mut self, source: log::Source) -> &mut Option<Sink> {
        match source {
            log::Source::Stdout => &mut self.stdout,
            log::Source::Stderr => &mut self.stderr,
        }
    }

    fn is_empty(&self) -> bool {
        self.feed.is_none() && self.stdout.is_none() && self.stderr.is_none()
    }
}

impl Sink {
    /// How many bytes are taken whole; more than a pipe holds if nobody reads any more, so that writing finds out.
    fn room(&self) -> usize {
        if pipe::unread(self.fd.as_fd()).is_ok_and(|count| count == 0) {
            return fcntl(&self.fd, FcntlArg::F_GETPIPE_SZ).map_or(ATOMIC, |size| size.max(0) as usize);
        }
        if events(self.fd.as_fd(), PollFlags::POLLOUT).is_empty() { 0 } else { ATOMIC }
    }
}

impl Sink {
    /// The descriptor, which is not waited for any more.
    pub(super) fn unwatch(self, sources: &mut Sources) -> OwnedFd {
        sources.remove(self.fd.as_fd(), self.token);
        self.fd
    }
}

/// What poll(2) says at this moment; errors and hang-ups included.
pub(super) fn events(fd: BorrowedFd<'_>, wanted: PollFlags) -> PollFlags {
    let mut set = [PollFd::new(fd, wanted)];
    match poll(&mut set, PollTimeout::ZERO) {
        Ok(1..) => set[0].revents().unwrap_or(PollFlags::empty()),
        _ => PollFlags::empty(),
    }
}

pub(super) fn set_nonblocking(fd: &OwnedFd) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

impl Supervisor {
    pub(super) fn attach(
        &mut self,
        caller: Caller,
        id: &ContainerId,
        request: AttachRequest,
    ) -> Result<Option<Answer>> {
        let doing = || format!("attaching to container {}", id.short());
        let container = self.containers.get(id).filter(|container| !container.has_ended());
        if let Some(container) = container.filter(|_| request.stdin)
            && container.input.is_none()
        {
            return Err(Failure::new(Class::Conflict, doing(), "its standard input is closed"));
        }
        self.sweep(id);
        if self.attached.get(id).is_some_and(|list| list.len() >= MAX_CLIENTS) {
            return Err(Failure::new(Class::Conflict, doing(), "too many clients are attached to it"));
        }
        let key = self.next_key;
        self.next_key += 1;
        let mut theirs = Vec::new();
        let mut attachment = Attachment { key, ..Attachment::default() };
        if request.stdin {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).doing(doing)?;
            set_nonblocking(&read).doing(doing)?;
            attachment.feed = Some(Feed { fd: read, token: None });
            theirs.push(write);
        }
        for (wanted, source) in [(request.stdout, log::Source::Stdout), (request.stderr, log::Source::Stderr)]
        {
            if wanted {
                let (read, write) = pipe2(OFlag::O_CLOEXEC).doing(doing)?;
                theirs.push(read);
                *attachment.sink(source) = Some(sink(&mut self.sources, id, key, source, write)?);
            }
        }
        self.attached.entry(id.clone()).or_default().push(attachment);
        self.begin_feeding(id);
        self.answer_with(caller, Answer::Attached, theirs);
        Ok(None)
    }

    /// The least that every reader of a stream takes at once.
    pub(super) fn room(&self, id: &ContainerId, source: log::Source) -> usize {
        self.sinks(id, source).map(Sink::room).min().unwrap_or(usize::MAX)
    }

    fn sinks(&self, id: &ContainerId, source: log::Source) -> impl Iterator<Item = &Sink> {
        self.attached.get(id).into_iter().flatten().filter_map(move |attachment| match source {
            log::Source::Stdout => attachment.stdout.as_ref(),
            log::Source::Stderr => attachment.stderr.as_ref(),
        })
    }

    /// Has us told when a reader that is full has room again. `false`: none is full any more.
    pub(super) fn await_room(&mut self, id: &ContainerId, source: log::Source) -> bool {
        let mut full = false;
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            if let Some(sink) = attachment.sink(source)
                && sink.room() == 0
            {
                (sink.waiting, full) = (true, true);
                self.sources.set_flags(sink.fd.as_fd(), sink.token, EpollFlags::EPOLLOUT);
            }
        }
        full
    }

    /// Gives every reader of a stream what was read; there was room.
    pub(super) fn tee(&mut self, id: &ContainerId, source: log::Source, bytes: &[u8]) {
        let Some(list) = self.attached.get_mut(id) else { return };
        for attachment in list.iter_mut() {
            let key = attachment.key;
            let slot = attachment.sink(source);
            let Some(sink) = slot else { continue };
            match nix::unistd::write(&sink.fd, bytes) {
                Ok(written) if written == bytes.len() => {}
                Err(Errno::EPIPE) => drop_sink(&mut self.sources, slot),
                // Its pipe was made smaller under us: it does not get half of a stream.
                _ => {
                    eprintln!("hull-runtime: reader {key} of {} lost its place", id.short());
                    drop_sink(&mut self.sources, slot);
                }
            }
        }
        self.forget_empty(id);
    }

    /// A reader has room again, or is gone.
    pub(super) fn sink_ready(&mut self, id: &ContainerId, key: u64, source: log::Source) {
        let list = self.attached.get_mut(id).into_iter().flatten();
        let Some(attachment) = list.into_iter().find(|attachment| attachment.key == key) else { return };
        let slot = attachment.sink(source);
        let Some(sink) = slot else { return };
        if events(sink.fd.as_fd(), PollFlags::empty()).contains(PollFlags::POLLERR) {
            drop_sink(&mut self.sources, slot);
            self.forget_empty(id);
        } else if std::mem::take(&mut sink.waiting) {
            self.sources.set_flags(sink.fd.as_fd(), sink.token, EpollFlags::empty());
        }
        self.listen_again(id);
    }

    pub(super) fn forget_empty(&mut self, id: &ContainerId) {
        if let Some(list) = self.attached.get_mut(id) {
            list.retain(|attachment| !attachment.is_empty());
            if list.is_empty() {
                self.attached.remove(id);
            }
        }
    }

    /// Forgets clients of a container that does not run, who have gone completely.
    fn sweep(&mut self, id: &ContainerId) {
        if self.containers.get(id).is_some_and(|container| !container.has_ended()) {
            return;
        }
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            let gone = attachment
                .feed
                .as_ref()
                .is_some_and(|feed| events(feed.fd.as_fd(), PollFlags::POLLIN) == PollFlags::POLLHUP);
            // Somebody who reads and has only finished writing still wants the container to see that end.
            if gone && attachment.stdout.is_none() && attachment.stderr.is_none() {
                attachment.feed = None;
            }
        }
        self.forget_empty(id);
    }

    /// Lets go of every client of a container.
    pub(super) fn detach_all(&mut self, id: &ContainerId) {
        for mut attachment in self.attached.remove(id).into_iter().flatten() {
            for source in [log::Source::Stdout, log::Source::Stderr] {
                drop_sink(&mut self.sources, attachment.sink(source));
            }
            if let Some(Feed { fd, token: Some(token) }) = attachment.feed.take() {
                self.sources.remove(fd.as_fd(), token);
            }
        }
    }

    /// Closes a stream that a container does not have.
    pub(super) fn close_sinks(&mut self, id: &ContainerId, source: log::Source) {
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            drop_sink(&mut self.sources, attachment.sink(source));
        }
        self.forget_empty(id);
    }
}

pub(super) fn sink(
    sources: &mut Sources,
    id: &ContainerId,
    key: u64,
    source: log::Source,
    fd: OwnedFd,
) -> Result<Sink> {
    set_nonblocking(&fd).doing(|| "preparing a pipe".to_owned())?;
    let token =
        sources.add_for(fd.as_fd(), EpollFlags::empty(), |_| Source::Sink(id.clone(), key, source))?;
    Ok(Sink { fd, token, waiting: false })
}

pub(super) fn drop_sink(sources: &mut Sources, slot: &mut Option<Sink>) {
    if let Some(sink) = slot.take() {
        sink.unwatch(sources);
    }
}
