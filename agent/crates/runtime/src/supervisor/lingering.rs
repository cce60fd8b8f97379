//! What outlives its container for a moment: readers that have not read everything, logs that are still being sent.

use super::Supervisor;
use super::sources::Source;
use crate::log::{self, Remote};
use hull_model::ContainerId;
use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a remote end may take for what a container said last.
const REMOTE_PATIENCE: Duration = Duration::from_secs(10);

/// A reader and what it has not read yet, which it may share with others.
pub(super) struct Reader {
    source: log::Source,
    fd: OwnedFd,
    queue: VecDeque<(Rc<[u8]>, usize)>,
}

impl Reader {
    /// Writes what it takes. Whether there is more for it.
    fn flush(&mut self) -> bool {
        while let Some((bytes, done)) = self.queue.front_mut() {
            match nix::unistd::write(&self.fd, &bytes[*done..]) {
                Ok(written) => *done += written,
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => continue,
                // It is gone.
                Err(_) => return false,
            }
            if *done == bytes.len() {
                self.queue.pop_front();
            }
        }
        false
    }
}

/// Everybody who reads what a container that has ended still had to say.
pub(super) struct Readers(Vec<Reader>);

impl Readers {
    pub(super) fn give(&mut self, source: log::Source, bytes: &[u8]) {
        let mut shared: Option<Rc<[u8]>> = None;
        for reader in self.0.iter_mut().filter(|reader| reader.source == source) {
            let shared = shared.get_or_insert_with(|| Rc::from(bytes));
            reader.queue.push_back((Rc::clone(shared), 0));
            reader.flush();
        }
    }
}

pub(super) enum Lingering {
    Reader(Reader, u64),
    Remote(Box<Remote>, u64, Instant),
}

impl Supervisor {
    /// Takes over the readers of a container, and lets go of who writes to it.
    pub(super) fn take_readers(&mut self, id: &ContainerId) -> Readers {
        self.refuse_feeds(id);
        let mut readers = Vec::new();
        for mut attachment in self.attached.remove(id).into_iter().flatten() {
            for source in [log::Source::Stdout, log::Source::Stderr] {
                if let Some(sink) = attachment.sink(source).take() {
                    readers.push(Reader {
                        source,
                        fd: sink.unwatch(&mut self.sources),
                        queue: VecDeque::new(),
                    });
                }
            }
        }
        Readers(readers)
    }

    /// Readers that have everything see the end now, others when they have read on.
    pub(super) fn linger(&mut self, readers: Readers) {
        for mut reader in readers.0 {
            if !reader.flush() {
                continue;
            }
            let added = self.sources.add_for(reader.fd.as_fd(), EpollFlags::EPOLLOUT, Source::Lingering);
            if let Ok(token) = added {
                self.lingering.insert(token, Lingering::Reader(reader, token));
            }
        }
    }

    pub(super) fn linger_remote(&mut self, remote: Remote) {
        let Some(fd) = remote.waiting() else { return };
        if let Ok(token) = self.sources.add_for(fd, EpollFlags::EPOLLOUT, Source::Lingering) {
            let until = Instant::now() + REMOTE_PATIENCE;
            self.lingering.insert(token, Lingering::Remote(Box::new(remote), token, until));
        }
    }

    pub(super) fn lingering_ready(&mut self, key: u64) {
        let more = match self.lingering.get_mut(&key) {
            None => return,
            Some(Lingering::Reader(reader, _)) => reader.flush(),
            Some(Lingering::Remote(remote, ..)) => {
                remote.flush();
                remote.waiting().is_some()
            }
        };
        if !more {
            self.let_go(key);
        }
    }

    fn let_go(&mut self, key: u64) {
        match self.lingering.remove(&key) {
            Some(Lingering::Reader(reader, token)) => self.sources.remove(reader.fd.as_fd(), token),
            Some(Lingering::Remote(remote, token, _)) => match remote.connection().0 {
                Some(fd) => self.sources.remove(fd, token),
                None => self.sources.forget(token),
            },
            None => {}
        }
    }

    /// When the first remote end has used up its time.
    pub(super) fn lingering_until(&self) -> Option<Instant> {
        let remotes = self.lingering.values().filter_map(|lingering| match lingering {
            Lingering::Remote(_, _, until) => Some(*until),
            Lingering::Reader(..) => None,
        });
        remotes.min()
    }

    pub(super) fn drop_late(&mut self, now: Instant) {
        let late =
            |lingering: &Lingering| matches!(lingering, Lingering::Remote(_, _, until) if *until <= now);
        let keys: Vec<u64> = self.lingering.iter().filter(|(_, l)| late(l)).map(|(key, _)| *key).collect();
        keys.into_iter().for_each(|key| self.let_go(key));
    }
}
