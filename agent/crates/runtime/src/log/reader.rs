//! Reading a container's log files in order, over rotations and compression.

use super::files::Place;
use super::record::Entry;
use super::scan::Scanner;
use super::tail;
use flate2::read::GzDecoder;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

/// Read at once.
pub(super) const BLOCK: usize = 64 << 10;

/// One file of a log.
#[derive(Debug)]
pub(super) enum Body {
    Plain(File),
    Packed(Box<GzDecoder<BufReader<File>>>),
}

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) body: Body,
    /// Of the file as it was before it was compressed: as long as we hold that open, no other file has it.
    inode: u64,
    /// Records to pass over.
    pub(super) skip: usize,
    /// Bytes that may still be read of a plain file.
    left: u64,
}

impl Opened {
    fn plain(file: File) -> io::Result<Self> {
        Ok(Self { inode: file.metadata()?.ino(), body: Body::Plain(file), skip: 0, left: u64::MAX })
    }

    fn packed(file: File) -> Self {
        let decoder = GzDecoder::new(BufReader::new(file));
        let comment = decoder.header().and_then(|header| header.comment()).map(<[u8]>::to_vec);
        let number =
            comment.and_then(|text| String::from_utf8(text).ok()?.strip_prefix("inode ")?.parse().ok());
        Self { inode: number.unwrap_or(0), body: Body::Packed(Box::new(decoder)), skip: 0, left: u64::MAX }
    }

    pub(super) fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            Body::Plain(file) => {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(block.len());
                let length = file.read(&mut block[..most])?;
                if self.left != u64::MAX {
                    self.left -= length as u64;
                }
                Ok(length)
            }
            Body::Packed(decoder) => decoder.read(block),
        }
    }
}

/// A place in a log, which stays valid when files are rotated and compressed under it.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    /// Oldest first; the first is being read.
    files: VecDeque<Opened>,
    scanner: Scanner,
    /// What comes later is not wanted.
    ending: bool,
    /// Records that could not be read and files that broke off, so far.
    pub damaged: u64,
}

/// What is there: numbers, whether compressed, inodes; oldest (highest number) first.
fn listing(place: &Place) -> io::Result<Vec<(u32, bool, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&place.directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(&place.name)) else { continue };
        let (digits, packed) = rest.strip_suffix(".gz").map_or((rest, false), |digits| (digits, true));
        let number = match digits.strip_prefix('.') {
            None if digits.is_empty() && !packed => 0,
            Some(number) => match number.parse() {
                Ok(number) if number > 0 => number,
                _ => continue,
            },
            None => continue,
        };
        match entry.metadata() {
            Ok(metadata) => found.push((number, packed, metadata.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // A file that was just compressed may be there in both forms: the plain one comes first, and counts.
    found.sort_unstable_by_key(|(number, packed, _)| (std::cmp::Reverse(*number), *packed));
    found.dedup_by_key(|(number, ..)| *number);
    Ok(found)
}

/// Opens all files. If they are rotated meanwhile, it is done again.
fn open_all(place: &Place) -> io::Result<Vec<Opened>> {
    for _ in 0..64 {
        let before = listing(place)?;
        let mut files = Vec::new();
        for (number, packed, inode) in &before {
            let path = if *packed { place.packed(*number) } else { place.path(*number) };
            match File::open(path) {
                Ok(file) if file.metadata()?.ino() != *inode => {}
                Ok(file) if *packed => files.push(Opened::packed(file)),
                Ok(file) => files.push(Opened::plain(file)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if files.len() == before.len() && listing(place)? == before {
            return Ok(files);
        }
    }
    Err(io::Error::other("the files are rotated faster than they can be opened"))
}

impl Reader {
    /// Begins at the last `tail` records, or at the beginning.
    ///
    /// # Errors
    /// The files cannot be opened or read.
    pub fn open(place: &Place, tail: Option<usize>) -> io::Result<Self> {
        let mut files = VecDeque::from(open_all(place)?);
        if let Some(tail) = tail {
            tail::skip_to(&mut files, tail)?;
        }
        Ok(Self { place: place.clone(), files, scanner: Scanner::default(), ending: false, damaged: 0 })
    }

    /// Reads what is there now, and nothing that comes later: otherwise who speaks fast enough would never be read to the end.
    ///
    /// # Errors
    /// The files cannot be looked at.
    pub fn until_now(mut self) -> io::Result<Self> {
        self.ending = true;
        for opened in &mut self.files {
            if let Body::Plain(file) = &mut opened.body {
                opened.left = file.metadata()?.len().saturating_sub(file.stream_position()?);
            }
        }
        Ok(self)
    }

    /// The next records; none if there are none now.
    ///
    /// # Errors
    /// A file cannot be read. What is in it but is no record is passed over, and counted in `damaged`.
    pub fn next_entries(&mut self) -> io::Result<Vec<Entry>> {
        let mut block = vec![0; BLOCK];
        loop {
            if self.files.is_empty() && !self.ending {
                self.files.extend(open_all(&self.place).or_else(gone)?);
            }
            let Some(file) = self.files.front_mut() else { return Ok(Vec::new()) };
            let length = match file.read(&mut block) {
                Ok(length) => length,
                // Compressed, and broken off: what comes after it is still there.
                Err(_) if matches!(file.body, Body::Packed(_)) => {
                    self.damaged += 1;
                    0
                }
                Err(error) => return Err(error),
            };
            if length == 0 {
                if !self.advance()? {
                    return Ok(Vec::new());
                }
                continue;
            }
            let entries = self.records(&block[..length]);
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    fn records(&mut self, block: &[u8]) -> Vec<Entry> {
        let Some(file) = self.files.front_mut() else { return Vec::new() };
        let (format, mut entries, mut damaged) = (self.place.format, Vec::new(), 0);
        self.scanner.feed(block, |record| {
            if file.skip > 0 {
                file.skip -= 1;
            } else if let Some(entry) = format.decode(record) {
                entries.push(entry);
            } else {
                damaged += 1;
            }
        });
        self.damaged += damaged + std::mem::take(&mut self.scanner.skipped);
        entries
    }

    /// At the end of a file, goes on with the next one. `false`: this is the one being written.
    fn advance(&mut self) -> io::Result<bool> {
        if self.files.len() == 1 && self.ending {
            return Ok(false);
        }
        if self.files.len() == 1 {
            let Some(ours) = self.files.front_mut() else { return Ok(false) };
            let current = std::fs::metadata(self.place.path(0)).map(|m| m.ino()).ok();
            if current.is_none_or(|inode| inode == ours.inode) {
                // A write that failed half-way, and was read half-way, was taken back.
                if let Body::Plain(file) = &mut ours.body
                    && file.metadata()?.len() < file.stream_position()?
                {
                    file.seek(SeekFrom::End(0))?;
                    self.scanner.end();
                }
                return Ok(false);
            }
            if let Body::Plain(file) = &mut ours.body {
                // It was rotated: what was written to it last is read before it is left.
                let position = file.stream_position()?;
                if file.metadata()?.len() > position {
                    return Ok(true);
                }
            }
            let inode = ours.inode;
            let all = open_all(&self.place).or_else(gone)?;
            // Numbers of inodes that are free again may be in older headers: the newest is ours.
            let newer = all.iter().rposition(|file| file.inode == inode).map_or(0, |at| at + 1);
            self.files.extend(all.into_iter().skip(newer));
        }
        self.files.pop_front();
        // A record never goes over the end of a file.
        self.scanner.end();
        self.damaged += std::mem::take(&mut self.scanner.skipped);
        Ok(true)
    }
}

/// The container was removed while its log was read.
fn gone(error: io::Error) -> io::Result<Vec<Opened>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}
