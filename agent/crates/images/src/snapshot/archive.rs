//! Reading a tar archive entry by entry (POSIX ustar and pax, GNU extensions).
//!
//! The `tar` crate only decodes header blocks. Which header belongs to which entry, how many bytes follow it, and how much
//! memory it may take is decided here, as Go's archive/tar does, so that no two readers of a layer disagree about it.

use super::UnpackError;
use super::pax::{self, Pax, Sparse, decimal};
use std::io::{BufRead, ErrorKind};

/// Size of a header, and what data is padded to.
const BLOCK: usize = 512;
/// The most bytes of a long name or an extended header.
const MAX_EXTENSION: u64 = 1 << 20;
/// The most segments of one sparse file.
const MAX_SEGMENTS: usize = 1 << 16;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    /// Character device, major and minor number.
    Char(u32, u32),
    /// Block device, major and minor number.
    Block(u32, u32),
    Fifo,
}

/// One entry, all headers that describe it merged. Nothing is checked but the encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// As it stands in the archive.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Bytes of data that are stored in the archive.
    pub(super) size: u64,
    /// For a file with holes.
    pub(super) sparse: Option<Sparse>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Headers that were read and wait for the entry they describe.
#[derive(Default)]
struct Pending {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Reads entries from a stream.
pub(super) struct Archive<R> {
    input: R,
    /// Data of the current entry that was not read yet.
    remaining: u64,
    /// Padding after that data.
    padding: u64,
}

impl<R: BufRead> Archive<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0 }
    }

    /// The next entry, or `None` at the end mark or the end of the stream.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut pending = Pending::default();
        loop {
            self.skip_data()?;
            let Some(block) = self.header()? else {
                return match pending {
                    Pending { pax: None, name: None, link: None } => Ok(None),
                    _ => Err(UnpackError::malformed("the archive ends between the headers of an entry")),
                };
            };
            let header = tar::Header::from_byte_slice(&block);
            let size = header.entry_size().map_err(|_| UnpackError::malformed("a size is broken"))?;
            let twice = || UnpackError::malformed("an entry has two headers of the same type");
            match header.entry_type().as_byte() {
                b'x' => {
                    let bytes = self.extension(size)?;
                    if pending.pax.replace(pax::parse(&bytes)?).is_some() {
                        return Err(twice());
                    }
                }
                // Values for all entries: no layer tool relies on them, and Docker skips them.
                b'g' => drop(self.extension(size)?),
                b'L' => {
                    if pending.name.replace(until_zero(self.extension(size)?)).is_some() {
                        return Err(twice());
                    }
                }
                b'K' => {
                    if pending.link.replace(until_zero(self.extension(size)?)).is_some() {
                        return Err(twice());
                    }
                }
                _ => return self.entry(header, size, pending).map(Some),
            }
        }
    }

    /// Hands the data of the current entry over in pieces, at most `limit` bytes; returns how many there were.
    pub(super) fn data(
        &mut self,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<u64, UnpackError> {
        let wanted = limit.min(self.remaining);
        let mut done = 0u64;
        while done < wanted {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return Err(UnpackError::Truncated);
            }
            let count = buffer.len().min(usize::try_from(wanted - done).unwrap_or(usize::MAX));
            take(&buffer[..count])?;
            self.input.consume(count);
            done += count as u64;
            self.remaining -= count as u64;
        }
        Ok(done)
    }

    fn skip_data(&mut self) -> Result<(), UnpackError> {
        self.data(u64::MAX, |_| Ok(()))?;
        self.remaining = std::mem::take(&mut self.padding);
        self.data(u64::MAX, |_| Ok(()))?;
        Ok(())
    }

    /// Announces that so many bytes of data follow.
    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The next header block; `None` at two blocks of zeros, or at a clean end of the stream.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, UnpackError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().any(|b| *b != 0) {
            checksum(&block)?;
            return Ok(Some(block));
        }
        match self.block()? {
            Some(second) if second.iter().any(|b| *b != 0) => {
                Err(UnpackError::malformed("a block of zeros stands between entries"))
            }
            _ => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, UnpackError> {
        let mut block = [0u8; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return if filled == 0 { Ok(None) } else { Err(UnpackError::Truncated) };
            }
            let count = buffer.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&buffer[..count]);
            self.input.consume(count);
            filled += count;
        }
        Ok(Some(block))
    }

    /// The data of a header that describes another one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        if size > MAX_EXTENSION {
            return Err(UnpackError::malformed("a header is larger than 1 MiB"));
        }
        self.expect(size);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.data(size, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn entry(&mut self, header: &tar::Header, size: u64, pending: Pending) -> Result<Entry, UnpackError> {
        let pax = pending.pax.unwrap_or_default();
        if (pax.path.is_some() && pending.name.is_some()) || (pax.link.is_some() && pending.link.is_some()) {
            return Err(UnpackError::malformed("an entry has two different long names"));
        }
        let sparse_name = pax.sparse.name.clone();
        let path = sparse_name
            .or_else(|| pax.path.clone())
            .or(pending.name)
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax
            .link
            .clone()
            .or(pending.link)
            .unwrap_or_else(|| header.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default());
        let bad = |_| UnpackError::malformed("a number in a header is broken");
        let kind = kind(header, &path, link)?;
        let size = if kind == Kind::File { pax.size.unwrap_or(size) } else { 0 };
        self.expect(size);
        let sparse = if kind == Kind::File { self.sparse(header, &pax, size)? } else { None };
        let mtime = match pax.mtime {
            Some(time) => time,
            None => (i64::try_from(header.mtime().map_err(bad)?).unwrap_or(0), 0),
        };
        Ok(Entry {
            path,
            kind,
            mode: header.mode().map_err(bad)? & 0o7777,
            uid: pax.uid.map_or_else(|| header.uid(), Ok).map_err(bad)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok).map_err(bad)?,
            mtime,
            size: self.remaining,
            sparse,
            xattrs: pax.xattrs,
        })
    }

    /// The map of a sparse file, in any of the four ways GNU tar has written it.
    fn sparse(&mut self, header: &tar::Header, pax: &Pax, size: u64) -> Result<Option<Sparse>, UnpackError> {
        let records = &pax.sparse;
        if header.entry_type().is_gnu_sparse() {
            let (numbers, real_size) = self.old_gnu_map(header, size)?;
            return Sparse::new(&numbers, real_size, size).map(Some);
        }
        let bad = || UnpackError::malformed("the map of a sparse file is broken");
        match (records.major, records.minor) {
            (Some(1), Some(0)) => {
                let numbers = self.leading_map()?;
                Sparse::new(&numbers, records.real_size.ok_or_else(bad)?, self.remaining).map(Some)
            }
            (None, None) | (Some(0), Some(0 | 1))
                if records.real_size.is_none() && records.numbers.is_empty() =>
            {
                Ok(None)
            }
            (None, None) | (Some(0), Some(0 | 1)) => {
                Sparse::new(&records.numbers, records.real_size.ok_or_else(bad)?, size).map(Some)
            }
            _ => Err(bad()),
        }
    }

    /// Format 1.0: the map stands before the data, in decimal lines padded to a block.
    fn leading_map(&mut self) -> Result<Vec<u64>, UnpackError> {
        let mut text: Vec<u8> = Vec::new();
        let mut lines: Vec<u64> = Vec::new();
        loop {
            let wanted = lines.first().map(|count| count.saturating_mul(2).saturating_add(1));
            if wanted.is_some_and(|n| n > 2 * MAX_SEGMENTS as u64 + 1) {
                return Err(UnpackError::malformed("a sparse file has too many segments"));
            }
            if wanted.is_some_and(|n| lines.len() as u64 >= n) {
                lines.remove(0);
                return Ok(lines);
            }
            let before = text.len();
            self.data(BLOCK as u64, |piece| {
                text.extend_from_slice(piece);
                Ok(())
            })?;
            // A line is one number, so a block without the end of a line cannot be part of a map.
            if text.len() != before + BLOCK || before > BLOCK {
                return Err(UnpackError::malformed("the map of a sparse file is broken"));
            }
            while let Some(newline) = text.iter().position(|b| *b == b'\n') {
                let complete =
                    lines.first().is_some_and(|count| lines.len() as u64 > count.saturating_mul(2));
                if complete {
                    break;
                }
                lines.push(decimal(&text[..newline])?);
                text.drain(..=newline);
            }
        }
    }

    /// The map in the header itself and in blocks after it.
    fn old_gnu_map(&mut self, header: &tar::Header, size: u64) -> Result<(Vec<u64>, u64), UnpackError> {
        let bad = || UnpackError::malformed("the map of a sparse file is broken");
        let gnu = header.as_gnu().ok_or_else(bad)?;
        let mut numbers = Vec::new();
        let mut add = |segments: &[tar::GnuSparseHeader]| -> Result<(), UnpackError> {
            for segment in segments.iter().take_while(|s| !s.is_empty()) {
                numbers.push(segment.offset().map_err(|_| bad())?);
                numbers.push(segment.length().map_err(|_| bad())?);
            }
            if numbers.len() > 2 * MAX_SEGMENTS { Err(bad()) } else { Ok(()) }
        };
        add(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let block = self.block()?.ok_or(UnpackError::Truncated)?;
            let mut extended = tar::GnuExtSparseHeader::new();
            extended.as_mut_bytes().copy_from_slice(&block);
            add(extended.sparse())?;
            more = extended.is_extended();
        }
        self.expect(size);
        Ok((numbers, gnu.real_size().map_err(|_| bad())?))
    }
}

fn kind(header: &tar::Header, path: &[u8], link: Vec<u8>) -> Result<Kind, UnpackError> {
    let device = || -> Result<(u32, u32), UnpackError> {
        let bad = || UnpackError::malformed("a device number is broken");
        let major = header.device_major().map_err(|_| bad())?.ok_or_else(bad)?;
        Ok((major, header.device_minor().map_err(|_| bad())?.ok_or_else(bad)?))
    };
    Ok(match header.entry_type().as_byte() {
        // Before POSIX, a directory was a file whose name ends in a slash.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Symlink(link),
        b'3' => device().map(|(major, minor)| Kind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| Kind::Block(major, minor))?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(UnpackError::refused(path, "entries of this type are not part of the image format")),
    })
}

/// The sum of all bytes, the checksum field counted as spaces; some old programs summed signed bytes.
fn checksum(block: &[u8; BLOCK]) -> Result<(), UnpackError> {
    let stored = tar::Header::from_byte_slice(block).cksum().ok();
    let bytes = || block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { b' ' } else { *b });
    let unsigned: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|b| i32::from(b.cast_signed())).sum();
    if stored == Some(unsigned) || stored.is_some_and(|s| i64::from(s) == i64::from(signed)) {
        Ok(())
    } else {
        Err(UnpackError::malformed("a header's checksum is wrong"))
    }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn fill<R: BufRead>(input: &mut R) -> Result<&[u8], UnpackError> {
    loop {
        match input.fill_buf() {
            // Asked again below, because the borrow checker cannot see that this borrow ends.
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(UnpackError::Input(error)),
        }
    }
    input.fill_buf().map_err(UnpackError::Input)
}
