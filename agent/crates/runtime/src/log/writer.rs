//! Cutting output into lines and writing them into files of bounded size.

use super::CURRENT;
use super::line::{Line, Source, stamp};
use hull_model::LogConfig;
use jiff::Timestamp;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The longest piece of a line that is kept together, as in Docker.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Cuts one stream into lines. Holds at most one unfinished line of [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// Calls `line` with every piece that is complete: a line with its newline, or [`MAX_LINE`] bytes of a longer one.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.rest.len();
            let window = &bytes[..bytes.len().min(room)];
            let (take, complete) = match window.iter().position(|b| *b == b'\n') {
                Some(at) => (at + 1, true),
                None => (window.len(), window.len() == room),
            };
            let (piece, after) = bytes.split_at(take);
            bytes = after;
            if complete && self.rest.is_empty() {
                line(piece);
            } else {
                self.rest.extend_from_slice(piece);
                if complete {
                    line(&self.rest);
                    self.rest.clear();
                }
            }
        }
    }

    /// What is left when the stream ends.
    pub(crate) fn finish(&mut self, line: impl FnOnce(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
        }
        self.rest = Vec::new();
    }
}

/// The files of one container.
#[derive(Debug)]
pub(crate) struct Writer {
    directory: PathBuf,
    config: LogConfig,
    file: File,
    size: u64,
    pending: Vec<u8>,
}

impl Writer {
    /// Opens the log in a directory, which must exist, and goes on where it ended.
    pub(crate) fn open(directory: &Path, config: &LogConfig) -> io::Result<Self> {
        let file = open(directory)?;
        let size = file.metadata()?.len();
        Ok(Self { directory: directory.to_owned(), config: config.clone(), file, size, pending: Vec::new() })
    }

    /// Takes a line; it is written by `flush`, or earlier if a file is full.
    pub(crate) fn line(&mut self, stream: Source, at: Timestamp, bytes: &[u8]) -> io::Result<()> {
        let line = Line { log: String::from_utf8_lossy(bytes), stream, time: Cow::Owned(stamp(at)) };
        let start = self.pending.len();
        serde_json::to_writer(&mut self.pending, &line)?;
        self.pending.push(b'\n');
        let full = self.size + start as u64;
        if full > 0
            && self.config.max_size > 0
            && self.size + self.pending.len() as u64 > self.config.max_size
        {
            let last = self.pending.split_off(start);
            self.flush()?;
            self.rotate()?;
            self.pending = last;
        }
        Ok(())
    }

    /// Writes what was taken, in one piece.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.pending);
        self.size += self.pending.len() as u64;
        self.pending.clear();
        // One container's burst is not kept as another's memory.
        self.pending.shrink_to(64 << 10);
        result
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = |number: u32| match number {
            0 => self.directory.join(CURRENT),
            n => self.directory.join(format!("{CURRENT}.{n}")),
        };
        let last = self.config.max_files.max(1) - 1;
        if last == 0 {
            // A new file, not a shorter one: who is reading the old one reads it to its end.
            std::fs::remove_file(name(0))?;
        }
        for number in (0..last).rev() {
            match std::fs::rename(name(number), name(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.directory)?;
        self.size = 0;
        Ok(())
    }
}

fn open(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join(CURRENT))
}
