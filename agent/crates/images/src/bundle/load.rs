//! Loading: read all, check all, store the layers, and only then make images.

use super::archive::Files;
use super::error::LoadError;
use super::layout;
use super::oci;
use crate::configuration::{self, Configuration};
use crate::images::Draft;
use crate::layer::LayerError;
use crate::platform::Platform;
use crate::registry::{MAX_CONFIGURATION, MAX_MANIFEST};
use crate::store::Inner;
use bytes::Bytes;
use hull_model::{Digest, Reference};
use hull_ports::{ByteStream, LoadEvent, Result};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// Bytes of a layer between two reports.
const REPORT: u64 = 512 << 10;

/// An image of the archive, its documents read and checked.
struct Planned {
    config: Bytes,
    configuration: Configuration,
    /// Paths of its layers in the archive, lowest first.
    layers: Vec<String>,
    /// Its manifest, and documents above it, if it came with any.
    manifest: Option<Digest>,
    documents: Vec<(Digest, Bytes)>,
    names: Vec<Reference>,
}

type Events = mpsc::UnboundedSender<LoadEvent>;

/// Reads an archive in either layout, and makes its images.
pub(crate) async fn load(
    inner: &Arc<Inner>,
    archive: ByteStream,
    platform: Option<&str>,
    told: &(dyn Fn(LoadEvent) + Send + Sync),
) -> Result<()> {
    let asked = match platform.filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let invalid = || LoadError::AskedPlatform(text.to_owned()).at_door();
            Some(Platform::parse(text).ok_or_else(invalid)?)
        }
    };
    let (events, mut heard) = mpsc::unbounded_channel();
    let reader = SyncIoBridge::new(StreamReader::new(archive));
    let owned = Arc::clone(inner);
    let mut work = spawn_blocking(move || run(&owned, reader, asked.as_ref(), &events));
    while let Some(event) = heard.recv().await {
        told(event);
    }
    (&mut work).await.unwrap_or(Err(LoadError::Cut)).map_err(LoadError::at_door)
}

fn run(
    inner: &Arc<Inner>,
    input: impl Read,
    asked: Option<&Platform>,
    events: &Events,
) -> std::result::Result<(), LoadError> {
    let files = Files::read(&inner.disk, input)?;
    let images = plan(inner, &files, asked)?;
    let layers: BTreeSet<&Digest> = images.iter().flat_map(|image| &image.configuration.diff_ids).collect();
    let pins = inner.pin(layers.iter().copied());
    let mut stored = Vec::new();
    let outcome = store_all(inner, &files, &images, &mut stored, events);
    let outcome = outcome.and_then(|()| images.into_iter().try_for_each(|image| keep(inner, image, events)));
    drop(pins);
    if outcome.is_err() {
        for layer in stored {
            inner.layers().remove_unneeded(layer.hex())?;
        }
    }
    outcome
}

/// Reads every document. Nothing is changed here.
fn plan(
    inner: &Inner,
    files: &Files,
    asked: Option<&Platform>,
) -> std::result::Result<Vec<Planned>, LoadError> {
    let host = asked.unwrap_or(&inner.options.platform);
    let mut images: Vec<Planned> = if files.has("manifest.json") {
        let listed = layout::parse(&files.small("manifest.json", MAX_MANIFEST)?)?;
        listed.into_iter().map(|listed| docker(files, listed)).collect::<std::result::Result<_, _>>()?
    } else if files.has("index.json") {
        let found = oci::find(files, host)?;
        found.into_iter().map(|found| layout_image(files, found)).collect::<std::result::Result<_, _>>()?
    } else if files.has("repositories") {
        let reason = "the archive is of a kind from before Docker 1.10, which is not supported: load and save it with an \
                      older engine";
        return Err(LoadError::invalid("repositories", reason));
    } else {
        return Err(LoadError::Missing("manifest.json".into()));
    };
    if let Some(asked) = asked {
        images.retain(|image| asked.rank(&image.configuration.platform).is_some());
    }
    if images.is_empty() {
        return Err(LoadError::Platform(host.to_string()));
    }
    for image in &images {
        for (layer, path) in image.configuration.diff_ids.iter().zip(&image.layers) {
            // One that is here need not be in the archive.
            if !inner.layers().has(layer) {
                files.open(path)?;
            }
        }
    }
    Ok(images)
}

fn configuration(bytes: &[u8], path: &str, layers: usize) -> std::result::Result<Configuration, LoadError> {
    configuration::parse_for(bytes, layers)
        .map_err(|source| LoadError::Document { path: path.chars().take(200).collect(), source })
}

fn docker(files: &Files, listed: layout::Listed) -> std::result::Result<Planned, LoadError> {
    let config = Bytes::from(files.small(&listed.config, MAX_CONFIGURATION)?);
    let configuration = configuration(&config, &listed.config, listed.layers.len())?;
    // Where the name is a digest, it is one of the content.
    let name = listed.config.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".json").unwrap_or(name);
    let actual = Digest::from_sha256(Sha256::digest(&config).into());
    if Digest::parse(&format!("sha256:{name}")).is_ok_and(|named| named != actual) {
        return Err(LoadError::invalid(&listed.config, format!("digest mismatch: its content is {actual}")));
    }
    Ok(Planned {
        config,
        configuration,
        layers: listed.layers,
        manifest: None,
        documents: Vec::new(),
        names: listed.names,
    })
}

fn layout_image(files: &Files, found: oci::Found) -> std::result::Result<Planned, LoadError> {
    let path = oci::blob(&found.manifest.config.digest);
    let config = Bytes::from(files.small(&path, MAX_CONFIGURATION)?);
    let actual = Digest::from_sha256(Sha256::digest(&config).into());
    if actual != found.manifest.config.digest {
        return Err(LoadError::invalid(&path, format!("digest mismatch: its content is {actual}")));
    }
    let configuration = configuration(&config, &path, found.manifest.layers.len())?;
    Ok(Planned {
        config,
        configuration,
        layers: found.manifest.layers.iter().map(|(layer, _)| oci::blob(&layer.digest)).collect(),
        manifest: Some(found.digest),
        documents: found.documents,
        names: found.name.into_iter().collect(),
    })
}

/// Stores every layer that is not here, and notes which.
fn store_all(
    inner: &Arc<Inner>,
    files: &Files,
    images: &[Planned],
    stored: &mut Vec<Digest>,
    events: &Events,
) -> std::result::Result<(), LoadError> {
    let all = images.iter().flat_map(|image| image.configuration.diff_ids.iter().zip(&image.layers));
    let mut paths = BTreeMap::new();
    let mut order = Vec::new();
    for (layer, path) in all {
        if paths.insert(layer, path).is_none() {
            order.push(layer);
        }
    }
    for layer in order {
        if inner.layers().has(layer) {
            continue;
        }
        let (section, total) = files.open(paths[layer])?;
        let input = Reported { input: section, id: layer.short(), done: 0, told: 0, total, events };
        let failed = |source: LayerError| LoadError::Layer { layer: layer.clone(), source };
        inner.layers().store(input, Some(layer)).map_err(failed)?;
        stored.push(layer.clone());
        let event = LoadEvent::Layer { id: layer.short().to_owned(), done: total, total };
        // Whoever listened may be gone.
        let _ = events.send(event);
    }
    Ok(())
}

/// Makes an image, and names it.
fn keep(inner: &Inner, image: Planned, events: &Events) -> std::result::Result<(), LoadError> {
    let draft = || Draft {
        config: image.config.clone(),
        configuration: image.configuration.clone(),
        manifest: image.manifest.clone(),
        manifests: image.documents.clone(),
        repo_digest: None,
        parent: None,
    };
    if image.names.is_empty() {
        let kept = inner.keep_image(draft(), None)?;
        let _ = events.send(LoadEvent::Untagged(kept.image.id));
    }
    for name in &image.names {
        let kept = inner.keep_image(draft(), Some(name))?;
        if let Some(from) = kept.moved_from {
            let _ = events.send(LoadEvent::Moved { reference: name.clone(), from });
        }
        let _ = events.send(LoadEvent::Tagged(name.clone()));
    }
    Ok(())
}

/// Tells how far the reading of a layer is.
struct Reported<'a, R> {
    input: R,
    id: &'a str,
    done: u64,
    told: u64,
    total: u64,
    events: &'a Events,
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.done += count as u64;
        if self.done - self.told >= REPORT && self.done < self.total {
            self.told = self.done;
            let id = self.id.to_owned();
            let _ = self.events.send(LoadEvent::Layer { id, done: self.done, total: self.total });
        }
        Ok(count)
    }
}
