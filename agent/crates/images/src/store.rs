//! The image store: the door, and what happens behind it to images that are here.

use crate::disk::{Disk, DiskError, Scratch, names, remove_file};
use crate::layer::{FREE_SPACE, Flights, Flush};
use crate::platform::Platform;
use crate::pull::{json, pull};
use crate::records::State;
use crate::registry::Timeouts;
use crate::snapshot::LAYER_TREE;
use async_trait::async_trait;
use hull_model::{ContainerId, Digest, Image, Reference, Registry};
use hull_ports::{Error, Images, Progress, Removed, Result, Rootfs};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// What may differ between hosts and tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Certificate authorities in PEM, read anew for each pull.
    pub ca_bundle: PathBuf,
    /// How long is waited for a connection to a registry.
    pub connect_timeout: Duration,
    /// How long is waited for the next byte from a registry.
    pub stall_timeout: Duration,
    /// Which images run here.
    pub platform: Platform,
    /// Layers that are fetched and unpacked at a time, over all pulls.
    pub parallel_layers: usize,
}

impl Default for Options {
    /// The host's own authorities and platform; ten and thirty seconds; two layers on one processor, at most four.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            ca_bundle: "/etc/ssl/certs/ca-certificates.crt".into(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            platform: Platform::host(),
            parallel_layers: (processors * 2).clamp(2, 4),
        }
    }
}

impl Options {
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, stall: self.stall_timeout }
    }
}

/// The image store of one host. Cheap to clone; only one may be open on a directory.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) disk: Disk,
    pub(crate) options: Options,
    state: Mutex<State>,
    /// Held while records are changed, so that disk and memory agree.
    pub(crate) writer: Mutex<()>,
    pub(crate) flights: Flights,
    pub(crate) slots: Semaphore,
    pub(crate) flush: Flush,
}

impl Inner {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens the store in `root`, which is made if it is not there and closed to everybody but root. What interrupted work
    /// left is ignored until [`Images::sweep`].
    ///
    /// # Errors
    /// `Conflict` if another store is open there; `Retryable` if the directory cannot be used.
    pub fn open(root: PathBuf, options: Options) -> Result<Self> {
        // Already installed by somebody else is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let message = format!("opening the image store {}", root.display());
        let disk = Disk::open(root).map_err(|error| match error.source.raw_os_error() {
            Some(nix::libc::EWOULDBLOCK) => {
                Error::conflict(message.clone()).remedy("end the other agent that uses it").because(error)
            }
            _ => disk_error(message.clone(), error),
        })?;
        let state = State::load(&disk).map_err(|error| disk_error(message, error))?;
        let inner = Inner {
            disk,
            slots: Semaphore::new(options.parallel_layers.max(1)),
            options,
            state: Mutex::new(state),
            writer: Mutex::default(),
            flights: Flights::default(),
            flush: Flush::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        spawn_blocking(move || work(&inner)).await.unwrap_or_else(|error| {
            Err(Error::retryable("the image store's work was cut short").because(error))
        })
    }
}

#[async_trait]
impl Images for Store {
    async fn list(&self) -> Result<Vec<Image>> {
        Ok(self.inner.state().list())
    }

    async fn pull(
        &self,
        reference: &Reference,
        registries: &BTreeMap<String, Registry>,
        progress: &dyn Progress,
    ) -> Result<Image> {
        pull(&self.inner, reference, registries, progress).await.map_err(|error| error.at_door(reference))
    }

    async fn image(&self, id: &Digest) -> Result<Option<Image>> {
        Ok(self.inner.state().image(id))
    }

    async fn lookup(&self, reference: &Reference) -> Result<Option<Image>> {
        Ok(self.inner.state().list().into_iter().find(|i| i.references.contains(reference)))
    }

    async fn remove(&self, image: &Digest) -> Result<Removed> {
        let image = image.clone();
        self.blocking(move |inner| remove(inner, &image)).await?;
        Ok(Removed::default())
    }

    async fn prepare(&self, container: &ContainerId, image: &Digest) -> Result<Rootfs> {
        let (container, image) = (container.clone(), image.clone());
        self.blocking(move |inner| prepare(inner, &container, &image)).await
    }

    async fn discard(&self, container: &ContainerId) -> Result<()> {
        let container = container.clone();
        self.blocking(move |inner| discard(inner, &container)).await
    }

    async fn sweep(&self, containers: &[ContainerId]) -> Result<()> {
        let keep: BTreeSet<ContainerId> = containers.iter().cloned().collect();
        self.blocking(move |inner| sweep(inner, &keep)).await
    }
}

fn disk_error(message: String, error: DiskError) -> Error {
    let remedy = if error.is_full() { FREE_SPACE } else { "check the disk that holds the image store" };
    Error::retryable(message).remedy(remedy).because(error)
}

fn remove(inner: &Inner, id: &Digest) -> Result<()> {
    let message = || format!("removing image {}", id.short());
    let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
    let record = {
        let mut state = inner.state();
        if let Some((container, _)) = state.containers.iter().find(|(_, image)| *image == id) {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {}: image is being used by container {}",
                id.short(),
                container.short()
            ))
            .remedy("remove the container first"));
        }
        // From here on, nothing can be prepared on it.
        match state.images.remove(id) {
            Some(record) => record,
            None => return Ok(()),
        }
    };
    // The record's end is the image's end: names of images that are not there mean nothing.
    if let Err(error) = remove_file(&inner.disk.image(id.hex())) {
        inner.state().images.insert(id.clone(), record);
        return Err(disk_error(message(), error));
    }
    let names = {
        let mut state = inner.state();
        state.references.retain(|_, to| to != id);
        state.references.clone()
    };
    let rest = || -> std::result::Result<(), DiskError> {
        inner.disk.write(&inner.disk.references(), &json(&names))?;
        for blob in [&record.id, &record.manifest] {
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
        record.layers.iter().try_for_each(|layer| remove_layer(inner, layer.hex()))
    };
    rest().map_err(|error| disk_error(message(), error))
}

/// Removes a layer unless something needs it.
fn remove_layer(inner: &Inner, hex: &str) -> std::result::Result<(), DiskError> {
    // Held over the rename: a pull that begins now either pins the layer before, or does not see it.
    let state = inner.state();
    if Digest::parse(&format!("sha256:{hex}")).is_ok_and(|digest| state.needs_layer(&digest)) {
        return Ok(());
    }
    inner.disk.take_away(&inner.disk.layer(hex))
}

fn prepare(inner: &Inner, container: &ContainerId, image: &Digest) -> Result<Rootfs> {
    let message = || format!("preparing the root file system of container {}", container.short());
    let (layers, known) = {
        let mut state = inner.state();
        let Some(record) = state.images.get(image) else {
            return Err(Error::not_found(format!("No such image: {image}")).remedy("pull the image"));
        };
        let layers = record.layers.clone();
        match state.containers.get(container) {
            Some(other) if other != image => {
                return Err(Error::conflict(message())
                    .remedy("discard the container's old root file system first")
                    .because(format!("it was made on image {}", other.short())));
            }
            known => {
                let known = known.is_some();
                // Before anything is made: from here on, the image cannot be removed.
                state.containers.insert(container.clone(), image.clone());
                (layers, known)
            }
        }
    };
    let made = lower(inner, &layers)
        .and_then(|lower| writable(inner, container, image, &lower[0]).map(|dir| (lower, dir)));
    match made {
        Ok((lower, dir)) => Ok(Rootfs { lower, upper: dir.join("upper"), work: dir.join("work") }),
        Err(error) => {
            if !known {
                inner.state().containers.remove(container);
            }
            Err(disk_error(message(), error))
        }
    }
}

/// Directories of the layers, topmost first, each once: overlayfs refuses one that comes twice, and of two equal layers the
/// lower one adds nothing.
fn lower(inner: &Inner, layers: &[Digest]) -> std::result::Result<Vec<PathBuf>, DiskError> {
    let mut seen = BTreeSet::new();
    let unique = layers.iter().rev().filter(|layer| seen.insert(*layer));
    let mut lower: Vec<PathBuf> =
        unique.map(|layer| inner.disk.layer(layer.hex()).join(LAYER_TREE)).collect();
    if lower.is_empty() {
        let empty = inner.disk.root().join("empty");
        match DirBuilder::new().mode(0o755).create(&empty) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::new("making", &empty)(error));
            }
            _ => lower.push(empty),
        }
    }
    Ok(lower)
}

/// Makes the writable layer, or finds it. Nothing is flushed: after a power cut it is there whole or not at all, because
/// only names were made and file systems keep their order; then it is made again.
fn writable(
    inner: &Inner,
    container: &ContainerId,
    image: &Digest,
    top: &Path,
) -> std::result::Result<PathBuf, DiskError> {
    let target = inner.disk.container(container.as_str());
    if target.join("image").is_symlink() {
        return Ok(target);
    }
    let scratch = inner.disk.scratch()?;
    let make = || -> io::Result<()> {
        let upper = scratch.path().join("upper");
        // The root directory of an overlay is that of its writable layer.
        let root = fs::metadata(top)?;
        DirBuilder::new().mode(0o755).create(&upper)?;
        chown(&upper, Some(root.uid()), Some(root.gid()))?;
        fs::set_permissions(&upper, fs::Permissions::from_mode(root.mode() & 0o7777))?;
        DirBuilder::new().mode(0o700).create(scratch.path().join("work"))?;
        symlink(image.to_string(), scratch.path().join("image"))
    };
    make().map_err(DiskError::new("making", &target))?;
    place_container(inner, &scratch, &target)?;
    Ok(target)
}

fn place_container(inner: &Inner, scratch: &Scratch, target: &Path) -> std::result::Result<(), DiskError> {
    match fs::rename(scratch.path(), target) {
        // Something without a link to its image is not ours, or was damaged.
        Err(error)
            if error.raw_os_error() == Some(nix::libc::ENOTEMPTY) && !target.join("image").is_symlink() =>
        {
            inner.disk.take_away(target)?;
            fs::rename(scratch.path(), target).map_err(DiskError::new("making", target))
        }
        result => result.map_err(DiskError::new("making", target)),
    }
}

fn discard(inner: &Inner, container: &ContainerId) -> Result<()> {
    let message = || format!("removing the root file system of container {}", container.short());
    let path = inner.disk.container(container.as_str());
    inner.disk.take_away(&path).map_err(|error| disk_error(message(), error))?;
    inner.state().containers.remove(container);
    Ok(())
}

fn sweep(inner: &Inner, keep: &BTreeSet<ContainerId>) -> Result<()> {
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
        for name in names(&inner.disk.layers())? {
            remove_layer(inner, &name)?;
        }
        inner.disk.sweep_temporary()
    };
    run().map_err(|error| disk_error("sweeping the image store".to_owned(), error))
}
