//! Layers that are here: their archives, what is known of them, and how new ones come in.

use crate::disk::{DiskError, Scratch, names, sync_directory, sync_file_system};
use crate::layer::LayerError;
use crate::records::{self, Distributed, LayerFacts, LayerRecord, json};
use crate::snapshot::{Compression, Form, Unpacked, open_archive, seal_layer, unpack};
use crate::store::Inner;
use hull_model::Digest;
use hull_ports::StoredLayer;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

/// The layers of a store. What blocks says so.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a>(&'a Inner);

/// A layer's uncompressed archive, byte for byte as its digest has it.
pub(crate) struct LayerTar {
    input: Box<dyn Read + Send>,
    size: u64,
}

impl LayerTar {
    /// Bytes of the whole archive.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl Read for LayerTar {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Inner {
    pub(crate) fn layers(&self) -> Layers<'_> {
        Layers(self)
    }

    /// Keeps layers from being removed for as long as the pins live.
    pub(crate) fn pin<'a>(self: &Arc<Self>, layers: impl IntoIterator<Item = &'a Digest>) -> Pins {
        let layers: Vec<Digest> = layers.into_iter().cloned().collect();
        let mut state = self.state();
        for layer in &layers {
            *state.pins.entry(layer.clone()).or_default() += 1;
        }
        drop(state);
        Pins { inner: Arc::clone(self), layers }
    }
}

impl Layers<'_> {
    /// What is known of a layer; `None` if it is not here. Nothing is read from the disk.
    pub(crate) fn facts(self, layer: &Digest) -> Option<LayerFacts> {
        self.0.state().layers.get(layer).cloned()
    }

    /// Whether a layer is here. Nothing is read from the disk.
    pub(crate) fn has(self, layer: &Digest) -> bool {
        self.0.state().layers.contains_key(layer)
    }

    /// Opens a layer's archive. Pin the layer before, or what is opened may go. Blocks.
    ///
    /// # Errors
    /// `NotFound` inside if the layer is not here.
    pub(crate) fn open_tar(self, layer: &Digest) -> Result<LayerTar, DiskError> {
        let dir = self.0.disk.layer(layer.hex());
        let missing = || DiskError::new("opening", &dir)(io::ErrorKind::NotFound.into());
        let size = self.facts(layer).ok_or_else(missing)?.record.archive;
        Ok(LayerTar { input: open_archive(&dir)?, size })
    }

    /// Stores a layer from its archive: plain, gzip or zstd, found out by its first bytes. One that is here already is
    /// read to its end and not stored again. Pin what is expected before, and pin the result: the next sweep removes a
    /// layer that no image has. Blocks.
    ///
    /// # Errors
    /// [`LayerError::DiffId`] if it is not what was expected, and whatever keeps it from being read or stored.
    pub(crate) fn store(
        self,
        archive: impl Read + Send,
        expected: Option<&Digest>,
    ) -> Result<StoredLayer, LayerError> {
        let mut input = BufReader::with_capacity(256 << 10, archive);
        let compression = detect(&mut input).map_err(crate::snapshot::UnpackError::Input)?;
        let scratch = self.0.disk.scratch()?;
        let unpacked = unpack(compression, input, scratch.path(), self.0.form)?;
        if let Some(expected) = expected
            && unpacked.diff_id != *expected
        {
            return Err(LayerError::DiffId { actual: unpacked.diff_id });
        }
        let stored = StoredLayer { diff_id: unpacked.diff_id.clone(), size: unpacked.archive };
        if !self.has(&stored.diff_id) {
            self.describe(&scratch, &unpacked, &[])?;
            self.flush(scratch.path())?;
            self.place(&scratch, &stored.diff_id)?;
        }
        Ok(stored)
    }

    /// Writes the records of a layer that was made in `scratch`. Flushes nothing. Blocks.
    pub(crate) fn describe(
        self,
        scratch: &Scratch,
        unpacked: &Unpacked,
        blobs: &[Distributed],
    ) -> Result<(), DiskError> {
        self.write_records(scratch.path(), unpacked, blobs)
    }

    fn write_records(self, dir: &Path, unpacked: &Unpacked, blobs: &[Distributed]) -> Result<(), DiskError> {
        let record = LayerRecord { size: unpacked.size, archive: unpacked.archive };
        for (name, bytes) in [("layer.json", json(&record)), ("blobs.json", json(&blobs))] {
            let file = dir.join(name);
            fs::write(&file, bytes).map_err(DiskError::new("writing", &file))?;
        }
        Ok(())
    }

    /// Makes a layer that was made in `dir` durable. Blocks.
    pub(crate) fn flush(self, dir: &Path) -> Result<(), DiskError> {
        if self.0.form == Form::Directory {
            return sync_file_system(self.0.disk.root());
        }
        // A handful of files; the whole file system may have much more to write that is none of ours.
        for name in names(dir)? {
            let path = dir.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(DiskError::new("flushing", &path))?;
        }
        sync_directory(dir)
    }

    /// Moves a layer that is flushed from `scratch` to its place. Blocks.
    pub(crate) fn place(self, scratch: &Scratch, layer: &Digest) -> Result<(), DiskError> {
        let target = self.0.disk.layer(layer.hex());
        seal_layer(scratch.path(), self.0.form);
        {
            // Held over the rename, so that what a sweep sees on the disk it sees in memory too; not while the disk works.
            let mut state = self.0.state();
            if state.layers.contains_key(layer) {
                return Ok(());
            }
            if target.is_dir() {
                // Something that is no layer of ours: the form of an earlier version, or damaged.
                self.0.disk.take_away(&target)?;
            }
            fs::rename(scratch.path(), &target).map_err(DiskError::new("renaming to", &target))?;
            if let Some(facts) = records::layer(&self.0.disk, layer.hex()) {
                state.layers.insert(layer.clone(), facts);
            }
        }
        sync_directory(&self.0.disk.layers())
    }

    /// Makes a layer into the form that this kernel mounts, from its own archive. Blocks.
    pub(crate) fn convert(self, layer: &Digest) -> Result<(), LayerError> {
        let Some(facts) = self.facts(layer) else { return Ok(()) };
        let archive = BufReader::with_capacity(256 << 10, self.open_tar(layer)?);
        let scratch = self.0.disk.scratch()?;
        let made = scratch.path().join("layer");
        DirBuilder::new().mode(0o700).create(&made).map_err(DiskError::new("making", &made))?;
        let unpacked = unpack(Compression::None, archive, &made, self.0.form)?;
        if unpacked.diff_id != *layer {
            return Err(LayerError::DiffId { actual: unpacked.diff_id });
        }
        self.write_records(&made, &unpacked, &facts.blobs)?;
        self.flush(&made)?;
        let target = self.0.disk.layer(layer.hex());
        {
            let mut state = self.0.state();
            exchange(&made, &target).map_err(DiskError::new("replacing", &target))?;
            if let Some(facts) = records::layer(&self.0.disk, layer.hex()) {
                state.layers.insert(layer.clone(), facts);
            }
        }
        sync_directory(&self.0.disk.layers())?;
        Ok(())
    }

    /// Removes whatever is in a layer's place, unless something needs it. Says whether a layer is gone. Blocks.
    pub(crate) fn remove_unneeded(self, hex: &str) -> Result<bool, DiskError> {
        // Held over the rename: a pull that begins now either pins the layer before, or does not see it.
        let mut state = self.0.state();
        let digest = Digest::parse(&format!("sha256:{hex}")).ok();
        if let Some(digest) = &digest
            && state.needs_layer(digest)
        {
            return Ok(false);
        }
        self.0.disk.take_away(&self.0.disk.layer(hex))?;
        Ok(digest.is_some_and(|digest| state.layers.remove(&digest).is_some()))
    }

    /// Remembers that a registry has a layer in a form. Not flushed for its own sake: what is forgotten costs a transfer.
    /// Blocks.
    pub(crate) fn remember(self, layer: &Digest, blob: &Distributed) -> Result<(), DiskError> {
        let mut state = self.0.state();
        let Some(facts) = state.layers.get_mut(layer) else { return Ok(()) };
        let mut blobs = facts.blobs.clone();
        match blobs.iter_mut().find(|known| known.digest == blob.digest) {
            Some(known) => known.repositories.extend(blob.repositories.iter().cloned()),
            None => blobs.push(blob.clone()),
        }
        if blobs != facts.blobs {
            let path = self.0.disk.layer(layer.hex()).join("blobs.json");
            self.0.disk.write_soon(&path, &json(&blobs))?;
            facts.blobs = blobs;
        }
        Ok(())
    }
}

/// Swaps two directories at once (renameat2(2)).
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

/// Tells how an archive is compressed by its first bytes (RFC 1952; RFC 8878, which may begin with a skippable frame).
fn detect(input: &mut impl BufRead) -> io::Result<Compression> {
    let begin = input.fill_buf()?;
    Ok(match begin {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    })
}

/// Keeps layers from being removed while it lives.
pub(crate) struct Pins {
    inner: Arc<Inner>,
    layers: Vec<Digest>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut state = self.inner.state();
        for layer in &self.layers {
            if let Some(count) = state.pins.get_mut(layer) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(layer);
                }
            }
        }
    }
}
