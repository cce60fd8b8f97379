//! What a container says: read when there is room for it everywhere, and given to everybody.

use super::Supervisor;
use super::container::Container;
use super::sources::Source;
use crate::failure::Result;
use crate::log::{self, Splitter, Writer};
use hull_model::ContainerId;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use std::os::fd::{AsFd as _, OwnedFd};

/// Read from one container's output before others get their turn.
const TURN: usize = 64 << 10;
/// Turns that are read of an output at its end: what a pipe or terminal can hold, and no more, for nothing new comes from the
/// dead.
const LAST_TURNS: usize = 64;

/// One output of a container that we read.
pub(super) struct Output {
    pub(super) fd: OwnedFd,
    /// `None` while it is not read.
    token: Option<u64>,
    pub(super) source: log::Source,
    splitter: Splitter,
}

/// What came of reading an output.
enum Turn {
    /// So many bytes were read.
    Read(usize),
    /// There is nothing now.
    Nothing,
    /// It has ended.
    Ended,
}

fn read(output: &Output, buffer: &mut [u8]) -> Turn {
    match nix::unistd::read(&output.fd, buffer) {
        Err(Errno::EAGAIN | Errno::EINTR) => Turn::Nothing,
        // EIO is a terminal's way to say that nobody has its other end open.
        Ok(0) | Err(_) => Turn::Ended,
        Ok(length) => Turn::Read(length),
    }
}

impl Output {
    fn keep(&mut self, writer: Option<&mut Writer>, bytes: &[u8]) {
        let (Some(writer), at, source) = (writer, Timestamp::now(), self.source) else { return };
        self.splitter.push(bytes, |piece| writer.piece(source, at, piece));
        writer.flush();
    }

    fn finish(&mut self, writer: Option<&mut Writer>) {
        let Some(writer) = writer else { return };
        self.splitter.finish(|piece| writer.piece(self.source, Timestamp::now(), piece));
        writer.flush();
    }
}

impl Supervisor {
    /// Reads an output of a container from now on.
    pub(super) fn listen_to(
        &mut self,
        container: &mut Container,
        fd: OwnedFd,
        source: log::Source,
    ) -> Result<()> {
        let index = container.outputs.len();
        let token = self.sources.add(fd.as_fd(), Source::Output(container.state.id.clone(), index))?;
        container.outputs.push(Some(Output {
            fd,
            token: Some(token),
            source,
            splitter: Splitter::default(),
        }));
        Ok(())
    }

    pub(super) fn container_speaks(&mut self, id: &ContainerId, index: usize) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(Some(output)) = container.outputs.get(index) else { return };
        let (source, Some(token)) = (output.source, output.token) else { return };
        let room =
            if container.writer.as_ref().is_some_and(|w| !w.has_room()) { 0 } else { self.room(id, source) };
        if room == 0 {
            return self.park(id, index, token);
        }
        let mut buffer = std::mem::take(&mut self.scratch);
        buffer.resize(TURN, 0);
        self.turn(id, index, &mut buffer[..room.min(TURN)]);
        self.scratch = buffer;
        self.after_writing(id);
    }

    fn turn(&mut self, id: &ContainerId, index: usize, buffer: &mut [u8]) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(Some(output)) = container.outputs.get_mut(index) else { return };
        match read(output, buffer) {
            Turn::Nothing => {}
            Turn::Read(length) => {
                let source = output.source;
                output.keep(container.writer.as_mut(), &buffer[..length]);
                self.tee(id, source, &buffer[..length]);
            }
            Turn::Ended => {
                output.finish(container.writer.as_mut());
                self.sources.remove(output.fd.as_fd(), output.token.unwrap_or(0));
                container.outputs[index] = None;
            }
        }
    }

    /// Reads an output no more until there is room for it.
    fn park(&mut self, id: &ContainerId, index: usize, token: u64) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(Some(output)) = container.outputs.get_mut(index) else { return };
        self.sources.remove(output.fd.as_fd(), token);
        output.token = None;
        let (source, remote) = (output.source, container.writer.as_ref().is_some_and(|w| !w.has_room()));
        self.follow_remote(id);
        // Whoever was full may have read on since we looked: then nobody would tell us.
        if !self.await_room(id, source) && !remote {
            self.listen_again(id);
        }
    }

    /// Reads every output again.
    pub(super) fn listen_again(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        for (index, slot) in container.outputs.iter_mut().enumerate() {
            if let Some(output) = slot.as_mut().filter(|output| output.token.is_none()) {
                output.token = self.sources.add(output.fd.as_fd(), Source::Output(id.clone(), index)).ok();
            }
        }
    }

    /// What a log may want after something was written to it: to be told of room elsewhere, and to be compressed.
    pub(super) fn after_writing(&mut self, id: &ContainerId) {
        self.follow_remote(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        if container.writer.as_mut().is_some_and(Writer::take_rotated) {
            self.pack_later(id);
        }
    }

    /// Waits for the remote end of a log as long as something waits for it.
    fn follow_remote(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(remote) = container.writer.as_ref().and_then(Writer::remote) else { return };
        let (waiting, (connection, number)) = (remote.waiting(), remote.connection());
        match (container.remote, waiting) {
            (Some((_, known)), Some(_)) if known == number => return,
            (None, None) => return,
            (Some((token, known)), _) => {
                // A connection that was closed meanwhile is not waited for any more.
                match connection.filter(|_| known == number) {
                    Some(fd) => self.sources.remove(fd, token),
                    None => self.sources.forget(token),
                }
                container.remote = None;
            }
            (None, Some(_)) => {}
        }
        if let Some(fd) = waiting {
            let token = self.sources.add_for(fd, EpollFlags::EPOLLOUT, |_| Source::Remote(id.clone()));
            container.remote = token.ok().map(|token| (token, number));
        }
    }

    pub(super) fn remote_ready(&mut self, id: &ContainerId) {
        if let Some(writer) = self.containers.get_mut(id).and_then(|c| c.writer.as_mut()) {
            writer.remote_ready();
        }
        self.follow_remote(id);
        self.listen_again(id);
    }

    /// Reads what is left to be read of a container that has ended, and gives it to everybody. Then its readers see the end.
    pub(super) fn hear_out(&mut self, container: &mut Container) {
        let id = container.state.id.clone();
        let mut readers = self.take_readers(&id);
        let mut buffer = std::mem::take(&mut self.scratch);
        buffer.resize(TURN, 0);
        for slot in &mut container.outputs {
            let Some(mut output) = slot.take() else { continue };
            for _ in 0..LAST_TURNS {
                let Turn::Read(length) = read(&output, &mut buffer) else { break };
                output.keep(container.writer.as_mut(), &buffer[..length]);
                readers.give(output.source, &buffer[..length]);
            }
            output.finish(container.writer.as_mut());
            if let Some(token) = output.token {
                self.sources.remove(output.fd.as_fd(), token);
            }
        }
        self.scratch = buffer;
        container.outputs.clear();
        self.linger(readers);
        self.close_log(container);
    }

    fn close_log(&mut self, container: &mut Container) {
        if let Some((token, known)) = container.remote.take() {
            let remote = container.writer.as_ref().and_then(Writer::remote).map(|remote| remote.connection());
            match remote {
                Some((Some(fd), number)) if known == number => self.sources.remove(fd, token),
                _ => self.sources.forget(token),
            }
        }
        let Some(mut writer) = container.writer.take() else { return };
        if writer.take_rotated() {
            self.pack_later(&container.state.id);
        }
        if let Some(remote) = writer.finish() {
            self.linger_remote(remote);
        }
    }
}
