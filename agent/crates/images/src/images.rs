//! Images that are here: how they come to be, their names, and their end. All of it blocks.

use crate::base;
use crate::configuration::{self, Configuration};
use crate::disk::{DiskError, disk_error, remove_file};
use crate::manifest::InvalidManifest;
use crate::records::{ImageRecord, Known, json, same_repository};
use crate::store::Inner;
use bytes::Bytes;
use hull_model::{Digest, HistoryEntry, Image, Reference};
use hull_ports::{Error, ImageUsage, NewImage, Removed, Result, Usage};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError};

/// An image whose layers are here, and are pinned by whoever made this.
pub(crate) struct Draft {
    /// The configuration, byte for byte: its digest is the image's id.
    pub(crate) config: Bytes,
    /// The same, read.
    pub(crate) configuration: Configuration,
    /// The manifest it came by.
    pub(crate) manifest: Option<Digest>,
    /// That manifest and the indexes above it, byte for byte, to be kept with it.
    pub(crate) manifests: Vec<(Digest, Bytes)>,
    /// Where a registry has it: a reference without a tag and with a digest.
    pub(crate) repo_digest: Option<Reference>,
    /// The image it was made from here.
    pub(crate) parent: Option<Digest>,
}

/// An image that was kept.
pub(crate) struct Kept {
    pub(crate) image: Image,
    /// The reference named another image before, or none.
    pub(crate) changed: bool,
    /// The image that the reference named before, if it was another one.
    pub(crate) moved_from: Option<Digest>,
}

impl Inner {
    /// Writes the blobs, then the record that makes it an image, then its name. Each step is whole, and worth nothing
    /// without those before it.
    pub(crate) fn keep_image(
        &self,
        draft: Draft,
        reference: Option<&Reference>,
    ) -> std::result::Result<Kept, DiskError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let id = Digest::from_sha256(Sha256::digest(&draft.config).into());
        let old = self.state().images.get(&id).map(|known| known.record.clone());
        let blobs = self.disk.blobs();
        for (digest, bytes) in draft.manifests.iter().chain([&(id.clone(), draft.config.clone())]) {
            let path = blobs.join(digest.hex());
            if !self.state().needs_blob(digest) || !path.exists() {
                self.disk.write(&path, bytes)?;
            }
        }
        let record = self.merged_record(&id, &draft, old.clone());
        let draft_layers = draft.configuration.diff_ids.clone();
        let moved_from = reference.and_then(|r| self.state().references.get(r).cloned());
        let changed = reference.is_some() && moved_from.as_ref() != Some(&id);
        let record =
            if changed { ImageRecord { tagged: Some((self.options.now)()), ..record } } else { record };
        if old.as_ref() != Some(&record) {
            self.write_record(record, Arc::new(draft.configuration))?;
        }
        // What is not ready now is made when it is needed.
        if let Err(error) = base::make_ready(self, &draft_layers) {
            tracing::warn!(error = %error, "the image is not ready to be mounted yet");
        }
        if let Some(reference) = reference {
            self.name(reference, Some(&id))?;
        }
        let gone = || DiskError::new("keeping", &self.disk.image(id.hex()))(io::ErrorKind::NotFound.into());
        let image = self.state().image(&id).ok_or_else(gone)?;
        Ok(Kept { image, changed, moved_from: moved_from.filter(|old| *old != id) })
    }

    fn merged_record(&self, id: &Digest, draft: &Draft, old: Option<ImageRecord>) -> ImageRecord {
        let mut record = old.unwrap_or_else(|| ImageRecord {
            id: id.clone(),
            manifest: None,
            manifests: BTreeSet::new(),
            repo_digests: BTreeSet::new(),
            layers: draft.configuration.diff_ids.clone(),
            tagged: None,
            parent: None,
        });
        record.manifest = draft.manifest.clone().or(record.manifest);
        record.manifests.extend(draft.manifests.iter().map(|(digest, _)| digest.clone()));
        record.repo_digests.extend(draft.repo_digest.clone());
        record.parent = draft.parent.clone().or(record.parent);
        record
    }

    /// Remembers where a registry has an image since it was pushed there, and by what manifest.
    pub(crate) fn add_repo_digest(
        &self,
        id: &Digest,
        repo_digest: Reference,
        manifest: (Digest, Bytes),
    ) -> std::result::Result<(), DiskError> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = self.state().images.get(id).cloned() else { return Ok(()) };
        let mut record = known.record.clone();
        record.repo_digests.insert(repo_digest);
        record.manifests.insert(manifest.0.clone());
        record.manifest.get_or_insert(manifest.0.clone());
        if record == known.record {
            return Ok(());
        }
        self.disk.write(&self.disk.blobs().join(manifest.0.hex()), &manifest.1)?;
        self.write_record(record, known.configuration)
    }

    /// The bytes of a manifest or configuration that an image has.
    pub(crate) fn blob(&self, digest: &Digest) -> std::result::Result<Bytes, DiskError> {
        let path = self.disk.blobs().join(digest.hex());
        fs::read(&path).map(Bytes::from).map_err(DiskError::new("reading", &path))
    }

    /// The writer's lock is held.
    fn write_record(
        &self,
        record: ImageRecord,
        configuration: Arc<Configuration>,
    ) -> std::result::Result<(), DiskError> {
        self.disk.write(&self.disk.image(record.id.hex()), &json(&record))?;
        let mut state = self.state();
        let known = state.known(record, configuration);
        state.images.insert(known.record.id.clone(), known);
        Ok(())
    }

    /// Gives a name, or takes it away. The writer's lock is held.
    fn name(&self, reference: &Reference, id: Option<&Digest>) -> std::result::Result<(), DiskError> {
        let mut names = self.state().references.clone();
        let before = match id {
            Some(id) => names.insert(reference.clone(), id.clone()),
            None => names.remove(reference),
        };
        if before.as_ref() != id {
            self.disk.write(&self.disk.references(), &json(&names))?;
            self.state().references = names;
        }
        Ok(())
    }
}

fn no_such_image(what: &str) -> Error {
    Error::not_found(format!("No such image: {what}")).remedy("pull the image")
}

pub(crate) fn config(inner: &Inner, id: &Digest) -> Result<Vec<u8>> {
    if !inner.state().images.contains_key(id) {
        return Err(no_such_image(&id.to_string()));
    }
    let bytes = inner.blob(id).map_err(|e| disk_error(format!("reading image {}", id.short()), e))?;
    Ok(bytes.to_vec())
}

pub(crate) fn history(inner: &Inner, id: &Digest) -> Result<Vec<(HistoryEntry, u64)>> {
    let state = inner.state();
    let known = state.images.get(id).ok_or_else(|| no_such_image(&id.to_string()))?;
    let mut layers = known.record.layers.iter();
    let entries = known.configuration.history.iter().map(|entry| {
        let layer = if entry.empty_layer { None } else { layers.next() };
        (entry.clone(), layer.map_or(0, |layer| state.layer_size(layer)))
    });
    Ok(entries.collect())
}

pub(crate) fn tag(inner: &Inner, id: &Digest, reference: &Reference) -> Result<()> {
    let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
    let known = inner.state().images.get(id).cloned().ok_or_else(|| no_such_image(&id.to_string()))?;
    let run = || -> std::result::Result<(), DiskError> {
        let record = ImageRecord { tagged: Some((inner.options.now)()), ..known.record };
        inner.write_record(record, known.configuration)?;
        inner.name(reference, Some(id))
    };
    run().map_err(|error| disk_error(format!("tagging image {}", id.short()), error))
}

pub(crate) fn untag(inner: &Inner, reference: &Reference) -> Result<()> {
    let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
    let failed = |error| disk_error(format!("untagging image {}", reference.familiar()), error);
    if inner.state().references.contains_key(reference) {
        inner.name(reference, None).map_err(failed)?;
        if reference.digest.is_none() {
            return Ok(());
        }
    }
    let found = inner.state().lookup(reference).cloned();
    let Some(digest) = &reference.digest else { return Err(no_such_image(&reference.familiar())) };
    let Some(known) = found.and_then(|id| inner.state().images.get(&id).cloned()) else { return Ok(()) };
    let mut record = known.record.clone();
    record.repo_digests.retain(|r| !(same_repository(r, reference) && r.digest.as_ref() == Some(digest)));
    if record == known.record {
        return Ok(());
    }
    inner.write_record(record, known.configuration).map_err(failed)
}

pub(crate) fn add(inner: &Arc<Inner>, new: &NewImage) -> Result<Image> {
    let _pins = inner.pin(&new.layers);
    if let Some(missing) = new.layers.iter().find(|layer| !inner.layers().has(layer)) {
        return Err(Error::not_found(format!("layer {missing} is not stored here"))
            .remedy("store its layers before the image"));
    }
    let mut value = new.config.clone();
    let Some(object) = value.as_object_mut() else {
        return Err(Error::permanent("an image configuration must be a JSON object"));
    };
    object.insert("rootfs".into(), serde_json::json!({"type": "layers", "diff_ids": new.layers}));
    let config = Bytes::from(value.to_string());
    let configuration = configuration::parse(&config)
        .map_err(|error: InvalidManifest| Error::permanent("making an image").because(error))?;
    let draft = Draft {
        config,
        configuration,
        manifest: None,
        manifests: Vec::new(),
        repo_digest: None,
        parent: new.parent.clone(),
    };
    let kept = inner.keep_image(draft, None).map_err(|e| disk_error("making an image".into(), e))?;
    Ok(kept.image)
}

pub(crate) fn usage(inner: &Inner) -> Usage {
    let state = inner.state();
    let mut users: HashMap<&Digest, usize> = HashMap::new();
    let unique = |known: &Known| -> BTreeSet<Digest> { known.record.layers.iter().cloned().collect() };
    let sets: BTreeMap<&Digest, BTreeSet<Digest>> =
        state.images.iter().map(|(id, known)| (id, unique(known))).collect();
    for layer in sets.values().flatten() {
        *users.entry(layer).or_default() += 1;
    }
    let shared = |layers: &BTreeSet<Digest>| {
        let several = layers.iter().filter(|layer| users.get(layer).is_some_and(|count| *count > 1));
        several.map(|layer| state.layer_size(layer)).sum()
    };
    Usage {
        layers: state.layers.values().map(|facts| facts.record.size).sum(),
        images: sets.iter().map(|(id, l)| ImageUsage { id: (*id).clone(), shared: shared(l) }).collect(),
    }
}

pub(crate) fn remove(inner: &Inner, id: &Digest) -> Result<Removed> {
    let message = || format!("removing image {}", id.short());
    let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
    let (known, named) = {
        let mut state = inner.state();
        if let Some((container, _)) = state.containers.iter().find(|(_, image)| *image == id) {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {}: image is being used by container {}",
                id.short(),
                container.short()
            ))
            .remedy("remove the container first"));
        }
        let named = state.names_of(id);
        // From here on, nothing can be prepared on it.
        match state.images.remove(id) {
            Some(known) => (known, named),
            None => return Ok(Removed::default()),
        }
    };
    // The record's end is the image's end: names of images that are not there mean nothing.
    if let Err(error) = remove_file(&inner.disk.image(id.hex())) {
        inner.state().images.insert(id.clone(), known);
        return Err(disk_error(message(), error));
    }
    let mut removed = Removed { deleted: vec![id.clone()], ..Removed::default() };
    let mut untagged: Vec<String> = named.iter().map(Reference::familiar).collect();
    untagged.extend(known.record.repo_digests.iter().map(Reference::familiar));
    untagged.dedup();
    removed.untagged = untagged;
    forget(inner, &known.record, &mut removed).map_err(|error| disk_error(message(), error))?;
    Ok(removed)
}

/// Removes what only this image needed. What cannot be removed is swept.
fn forget(inner: &Inner, record: &ImageRecord, removed: &mut Removed) -> std::result::Result<(), DiskError> {
    let names = {
        let mut state = inner.state();
        state.references.retain(|_, to| *to != record.id);
        state.references.clone()
    };
    inner.disk.write(&inner.disk.references(), &json(&names))?;
    for blob in record.manifests.iter().chain([&record.id]) {
        if !inner.state().needs_blob(blob) {
            // Not flushed: a blob that comes back is swept.
            let path = inner.disk.blobs().join(blob.hex());
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DiskError::new("removing", &path)(error));
                }
                _ => {}
            }
        }
    }
    base::release(inner, &record.layers)?;
    for layer in record.layers.iter().rev() {
        let size = inner.state().layer_size(layer);
        if inner.layers().remove_unneeded(layer.hex())? {
            removed.deleted.push(layer.clone());
            removed.freed += size;
        }
    }
    Ok(())
}
