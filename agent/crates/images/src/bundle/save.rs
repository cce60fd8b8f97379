//! Saving: one stream in the order of its names, made while it is read. Layers go out as they lie here.

use super::documents::Documents;
use crate::layers::Pins;
use crate::records::Known;
use crate::store::Inner;
use bytes::Bytes;
use hull_model::{Digest, Reference};
use hull_ports::{ByteStream, Error, Result};
use hull_tar::{Entry, Kind, writer};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Bytes handed over at a time.
const PIECE: usize = 256 << 10;
/// Pieces that wait to be read.
const QUEUE: usize = 4;

/// What stands under a path, and when it was made.
pub(super) enum Content {
    Bytes(Bytes),
    Layer(Digest),
}

/// An archive, as it will be written.
pub(super) struct Outline {
    pub(super) blobs: BTreeMap<String, (Content, i64)>,
    pub(super) documents: Vec<(&'static str, Bytes)>,
    pub(super) _pins: Pins,
}

/// Writes images as one archive. An image that comes twice is written once, with all its names.
pub(crate) async fn save(inner: &Arc<Inner>, images: &[(Digest, Vec<Reference>)]) -> Result<ByteStream> {
    let (owned, wanted) = (Arc::clone(inner), images.to_vec());
    let outline = spawn_blocking(move || outline(&owned, &wanted)).await;
    let outline = outline.unwrap_or_else(|error| Err(Error::retryable("saving images").because(error)))?;
    let (pieces, receiver) = mpsc::channel(QUEUE);
    let inner = Arc::clone(inner);
    // Ends when the stream is dropped.
    spawn_blocking(move || {
        let mut output = Output { pieces, pending: Vec::with_capacity(PIECE) };
        if let Err(error) = write(&inner, &outline, &mut output) {
            let _ = output.pieces.blocking_send(Err(error));
        }
    });
    Ok(Box::pin(futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    })))
}

fn outline(inner: &Arc<Inner>, images: &[(Digest, Vec<Reference>)]) -> Result<Outline> {
    let mut order: Vec<Digest> = Vec::new();
    let mut names: BTreeMap<Digest, BTreeSet<Reference>> = BTreeMap::new();
    for (id, given) in images {
        if !names.contains_key(id) {
            order.push(id.clone());
        }
        names.entry(id.clone()).or_default().extend(given.iter().filter(|name| name.tag.is_some()).cloned());
    }
    let known = |id: &Digest| {
        let found = inner.state().images.get(id).cloned();
        found.ok_or_else(|| Error::not_found(format!("No such image: {id}")).remedy("pull the image"))
    };
    let known: Vec<Known> = order.iter().map(known).collect::<Result<_>>()?;
    let pins = inner.pin(known.iter().flat_map(|image| &image.record.layers));
    let mut documents = Documents::default();
    for image in &known {
        documents.add(inner, image, &names[&image.record.id])?;
    }
    Ok(documents.finish(pins))
}

fn entry(path: &str, kind: Kind, size: u64, mtime: i64) -> Entry {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    Entry {
        path: path.as_bytes().to_vec(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: (mtime, 0),
        size,
        sparse: None,
        xattrs: Vec::new(),
    }
}

fn write(inner: &Inner, outline: &Outline, output: &mut Output) -> io::Result<()> {
    let latest = outline.blobs.values().map(|(_, made)| *made).max().unwrap_or(0);
    output.header(&entry("blobs/", Kind::Directory, 0, latest))?;
    output.header(&entry("blobs/sha256/", Kind::Directory, 0, latest))?;
    for (path, (content, made)) in &outline.blobs {
        match content {
            Content::Bytes(bytes) => output.file(path, bytes, *made)?,
            Content::Layer(layer) => {
                let mut archive = inner.layers().open_tar(layer).map_err(|error| error.source)?;
                let size = archive.size();
                output.header(&entry(path, Kind::File, size, *made))?;
                output.copy(&mut archive, size)?;
            }
        }
    }
    for (path, bytes) in &outline.documents {
        output.file(path, bytes, 0)?;
    }
    output.zeros(1024)?;
    output.flush()
}

/// Where the archive goes, in pieces.
struct Output {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
}

impl Output {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn header(&mut self, entry: &Entry) -> io::Result<()> {
        let header = writer::header(entry).map_err(io::Error::other)?;
        self.bytes(&header)
    }

    fn file(&mut self, path: &str, bytes: &[u8], mtime: i64) -> io::Result<()> {
        self.header(&entry(path, Kind::File, bytes.len() as u64, mtime))?;
        self.bytes(bytes)?;
        self.zeros(writer::padding(bytes.len() as u64))
    }

    fn copy(&mut self, input: &mut impl Read, size: u64) -> io::Result<()> {
        self.flush()?;
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut piece = Vec::with_capacity(most);
            let count = input.by_ref().take(most as u64).read_to_end(&mut piece)?;
            if count < most {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= count as u64;
            self.send(piece.into())?;
        }
        self.zeros(writer::padding(size))
    }

    fn zeros(&mut self, count: usize) -> io::Result<()> {
        self.bytes(&vec![0; count])
    }

    fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::replace(&mut self.pending, Vec::with_capacity(PIECE));
        if pending.is_empty() { Ok(()) } else { self.send(pending.into()) }
    }

    fn send(&self, piece: Bytes) -> io::Result<()> {
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
