//! Reading a container's log files in order, over rotations.

use super::CURRENT;
use super::line::{Line, Source};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Read at once.
const BLOCK: usize = 64 << 10;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) stderr: bool,
    pub(crate) at: Timestamp,
    pub(crate) bytes: Vec<u8>,
}

/// A place in a log, which stays valid when files are rotated under it.
#[derive(Debug)]
pub(crate) struct Reader {
    directory: PathBuf,
    /// Oldest first; the first is being read.
    files: VecDeque<File>,
    rest: Vec<u8>,
}

/// Numbers of the files that are there, oldest (highest) first.
fn listing(directory: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(CURRENT)) else { continue };
        if rest.is_empty() {
            numbers.push(0);
        } else if let Some(number) = rest.strip_prefix('.').and_then(|n| n.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

fn path(directory: &Path, number: u32) -> PathBuf {
    if number == 0 { directory.join(CURRENT) } else { directory.join(format!("{CURRENT}.{number}")) }
}

/// Opens all files. A rotation meanwhile may make one appear under two names or none: then it is done again.
fn open_all(directory: &Path) -> io::Result<Vec<File>> {
    for _ in 0..16 {
        let mut files = Vec::new();
        for number in listing(directory)? {
            match File::open(path(directory, number)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let inodes: Vec<u64> =
            files.iter().map(|f| f.metadata().map(|m| m.ino())).collect::<io::Result<_>>()?;
        let current = std::fs::metadata(path(directory, 0)).map(|m| m.ino()).ok();
        let mut unique = inodes.clone();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() == inodes.len() && current == inodes.last().copied() {
            return Ok(files);
        }
    }
    Err(io::Error::other("the files are rotated faster than they can be opened"))
}

impl Reader {
    /// Begins at the last `tail` lines, or at the beginning.
    pub(crate) fn open(directory: &Path, tail: Option<usize>) -> io::Result<Self> {
        let mut files = VecDeque::from(open_all(directory)?);
        if let Some(tail) = tail {
            skip_to_tail(&mut files, tail)?;
        }
        Ok(Self { directory: directory.to_owned(), files, rest: Vec::new() })
    }

    /// The next lines; none if there are none now.
    pub(crate) fn next(&mut self) -> io::Result<Vec<Entry>> {
        loop {
            if self.files.is_empty() {
                self.files.extend(open_all(&self.directory).or_else(gone)?);
            }
            let Some(file) = self.files.front_mut() else { return Ok(Vec::new()) };
            let mut block = vec![0; BLOCK];
            let length = file.read(&mut block)?;
            if length == 0 {
                if !self.advance()? {
                    return Ok(Vec::new());
                }
                continue;
            }
            self.rest.extend_from_slice(&block[..length]);
            let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else { continue };
            let complete: Vec<u8> = self.rest.drain(..=end).collect();
            let entries: Vec<Entry> = complete.split(|b| *b == b'\n').filter_map(parse).collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    /// At the end of a file, goes on with the next one. `false`: this is the one being written.
    fn advance(&mut self) -> io::Result<bool> {
        if self.files.len() == 1 {
            let Some(file) = self.files.front() else { return Ok(false) };
            let ours = file.metadata()?;
            let position = self.files.front_mut().map_or(Ok(0), |f| f.stream_position())?;
            let current = std::fs::metadata(path(&self.directory, 0)).map(|m| m.ino()).ok();
            if current.is_none_or(|inode| inode == ours.ino()) {
                return Ok(false);
            }
            // It was rotated: what was written to it last is read before it is left.
            if self.files.front().map_or(Ok(0), |f| f.metadata().map(|m| m.len()))? > position {
                return Ok(true);
            }
            let all = open_all(&self.directory).or_else(gone)?;
            let inodes: Vec<u64> =
                all.iter().map(|f| f.metadata().map(|m| m.ino())).collect::<io::Result<_>>()?;
            let newer = inodes.iter().position(|inode| *inode == ours.ino()).map_or(0, |at| at + 1);
            self.files.extend(all.into_iter().skip(newer));
        }
        self.files.pop_front();
        // A line never goes over the end of a file.
        self.rest.clear();
        Ok(true)
    }
}

/// The container was removed while its log was read.
fn gone(error: io::Error) -> io::Result<Vec<File>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

fn parse(line: &[u8]) -> Option<Entry> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let at = line.time.parse().ok()?;
    Some(Entry { stderr: line.stream == Source::Stderr, at, bytes: line.log.into_owned().into_bytes() })
}

/// Drops files and moves forward so that `tail` lines are left. Reads backwards, and no more than those lines.
fn skip_to_tail(files: &mut VecDeque<File>, tail: usize) -> io::Result<()> {
    let mut wanted = tail;
    for index in (0..files.len()).rev() {
        let mut position = files[index].metadata()?.len();
        let mut end = position;
        while position > 0 {
            let start = position.saturating_sub(BLOCK as u64);
            let mut block = vec![0; (position - start) as usize];
            files[index].read_exact_at(&mut block, start)?;
            for (offset, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let after = start + offset as u64 + 1;
                if after == end {
                    // The newline that ends the last line begins none.
                    if wanted == 0 {
                        return cut(files, index, after);
                    }
                    end = u64::MAX;
                    continue;
                }
                wanted -= 1;
                if wanted == 0 {
                    return cut(files, index, after);
                }
            }
            position = start;
        }
        // The first line of a file has no newline before it.
        if end == u64::MAX {
            wanted = wanted.saturating_sub(1);
            if wanted == 0 {
                return cut(files, index, 0);
            }
        }
    }
    Ok(())
}

fn cut(files: &mut VecDeque<File>, index: usize, position: u64) -> io::Result<()> {
    files.drain(..index);
    files[0].seek(SeekFrom::Start(position)).map(drop)
}
