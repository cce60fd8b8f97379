//! Reading a tar archive entry by entry (POSIX ustar and pax, GNU extensions).
//!
//! The `tar` crate only decodes header blocks. Which header belongs to which entry, how many bytes follow it, and how much
//! memory it may take is decided here, as Go's archive/tar does, so that no two readers of a layer disagree about it.

mod header;
mod map;
mod pax;

use crate::{Entry, Kind, TarError};
use pax::Pax;
use std::io::{BufRead, ErrorKind};

/// Size of a header, and what data is padded to.
pub(crate) const BLOCK: usize = 512;
/// The most bytes of a long name or an extended header.
const MAX_EXTENSION: u64 = 1 << 20;

/// Headers that were read and wait for the entry they describe.
#[derive(Default)]
struct Pending {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Reads entries from a stream.
pub struct Archive<R> {
    input: R,
    /// Data of the current entry that was not read yet.
    remaining: u64,
    /// Padding after that data.
    padding: u64,
    /// Bytes read so far.
    position: u64,
    offsets: Offsets,
}

/// Where an entry stands in its archive, in bytes from the archive's beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offsets {
    /// The first block that describes the entry: an extended header if it has one.
    pub header: u64,
    /// The first byte of its stored data, after the map of a sparse file. Those bytes follow each other.
    pub data: u64,
}

impl<R: BufRead> Archive<R> {
    /// Begins at the first byte of `input`.
    pub fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0, position: 0, offsets: Offsets::default() }
    }

    /// Where the entry that [`Archive::next_entry`] returned last stands.
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }

    /// Gives the stream back, at wherever reading has come to.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next entry, or `None` at the end mark or the end of the stream. Data of the entry before that nobody asked for are
    /// skipped.
    ///
    /// # Errors
    /// [`TarError`] for whatever is not as the format wants it: nothing is guessed, and nothing after it can be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pending = Pending::default();
        self.skip_data()?;
        self.offsets.header = self.position;
        loop {
            self.skip_data()?;
            let Some(block) = self.header()? else {
                return match pending {
                    Pending { pax: None, name: None, link: None } => Ok(None),
                    _ => Err(TarError::malformed("the archive ends between the headers of an entry")),
                };
            };
            let header = tar::Header::from_byte_slice(&block);
            let size = header.entry_size().map_err(|_| TarError::malformed("a size is broken"))?;
            let twice = || TarError::malformed("an entry has two headers of the same type");
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
                _ => {
                    let entry = self.entry(header, size, pending)?;
                    self.offsets.data = self.position;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Hands the data of the current entry over in pieces, at most `limit` bytes; returns how many there were.
    ///
    /// # Errors
    /// Those of `take`; [`TarError::Truncated`] if the stream ends before the entry does.
    pub fn data<E: From<TarError>>(
        &mut self,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let wanted = limit.min(self.remaining);
        let mut done = 0u64;
        while done < wanted {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return Err(TarError::Truncated.into());
            }
            let count = buffer.len().min(usize::try_from(wanted - done).unwrap_or(usize::MAX));
            take(&buffer[..count])?;
            self.input.consume(count);
            self.position += count as u64;
            done += count as u64;
            self.remaining -= count as u64;
        }
        Ok(done)
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        self.data(u64::MAX, |_| Ok::<_, TarError>(()))?;
        self.remaining = std::mem::take(&mut self.padding);
        self.data(u64::MAX, |_| Ok::<_, TarError>(()))?;
        Ok(())
    }

    /// Announces that so many bytes of data follow.
    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// The next header block; `None` at two blocks of zeros, or at a clean end of the stream.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().any(|b| *b != 0) {
            header::checksum(&block)?;
            return Ok(Some(block));
        }
        match self.block()? {
            Some(second) if second.iter().any(|b| *b != 0) => {
                Err(TarError::malformed("a block of zeros stands between entries"))
            }
            _ => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0u8; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                return if filled == 0 { Ok(None) } else { Err(TarError::Truncated) };
            }
            let count = buffer.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&buffer[..count]);
            self.input.consume(count);
            self.position += count as u64;
            filled += count;
        }
        Ok(Some(block))
    }

    /// The data of a header that describes another one.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::malformed("a header is larger than 1 MiB"));
        }
        self.expect(size);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.data(size, |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, TarError>(())
        })?;
        Ok(bytes)
    }

    fn entry(&mut self, header: &tar::Header, size: u64, pending: Pending) -> Result<Entry, TarError> {
        let pax = pending.pax.unwrap_or_default();
        if (pax.path.is_some() && pending.name.is_some()) || (pax.link.is_some() && pending.link.is_some()) {
            return Err(TarError::malformed("an entry has two different long names"));
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
        let bad = |_| TarError::malformed("a number in a header is broken");
        let kind = header::kind(header, &path, link)?;
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
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

fn fill<R: BufRead>(input: &mut R) -> Result<&[u8], TarError> {
    loop {
        match input.fill_buf() {
            // Asked again below, because the borrow checker cannot see that this borrow ends.
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(TarError::Input(error)),
        }
    }
    input.fill_buf().map_err(TarError::Input)
}
