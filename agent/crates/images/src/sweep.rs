//! What interrupted work left behind, removed.

use crate::disk::{DiskError, disk_error, names, remove_file};
use crate::store::Inner;
use hull_model::{ContainerId, Digest};
use hull_ports::Result;
use std::collections::BTreeSet;
use std::fs;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// How long a part of a blob is kept for a pull to go on with.
const PARTIAL_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Removes writable layers of containers that are not to be kept, and everything that no record accounts for.
pub(crate) fn sweep(inner: &Inner, keep: &BTreeSet<ContainerId>) -> Result<()> {
    let run = || -> std::result::Result<(), DiskError> {
        for name in names(&inner.disk.containers())? {
            let id = ContainerId::try_from(name.clone()).ok();
            if id.as_ref().is_some_and(|id| keep.contains(id)) {
                continue;
            }
            inner.disk.take_away(&inner.disk.container(&name))?;
            if let Some(id) = id {
                inner.state().containers.remove(&id);
            }
        }
        let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        sweep_records(inner)?;
        crate::base::sweep(inner)?;
        for name in names(&inner.disk.layers())? {
            inner.layers().remove_unneeded(&name)?;
        }
        sweep_partial(inner)?;
        inner.disk.sweep_temporary()
    };
    run().map_err(|error| disk_error("sweeping the image store".to_owned(), error))
}

fn sweep_records(inner: &Inner) -> std::result::Result<(), DiskError> {
    let known = |hex: &str| Digest::parse(&format!("sha256:{hex}")).ok();
    for name in names(&inner.disk.images())? {
        let id = name.strip_suffix(".json").and_then(known);
        if !id.is_some_and(|id| inner.state().images.contains_key(&id)) {
            remove_file(&inner.disk.images().join(&name))?;
        }
    }
    for name in names(&inner.disk.blobs())? {
        if !known(&name).is_some_and(|blob| inner.state().needs_blob(&blob)) {
            remove_file(&inner.disk.blobs().join(&name))?;
        }
    }
    Ok(())
}

/// Removes parts of blobs that nobody went on with.
fn sweep_partial(inner: &Inner) -> std::result::Result<(), DiskError> {
    for name in names(&inner.disk.partial())? {
        let path = inner.disk.partial().join(&name);
        let changed = fs::symlink_metadata(&path).and_then(|meta| meta.modified());
        let old =
            changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > PARTIAL_KEPT));
        if old {
            remove_file(&path)?;
        }
    }
    Ok(())
}
