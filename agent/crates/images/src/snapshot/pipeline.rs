//! One pass from the network to the disk: inflate and hash on one thread, unpack on another, little memory in between.

use super::grow::{SpillFile, grow};
use super::space::Space;
use super::{ARCHIVE, Form, SPILL, UnpackError, files};
use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use hull_model::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufRead, Read, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::mpsc;

/// Bytes that go from the inflating to the unpacking thread at a time.
const CHUNK: usize = 256 << 10;
/// Such pieces under way; memory per layer is bounded by this.
const CHUNKS: usize = 4;
/// Pieces from the network that wait to be inflated.
const QUEUE: usize = 32;
/// The largest zstd window, as a power of two: what `zstd` itself takes without being asked (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A message to the inflating thread.
enum Piece {
    Data(Bytes),
    /// All data were sent. A feed that is dropped without it was cut.
    End,
}

/// The sending end of a pipeline.
pub(crate) struct Feed {
    pieces: mpsc::Sender<Piece>,
}

impl Feed {
    /// Hands data over. `false` if the pipeline has stopped: its result says why.
    pub(crate) async fn data(&self, bytes: Bytes) -> bool {
        self.pieces.send(Piece::Data(bytes)).await.is_ok()
    }

    /// Says that this was all.
    pub(crate) async fn end(self) {
        // A pipeline that has stopped says why in its result.
        let _ = self.pieces.send(Piece::End).await;
    }
}

/// What a layer turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// sha256 of the uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Bytes of the uncompressed archive.
    pub(crate) archive: u64,
    /// Bytes of all its files.
    pub(crate) size: u64,
}

/// Makes a feed, and what reads it: a closure to be run on a thread that may block. It makes the layer in the directory
/// it is given, which is there and empty. Nothing it made is flushed.
pub(crate) fn feed(
    compression: Compression,
    form: Form,
) -> (Feed, impl FnOnce(&Path) -> Result<Unpacked, UnpackError> + Send + 'static) {
    let (pieces, receiver) = mpsc::channel(QUEUE);
    let input = Pieces { pieces: receiver, current: Bytes::new(), ended: false };
    (Feed { pieces }, move |layer: &Path| unpack(compression, input, layer, form))
}

/// Makes a layer of an archive in `layer`, an existing empty directory. Nothing it made is flushed.
pub(crate) fn unpack(
    compression: Compression,
    input: impl BufRead + Send,
    layer: &Path,
    form: Form,
) -> Result<Unpacked, UnpackError> {
    let tar = files::create(layer, ARCHIVE)?;
    let space = || Space::new(File::open(layer).map_err(UnpackError::io("opening", b"layer"))?.into());
    let mut spill = SpillFile::new(layer.join(SPILL), space()?);
    let (full, receive_full) = sync_channel(CHUNKS);
    let (give_back, empty) = sync_channel(CHUNKS + 2);
    let read = std::thread::scope(|scope| {
        let inflating = scope.spawn(move || inflate(compression, input, &full, &empty));
        let mut input = Inflated {
            full: receive_full,
            empty: give_back,
            current: Vec::new(),
            at: 0,
            tar: &tar,
            total: 0,
            space: space()?,
            failure: None,
        };
        let grown = grow(&mut input, &mut spill).and_then(|grown| {
            // What stands behind the end of the archive belongs to its digest.
            input.drain().map(|()| grown).map_err(UnpackError::Input)
        });
        // What the disk said is not the archive's fault.
        let grown = input.failure.take().map_or(grown, Err);
        let archive = input.total;
        drop(input);
        let inflated = inflating.join().unwrap_or(Err(UnpackError::Stopped));
        match (inflated, grown) {
            (Ok(diff_id), Ok(grown)) => Ok((diff_id, archive, grown)),
            // Whoever saw the other one stop was not the cause.
            (Err(UnpackError::Stopped), Err(error)) | (Err(error), _) | (_, Err(error)) => Err(error),
        }
    });
    let (diff_id, archive, grown) = read?;
    let spill = spill.finish(grown.spilled)?;
    files::finish(layer, form, &grown, &diff_id, archive, spill)?;
    Ok(Unpacked { diff_id, archive, size: grown.stored })
}

/// Inflates and hashes; returns the digest of what came out.
fn inflate(
    compression: Compression,
    input: impl BufRead,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Digest, UnpackError> {
    let mut output: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(UnpackError::Input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(UnpackError::Input)?;
            Box::new(decoder)
        }
    };
    let mut hash = Sha256::new();
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let filled = read_full(&mut output, &mut chunk).map_err(UnpackError::Input)?;
        if filled == 0 {
            return Ok(Digest::from_sha256(hash.finalize().into()));
        }
        chunk.truncate(filled);
        hash.update(&chunk);
        full.send(chunk).map_err(|_| UnpackError::Stopped)?;
    }
}

fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The compressed stream, as the decoders read it.
struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the transfer was cut")),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count);
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// The archive, as the unpacker reads it.
struct Inflated<'a> {
    full: Receiver<Vec<u8>>,
    /// Buffers go back, so that a layer needs a handful of them.
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    /// Keeps the archive as it is.
    tar: &'a File,
    /// Bytes of it so far.
    total: u64,
    space: Space,
    /// Why it could not be kept.
    failure: Option<UnpackError>,
}

impl Inflated<'_> {
    fn keep(&mut self, piece: &[u8]) -> io::Result<()> {
        let space = self.space.write(piece.len() as u64);
        let written =
            space.and_then(|()| self.tar.write_all(piece).map_err(UnpackError::io("writing", b"tar")));
        self.total += piece.len() as u64;
        written.map_err(|error| {
            self.failure = Some(error);
            io::Error::other("the disk failed")
        })
    }

    fn drain(&mut self) -> io::Result<()> {
        loop {
            let count = self.fill_buf()?.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }
}

impl BufRead for Inflated<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.current.len() {
            // An inflating thread that stopped looks like the end here; its own result tells them apart.
            let next = self.full.recv().unwrap_or_default();
            self.keep(&next)?;
            let used = std::mem::replace(&mut self.current, next);
            self.at = 0;
            if !used.is_empty() {
                // Full: the buffer is not needed.
                let _ = self.empty.try_send(used);
            }
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Inflated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}
