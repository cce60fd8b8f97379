//! Saving: one stream in the order of its names, made while it is read. Layers go out as they lie here.

use crate::disk::DiskError;
use crate::layers::Pins;
use crate::manifest::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::records::Known;
use crate::store::Inner;
use bytes::Bytes;
use hull_model::{Digest, Reference};
use hull_ports::{ByteStream, Error, Result};
use hull_tar::{Entry, Kind, writer};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
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
enum Content {
    Bytes(Bytes),
    Layer(Digest),
}

/// An archive, as it will be written.
struct Outline {
    blobs: BTreeMap<String, (Content, i64)>,
    documents: Vec<(&'static str, Bytes)>,
    _pins: Pins,
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

/// What describes the images.
#[derive(Default)]
struct Documents {
    blobs: BTreeMap<String, (Content, i64)>,
    listed: Vec<Value>,
    index: Vec<Value>,
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Documents {
    fn add(&mut self, inner: &Inner, image: &Known, names: &BTreeSet<Reference>) -> Result<()> {
        let id = &image.record.id;
        let failed =
            |error: DiskError| crate::disk::disk_error(format!("saving image {}", id.short()), error);
        let config = inner.blob(id).map_err(failed)?;
        let made = image.configuration.created.parse().map_or(0, |at: Timestamp| at.as_second()).max(0);
        let layers: Vec<(&Digest, u64)> = image
            .record
            .layers
            .iter()
            .map(|layer| (layer, inner.layers().facts(layer).map_or(0, |facts| facts.record.archive)))
            .collect();
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|(layer, size)| json!({"mediaType": OCI_LAYER, "digest": layer, "size": size}))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": id, "size": config.len()},
            "layers": descriptors,
        });
        let manifest = Bytes::from(manifest.to_string());
        let digest = Digest::from_sha256(Sha256::digest(&manifest).into());
        self.name(names, &digest, manifest.len(), layers.last().map(|(layer, _)| *layer));
        let sources: Map<String, Value> =
            layers.iter().zip(&descriptors).map(|((layer, _), d)| (layer.to_string(), d.clone())).collect();
        let mut listed = json!({
            "Config": path(id),
            "RepoTags": (!names.is_empty()).then(|| names.iter().map(Reference::familiar).collect::<Vec<_>>()),
            "Layers": layers.iter().map(|(layer, _)| path(layer)).collect::<Vec<_>>(),
            "LayerSources": sources,
        });
        if let Some(parent) = &image.record.parent {
            listed["Parent"] = json!(parent);
        }
        self.listed.push(listed);
        self.blobs.insert(path(&digest), (Content::Bytes(manifest), 0));
        self.blobs.insert(path(id), (Content::Bytes(config), made));
        for (layer, _) in layers {
            self.blobs.entry(path(layer)).or_insert((Content::Layer(layer.clone()), made));
        }
        Ok(())
    }

    fn name(&mut self, names: &BTreeSet<Reference>, manifest: &Digest, size: usize, top: Option<&Digest>) {
        let entry = json!({"mediaType": OCI_MANIFEST, "digest": manifest, "size": size});
        if names.is_empty() {
            self.index.push(entry);
            return;
        }
        for name in names {
            let tag = name.tag.as_deref().unwrap_or_default();
            let mut entry = entry.clone();
            entry["annotations"] = json!({
                "io.containerd.image.name": name.to_string(),
                "org.opencontainers.image.ref.name": tag,
            });
            self.index.push(entry);
            if let Some(top) = top {
                let tags = self.repositories.entry(name.familiar_name()).or_default();
                tags.insert(tag.to_owned(), top.hex().to_owned());
            }
        }
    }

    fn finish(self, pins: Pins) -> Outline {
        let text = |value: Value| Bytes::from(value.to_string());
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.index});
        let mut documents = vec![
            ("index.json", text(index)),
            ("manifest.json", text(Value::Array(self.listed))),
            ("oci-layout", Bytes::from_static(br#"{"imageLayoutVersion": "1.0.0"}"#)),
        ];
        if !self.repositories.is_empty() {
            documents.push(("repositories", text(json!(self.repositories))));
        }
        Outline { blobs: self.blobs, documents, _pins: pins }
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
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
