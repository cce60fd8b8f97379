//! What containers of an image stand on: one mount for all of them, or a directory for each layer. Blocks.

use crate::disk::{DiskError, disk_error, remove_file};
use crate::layer::LayerError;
use crate::snapshot::{Form, MergeError, TREE, chain, devices, merge};
use crate::store::Inner;
use hull_model::Digest;
use hull_ports::Error;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Why there is nothing to stand on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// A file could not be read or written, or the file system not be mounted.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The layers could not be merged.
    #[error("merging its layers")]
    Merge(#[from] MergeError),
    /// A layer could not be made into the form that this kernel needs.
    #[error("making layer {} anew", layer.short())]
    Layer {
        /// Which.
        layer: Digest,
        /// Why.
        source: LayerError,
    },
}

impl BaseError {
    pub(crate) fn at_door(self, message: String) -> Error {
        match self {
            Self::Disk(error) => disk_error(message, error),
            Self::Layer { ref source, .. } => Error::retryable(message).remedy(source.remedy()).because(self),
            Self::Merge(MergeError::Disk(error)) => disk_error(message, error),
            Self::Merge(_) => {
                Error::retryable(message).remedy("remove the image and pull it again").because(self)
            }
        }
    }
}

/// Directories with an image's files, topmost first; at least one.
pub(crate) fn directories(inner: &Inner, layers: &[Digest]) -> Result<Vec<PathBuf>, BaseError> {
    if inner.form == Form::Erofs {
        let name = chain(layers);
        if let Some(found) = inner.mounts.find(name.hex()) {
            return Ok(vec![found]);
        }
        return mount(inner, layers, &name).map(|path| vec![path]);
    }
    ensure_form(inner, layers)?;
    let mut seen = BTreeSet::new();
    // Each once: overlayfs refuses one that comes twice, and of two equal layers the lower one adds nothing.
    let unique = layers.iter().rev().filter(|layer| seen.insert(*layer));
    let mut found: Vec<PathBuf> = unique.map(|layer| inner.disk.layer(layer.hex()).join(TREE)).collect();
    if found.is_empty() {
        found.push(empty(inner)?);
    }
    Ok(found)
}

fn empty(inner: &Inner) -> Result<PathBuf, DiskError> {
    let empty = inner.disk.root().join("empty");
    match DirBuilder::new().mode(0o755).create(&empty) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(DiskError::new("making", &empty)(error))
        }
        _ => Ok(empty),
    }
}

/// Mounts an image once.
fn mount(inner: &Inner, layers: &[Digest], name: &Digest) -> Result<PathBuf, BaseError> {
    let _merging = inner.merging.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = inner.mounts.find(name.hex()) {
        return Ok(found);
    }
    ensure_form(inner, layers)?;
    let index = inner.disk.merged(name.hex());
    let devices = devices(layers, |layer| inner.disk.layer(layer.hex()));
    if index.is_file() {
        match inner.mounts.mount(name.hex(), &index, &devices) {
            Ok(path) => return Ok(path),
            // Everything in it is in the layers too.
            Err(error) => tracing::warn!(%error, cause = %error.source, "the image's index is made anew"),
        }
    }
    write_merged(inner, layers, &index)?;
    Ok(inner.mounts.mount(name.hex(), &index, &devices)?)
}

/// Makes what an image is mounted from, so that its first container need not wait for it.
pub(crate) fn make_ready(inner: &Inner, layers: &[Digest]) -> Result<(), BaseError> {
    if inner.form != Form::Erofs {
        return Ok(());
    }
    let _merging = inner.merging.lock().unwrap_or_else(PoisonError::into_inner);
    let index = inner.disk.merged(chain(layers).hex());
    if index.is_file() {
        return Ok(());
    }
    ensure_form(inner, layers)?;
    write_merged(inner, layers, &index)
}

fn write_merged(inner: &Inner, layers: &[Digest], index: &Path) -> Result<(), BaseError> {
    let bytes = merge(layers, |layer| inner.disk.layer(layer.hex()))?;
    inner.disk.write(index, &bytes)?;
    crate::snapshot::seal(index);
    Ok(())
}

/// Makes layers that were stored on another kernel into this one's form.
fn ensure_form(inner: &Inner, layers: &[Digest]) -> Result<(), BaseError> {
    for layer in layers {
        if inner.layers().facts(layer).is_some_and(|facts| facts.form != inner.form) {
            let failed = |source| BaseError::Layer { layer: layer.clone(), source };
            inner.layers().convert(layer).map_err(failed)?;
        }
    }
    Ok(())
}

/// Removes what is made of layers, unless an image has just these.
pub(crate) fn release(inner: &Inner, layers: &[Digest]) -> Result<(), DiskError> {
    let name = chain(layers);
    if needs(inner, &name) {
        return Ok(());
    }
    inner.mounts.unmount(name.hex())?;
    let path = inner.disk.merged(name.hex());
    match fs::remove_file(&path) {
        // Not flushed: what comes back is swept.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DiskError::new("removing", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes what is made of layers that no image has.
pub(crate) fn sweep(inner: &Inner) -> Result<(), DiskError> {
    let known = |hex: &str| Digest::parse(&format!("sha256:{hex}")).ok();
    for name in inner.mounts.names()? {
        if !known(&name).is_some_and(|name| needs(inner, &name)) {
            inner.mounts.unmount(&name)?;
        }
    }
    for name in crate::disk::names(&inner.disk.merged_all())? {
        if !known(&name).is_some_and(|name| needs(inner, &name)) {
            remove_file(&inner.disk.merged(&name))?;
        }
    }
    Ok(())
}

/// Whether an image has the layers of that chain.
pub(crate) fn needs(inner: &Inner, name: &Digest) -> bool {
    inner.state().images.values().any(|known| known.chain == *name)
}
