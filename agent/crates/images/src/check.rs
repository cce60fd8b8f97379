//! The proof that every file below the root is accounted for, and is what its name says. Blocks.

use crate::disk::{DiskError, disk_error, names};
use crate::snapshot::{chain, layer_files, merge, verify};
use crate::store::Inner;
use hull_model::{ContainerId, Digest};
use hull_ports::{CheckReport, Result};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::PoisonError;

/// What may be in the root besides the directories that are looked into.
const ROOT: [&str; 11] = [
    "lock",
    "references.json",
    "empty",
    "blobs",
    "layers",
    "images",
    "merged",
    "mounts",
    "containers",
    "partial",
    "tmp",
];

/// Looks at every object; removes what nobody needs if `repair`.
pub(crate) fn check(inner: &Inner, repair: bool) -> Result<CheckReport> {
    let mut checking = Checking { inner, report: CheckReport { repaired: repair, ..CheckReport::default() } };
    let run = checking.run().map_err(|error| disk_error("checking the image store".to_owned(), error));
    run.map(|()| checking.report)
}

struct Checking<'a> {
    inner: &'a Inner,
    report: CheckReport,
}

impl Checking<'_> {
    fn run(&mut self) -> std::result::Result<(), DiskError> {
        self.names()?;
        self.layers()?;
        self.images();
        Ok(())
    }

    /// Every name is accounted for. What is being written has its place in memory only when that is done.
    fn names(&mut self) -> std::result::Result<(), DiskError> {
        let _writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.each("", |_, name| ROOT.contains(&name))?;
        self.each("blobs", |_, name| name == "sha256")?;
        self.each("blobs/sha256", |inner, name| {
            digest(name).is_some_and(|blob| inner.state().needs_blob(&blob))
        })?;
        self.each("images", |inner, name| {
            let id = name.strip_suffix(".json").and_then(digest);
            id.is_some_and(|id| inner.state().images.contains_key(&id))
        })?;
        self.each("layers", |inner, name| {
            digest(name).is_some_and(|layer| inner.state().needs_layer(&layer))
        })?;
        self.each("merged", |inner, name| digest(name).is_some_and(|name| crate::base::needs(inner, &name)))?;
        self.each("containers", |inner, name| {
            ContainerId::try_from(name.to_owned()).is_ok_and(|id| inner.state().containers.contains_key(&id))
        })?;
        self.each("partial", |_, name| digest(name.split('.').next().unwrap_or(name)).is_some())?;
        self.each("tmp", |inner, name| inner.disk.is_own_scratch(name))
    }

    /// Every name in a directory of the store is accounted for, or an orphan.
    fn each(
        &mut self,
        dir: &str,
        is_known: impl Fn(&crate::store::Inner, &str) -> bool,
    ) -> std::result::Result<(), DiskError> {
        let path = self.inner.disk.root().join(dir);
        for name in names(&path)? {
            self.report.checked += 1;
            if !is_known(self.inner, &name) {
                self.orphan(&if dir.is_empty() { name } else { format!("{dir}/{name}") })?;
            }
        }
        Ok(())
    }

    fn orphan(&mut self, relative: &str) -> std::result::Result<(), DiskError> {
        let path = self.inner.disk.root().join(relative);
        self.report.orphan_bytes += bytes(&path);
        self.report.orphans.push(relative.to_owned());
        if self.report.repaired { self.inner.disk.take_away(&path) } else { Ok(()) }
    }

    fn layers(&mut self) -> std::result::Result<(), DiskError> {
        let layers: Vec<Digest> = self.inner.state().layers.keys().cloned().collect();
        for layer in layers.iter().filter(|layer| self.inner.state().needs_layer(layer)) {
            let dir = self.inner.disk.layer(layer.hex());
            if let Some(form) = self.inner.layers().facts(layer).map(|facts| facts.form) {
                self.each(&format!("layers/{}", layer.hex()), |_, name| layer_files(form).contains(&name))?;
            }
            // One that was removed meanwhile is not missing.
            if let Err(reason) = verify(&dir, layer)
                && self.inner.state().needs_layer(layer)
            {
                let users = self.users(|known| known.record.layers.contains(layer));
                self.report.damaged.push(format!("layers/{}: {reason}{users}", layer.hex()));
            }
        }
        Ok(())
    }

    /// The images that something belongs to, for people.
    fn users(&self, is_user: impl Fn(&crate::records::Known) -> bool) -> String {
        let state = self.inner.state();
        let ids: Vec<&str> =
            state.images.values().filter(|k| is_user(k)).map(|k| k.record.id.short()).collect();
        if ids.is_empty() { String::new() } else { format!(" (image {})", ids.join(", ")) }
    }

    fn images(&mut self) {
        let images: Vec<_> = self.inner.state().images.values().cloned().collect();
        for known in images {
            let record = &known.record;
            for blob in record.manifests.iter().chain([&record.id]) {
                let found = fs::read(self.inner.disk.blobs().join(blob.hex()));
                let is = found.is_ok_and(|b| Digest::from_sha256(Sha256::digest(&b).into()) == *blob);
                if !is && self.inner.state().needs_blob(blob) {
                    let text = format!("blobs/sha256/{} (image {})", blob.hex(), record.id.short());
                    self.report.damaged.push(text);
                }
            }
            let name = chain(&record.layers);
            let path = self.inner.disk.merged(name.hex());
            let Ok(there) = fs::read(&path) else { continue };
            // A layer that cannot be read was told of before.
            let made = merge(&record.layers, |layer| self.inner.disk.layer(layer.hex()));
            if made.is_ok_and(|made| made != there) {
                let text = format!("merged/{} (image {})", name.hex(), record.id.short());
                self.report.damaged.push(text);
                if self.report.repaired && self.inner.mounts.find(name.hex()).is_none() {
                    // It is made anew when it is needed.
                    let _ = fs::remove_file(&path);
                }
            }
        }
    }
}

fn digest(hex: &str) -> Option<Digest> {
    Digest::parse(&format!("sha256:{hex}")).ok()
}

/// Bytes that a file or a tree takes on the disk. Does not follow links; what vanishes meanwhile takes none.
fn bytes(path: &Path) -> u64 {
    let mut sum = 0;
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        sum += meta.blocks() * 512;
        if meta.is_dir() {
            open.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    sum
}
