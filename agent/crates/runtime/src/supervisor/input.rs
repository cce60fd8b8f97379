//! A container's standard input: what clients write is moved on, never held.

use super::Supervisor;
use super::attach::events;
use super::sources::Source;
use crate::failure::Result;
use hull_model::ContainerId;
use hull_sys::pipe;
use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice};
use nix::poll::PollFlags;
use nix::sys::epoll::EpollFlags;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// Moved from one client before others get their turn.
const TURN: usize = 64 << 10;

/// Our end of a standard input that is open.
pub(super) struct Input {
    fd: OwnedFd,
    token: u64,
    terminal: bool,
    /// It is closed for good once a client has finished writing.
    once: bool,
    /// It takes nothing at the moment; clients wait.
    full: bool,
}

impl Input {
    /// The pipe's writing end; `None` for a terminal, which is kept anyway.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        (!self.terminal).then_some(self.fd.as_fd())
    }
}

/// What came of moving bytes.
enum Moved {
    /// The client waits, or we do.
    Enough,
    /// The client has finished.
    Finished,
    /// Nobody reads on the other side.
    Broken,
    /// The other side is full.
    Full,
}

fn pass_on(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Moved {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    match splice(from, None, to, None, TURN, flags) {
        Ok(0) => Moved::Finished,
        Ok(_) | Err(Errno::EINTR) => Moved::Enough,
        Err(Errno::EAGAIN) if pipe::unread(from).is_ok_and(|count| count > 0) => Moved::Full,
        Err(Errno::EAGAIN) => Moved::Enough,
        Err(_) => Moved::Broken,
    }
}

impl Supervisor {
    /// Our end of an input that is open from now on.
    pub(super) fn open_input(
        &mut self,
        id: &ContainerId,
        fd: OwnedFd,
        terminal: bool,
        once: bool,
    ) -> Result<Input> {
        let token = self.sources.add_for(fd.as_fd(), EpollFlags::empty(), |_| Source::Input(id.clone()))?;
        Ok(Input { fd, token, terminal, once, full: false })
    }

    /// Listens to every client that writes, unless the container reads nothing at the moment.
    pub(super) fn begin_feeding(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get(id).filter(|c| !c.has_ended()) else { return };
        if container.input.as_ref().is_none_or(|input| input.full) {
            return;
        }
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            let key = attachment.key;
            if let Some(feed) = attachment.feed.as_mut().filter(|feed| feed.token.is_none()) {
                feed.token = self.sources.add(feed.fd.as_fd(), Source::Feed(id.clone(), key)).ok();
            }
        }
    }

    /// A client wrote something, or has finished.
    pub(super) fn feed_ready(&mut self, id: &ContainerId, key: u64) {
        let Some(input) = self.containers.get_mut(id).and_then(|c| c.input.as_mut()) else { return };
        let list = self.attached.get_mut(id).into_iter().flatten();
        let Some(attachment) = list.into_iter().find(|attachment| attachment.key == key) else { return };
        let Some(feed) = attachment.feed.as_ref().filter(|feed| feed.token.is_some()) else { return };
        match pass_on(feed.fd.as_fd(), input.fd.as_fd()) {
            Moved::Enough => {}
            Moved::Full => {
                input.full = true;
                self.sources.set_flags(input.fd.as_fd(), input.token, EpollFlags::EPOLLOUT);
                self.stop_feeding(id);
            }
            Moved::Broken => self.close_input(id),
            Moved::Finished => {
                let closing = input.once && !input.terminal;
                if let Some(feed) = attachment.feed.take() {
                    self.sources.remove(feed.fd.as_fd(), feed.token.unwrap_or(0));
                }
                if closing {
                    self.close_input(id);
                }
                self.forget_empty(id);
            }
        }
    }

    /// The container's end has room again, or nobody has it open.
    pub(super) fn input_ready(&mut self, id: &ContainerId) {
        let Some(input) = self.containers.get_mut(id).and_then(|c| c.input.as_mut()) else { return };
        let found = events(input.fd.as_fd(), PollFlags::POLLOUT);
        if found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return self.close_input(id);
        }
        if found.contains(PollFlags::POLLOUT) && std::mem::take(&mut input.full) {
            self.sources.set_flags(input.fd.as_fd(), input.token, EpollFlags::empty());
            self.begin_feeding(id);
        }
    }

    /// Closes a standard input for good: the container reads its end, writers find it broken.
    pub(super) fn close_input(&mut self, id: &ContainerId) {
        if let Some(input) = self.containers.get_mut(id).and_then(|c| c.input.take()) {
            self.sources.remove(input.fd.as_fd(), input.token);
        }
        self.refuse_feeds(id);
    }

    /// Lets go of an input that was taken out of its container.
    pub(super) fn drop_input(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            self.sources.remove(input.fd.as_fd(), input.token);
        }
    }

    /// Clients that write find nobody reading.
    pub(super) fn refuse_feeds(&mut self, id: &ContainerId) {
        self.stop_feeding(id);
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            attachment.feed = None;
        }
        self.forget_empty(id);
    }

    /// Takes nothing from clients for now. A pipe whose writer has gone would be told of again and again.
    fn stop_feeding(&mut self, id: &ContainerId) {
        for attachment in self.attached.get_mut(id).into_iter().flatten() {
            if let Some(feed) = &mut attachment.feed
                && let Some(token) = feed.token.take()
            {
                self.sources.remove(feed.fd.as_fd(), token);
            }
        }
    }
}
