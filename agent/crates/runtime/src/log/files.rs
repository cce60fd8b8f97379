//! The files of one container's log: where they are, how they are rotated, what a full disk does to them.

use super::record::{Format, Source};
use crate::failure::describe;
use hull_model::{ContainerId, LogConfig};
use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where a log is. The file being written has the plain name; older ones end in `.1`, `.2` and so on, and in `.gz` besides
/// once they are compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// Name of the file being written.
    pub name: String,
    /// How its records are written.
    pub format: Format,
}

impl Place {
    /// The log of a container whose directory is `container`.
    pub fn of(container: &Path, id: &ContainerId, config: &LogConfig) -> Self {
        let format = Format::of(config.driver);
        let (directory, name) = match format {
            Format::Json => (container.to_owned(), format!("{id}-json.log")),
            Format::Compact => (container.join("log"), "output".to_owned()),
        };
        Self { directory, name, format }
    }

    /// The file of a number; 0 is being written.
    pub fn path(&self, number: u32) -> PathBuf {
        match number {
            0 => self.directory.join(&self.name),
            n => self.directory.join(format!("{}.{n}", self.name)),
        }
    }

    /// The compressed file of a number.
    pub(crate) fn packed(&self, number: u32) -> PathBuf {
        self.directory.join(format!("{}.{number}.gz", self.name))
    }

    /// Where a file is compressed to, before it has its name.
    pub(crate) fn packing(&self) -> PathBuf {
        self.directory.join(format!("{}.gz.tmp", self.name))
    }
}

/// What was not kept because it could not be written.
#[derive(Debug, Default)]
struct Lost {
    lines: u64,
    bytes: u64,
    why: String,
}

/// The log being written.
///
/// A write that fails takes nothing with it that was there, and leaves no half record: its output is dropped, counted, and a line
/// that says so is the first thing written when writing succeeds again.
#[derive(Debug)]
pub(crate) struct LogFiles {
    place: Place,
    max_size: u64,
    /// Number of the oldest file.
    last: u32,
    attributes: String,
    file: File,
    size: u64,
    pending: Vec<u8>,
    pending_lines: u64,
    lost: Lost,
    /// A file was closed since this was last asked.
    rotated: bool,
}

impl LogFiles {
    /// Opens a log, whose directory must exist, and goes on where it ended. `attributes` go into every record.
    pub(crate) fn open(place: Place, config: &LogConfig, attributes: String) -> io::Result<Self> {
        let mut file = open(&place.path(0))?;
        let size = settle(&mut file)?;
        let last = config.max_files.max(1) - 1;
        Ok(Self {
            max_size: config.max_size,
            last,
            attributes,
            file,
            size,
            pending: Vec::new(),
            pending_lines: 0,
            lost: Lost::default(),
            rotated: place.path(1).exists(),
            place,
        })
    }

    /// Takes a record; it is written by `flush`, or earlier if a file is full.
    pub(crate) fn record(&mut self, source: Source, at: Timestamp, bytes: &[u8]) {
        let start = self.pending.len();
        self.place.format.encode(&mut self.pending, source, at, bytes, &self.attributes);
        self.pending_lines += 1;
        let before = self.size + start as u64;
        if self.max_size > 0 && before > 0 && self.size + self.pending.len() as u64 > self.max_size {
            let last = self.pending.split_off(start);
            self.pending_lines -= 1;
            self.flush();
            let turned = self.rotate();
            self.pending = last;
            self.pending_lines = 1;
            if let Err(error) = turned {
                // The full file stays as it is, and is tried to be left again with the next record.
                self.lose(&error);
            }
        }
    }

    /// Writes what was taken, in one piece.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let written = self.write_note().and_then(|()| self.write(&pending));
        self.pending = pending;
        match written {
            Ok(()) => self.forget_pending(),
            Err(error) => self.lose(&error),
        }
    }

    /// Writes all of it or nothing.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => self.size += bytes.len() as u64,
            Err(error) => {
                let _ = self.file.set_len(self.size);
                return Err(error);
            }
        }
        Ok(())
    }

    fn write_note(&mut self) -> io::Result<()> {
        if self.lost.lines > 0 {
            let note = self.note();
            self.write(&note)?;
            self.lost = Lost::default();
        }
        Ok(())
    }

    /// At the end of the container: says once more what was not kept.
    pub(crate) fn finish(&mut self) {
        self.flush();
        let _ = self.write_note();
    }

    /// Whether a file was closed that may be compressed now; told once.
    pub(crate) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated) && self.last > 0
    }

    fn lose(&mut self, error: &io::Error) {
        if self.lost.lines == 0 {
            eprintln!("hull-runtime: writing {}: {}", self.place.path(0).display(), describe(error));
        }
        self.lost.lines += self.pending_lines;
        self.lost.bytes += self.pending.len() as u64;
        self.lost.why = describe(error);
        self.forget_pending();
    }

    fn forget_pending(&mut self) {
        self.pending.clear();
        self.pending_lines = 0;
        // One container's burst is not kept as another's memory.
        self.pending.shrink_to(4 << 10);
    }

    fn note(&self) -> Vec<u8> {
        let Lost { lines, bytes, why } = &self.lost;
        let text = format!("hull: {lines} lines ({bytes} bytes) of output were not kept here: {why}\n");
        let mut note = Vec::new();
        let format = self.place.format;
        format.encode(&mut note, Source::Stderr, Timestamp::now(), text.as_bytes(), &self.attributes);
        note
    }

    /// Goes on in a new file. Nothing is moved before there is one.
    fn rotate(&mut self) -> io::Result<()> {
        let fresh = self.place.directory.join(format!("{}.new", self.place.name));
        let file = open(&fresh)?;
        file.set_len(0)?;
        if self.last > 0 {
            absent(std::fs::remove_file(self.place.path(self.last)))?;
            absent(std::fs::remove_file(self.place.packed(self.last)))?;
        }
        for number in (0..self.last).rev() {
            absent(std::fs::rename(self.place.path(number), self.place.path(number + 1)))?;
            if number > 0 {
                absent(std::fs::rename(self.place.packed(number), self.place.packed(number + 1)))?;
            }
        }
        // With one file only, who is reading the old one reads it to its end.
        std::fs::rename(&fresh, self.place.path(0))?;
        (self.file, self.size, self.rotated) = (file, 0, true);
        Ok(())
    }
}

/// Success, or there was nothing.
fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)
}

/// Ends a record that was cut off, so that the next one begins on a line of its own. Gives the size.
fn settle(file: &mut File) -> io::Result<u64> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(0);
    }
    let mut last = [0u8];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(size);
    }
    // A full disk: the first record is lost with the cut one, and no more.
    Ok(size + u64::from(file.write_all(b"\n").is_ok()))
}
