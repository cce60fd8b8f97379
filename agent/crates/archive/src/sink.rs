//! An archive on its way out: written by a thread that may block, read as a stream, with little memory in between.

use crate::failure::Failure;
use futures_util::StreamExt as _;
use hull_ports::{ByteStream, Bytes};
use hull_tar::{Entry, writer};
use std::io;
use std::os::fd::AsFd;
use tokio::sync::mpsc;

/// Bytes that go to the reader at a time.
const CHUNK: usize = 256 << 10;
/// Such pieces under way.
const CHUNKS: usize = 3;

/// Where a piece goes: `Ok(false)` says that nobody wants it any more.
type Hand = Box<dyn FnMut(Vec<u8>) -> bool + Send>;

/// Where entries are written to.
pub(crate) struct Sink {
    hand: Hand,
    buffer: Vec<u8>,
    filled: usize,
}

impl Sink {
    /// Writes into pieces, which are handed over one by one; `false` from `hand` ends the work.
    pub(crate) fn new(hand: impl FnMut(Vec<u8>) -> bool + Send + 'static) -> Self {
        Self { hand: Box::new(hand), buffer: vec![0; CHUNK], filled: 0 }
    }

    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.bytes(&writer::header(entry)?)
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let count = bytes.len().min(CHUNK - self.filled);
            self.buffer[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
            self.flush_full()?;
        }
        Ok(())
    }

    /// Exactly `size` bytes of a file, and the padding after them. A file that grew is cut there.
    pub(crate) fn file(&mut self, file: impl AsFd, size: u64, path: &[u8]) -> Result<(), Failure> {
        let mut left = size;
        while left > 0 {
            let room = (CHUNK - self.filled).min(usize::try_from(left).unwrap_or(usize::MAX));
            let place = &mut self.buffer[self.filled..self.filled + room];
            let count = match nix::unistd::read(file.as_fd(), place) {
                Err(nix::errno::Errno::EINTR) => continue,
                result => result.map_err(Failure::system("read", path))?,
            };
            if count == 0 {
                let path = hull_tar::shown(path);
                return Err(Failure::Failed(format!("{path} became {left} bytes shorter while it was read")));
            }
            self.filled += count;
            left -= count as u64;
            self.flush_full()?;
        }
        self.bytes(&[0; 512][..writer::padding(size)])
    }

    /// The end mark, and everything that waits.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        self.bytes(&writer::END)?;
        self.flush()
    }

    fn flush_full(&mut self) -> Result<(), Failure> {
        if self.filled == CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.filled == 0 {
            return Ok(());
        }
        let mut piece = std::mem::replace(&mut self.buffer, vec![0; CHUNK]);
        piece.truncate(std::mem::take(&mut self.filled));
        if (self.hand)(piece) { Ok(()) } else { Err(Failure::HungUp) }
    }
}

/// What goes through the channel: a piece, the end, or why there is none. A channel that closes without the end was cut.
enum Message {
    Piece(Vec<u8>),
    End,
    Failed(io::Error),
}

/// Runs `job` on a thread that may block and streams what it writes, with the end mark behind it.
pub(crate) fn stream(job: impl FnOnce(&mut Sink) -> Result<(), Failure> + Send + 'static) -> ByteStream {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let pieces = sender.clone();
        let mut sink = Sink::new(move |piece| pieces.blocking_send(Message::Piece(piece)).is_ok());
        let last = match job(&mut sink).and_then(|()| sink.end()) {
            Ok(()) => Message::End,
            Err(failure) => Message::Failed(failure.into()),
        };
        // Nobody to be told if the reader went away.
        let _ = sender.blocking_send(last);
    });
    futures_util::stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Message::Piece(piece)) => Some((Ok(Bytes::from(piece)), Some(receiver))),
            Some(Message::End) => None,
            Some(Message::Failed(error)) => Some((Err(error), None)),
            None => Some((Err(io::Error::other("the archive was not finished")), None)),
        }
    })
    .boxed()
}
