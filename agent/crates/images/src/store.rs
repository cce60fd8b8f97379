//! The image store: the door, and what happens behind it to images that are here.

use crate::disk::{Disk, disk_error};
use crate::distribution::{DistributionError, distribution};
use crate::layer::{Flights, Flush, LayerError};
use crate::platform::Platform;
use crate::pull::pull;
use crate::push::push;
use crate::records::State;
use crate::registry::{Client, RegistryError, Timeouts};
use crate::snapshot::{Form, Mounts, Snapshot, can_mount};
use crate::{bundle, check, images, registry, rootfs, sweep};
use async_trait::async_trait;
use hull_model::{ContainerId, Digest, HistoryEntry, Image, Reference, Registry};
use hull_ports::{
    ByteStream, CheckReport, Credentials, Distribution, Error, Images, LoadEvent, Login, NewImage, Progress,
    PullOptions, Pulled, Pushed, Removed, Result, Rootfs, SearchHit, StoredLayer, Usage,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
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
    /// How images are made into root file systems.
    pub snapshot: Snapshot,
    /// Where images are mounted; in the store's directory if none.
    pub mounts: Option<PathBuf>,
    /// What time it is.
    pub now: fn() -> Timestamp,
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
            snapshot: Snapshot::Auto,
            mounts: None,
            now: Timestamp::now,
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
    pub(crate) form: Form,
    pub(crate) mounts: Mounts,
    /// Held while an image is mounted, so that it is mounted once.
    pub(crate) merging: Mutex<()>,
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
        let failed = |error| disk_error(message.clone(), error);
        let state = State::load(&disk).map_err(failed)?;
        let form = choose(&disk, options.snapshot)?;
        let mounts = options.mounts.clone().unwrap_or_else(|| disk.root().join("mounts"));
        let mounts = Mounts::open(mounts).map_err(failed)?;
        let inner = Inner {
            disk,
            slots: Semaphore::new(options.parallel_layers.max(1)),
            options,
            form,
            mounts,
            merging: Mutex::default(),
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
        work: impl FnOnce(&Arc<Inner>) -> Result<T> + Send + 'static,
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
        let options = PullOptions { registries: registries.clone(), ..PullOptions::default() };
        Ok(self.pull_as(reference, &options, progress).await?.image)
    }

    async fn pull_as(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        pull(&self.inner, reference, options, progress).await.map_err(|error| error.at_door(reference))
    }

    async fn tags(&self, repository: &Reference, options: &PullOptions) -> Result<Vec<String>> {
        let (ca_bundle, timeouts) = (&self.inner.options.ca_bundle, self.inner.options.timeouts());
        let client = Client::new(repository, options, ca_bundle, timeouts);
        client.tags().await.map_err(RegistryError::at_door)
    }

    async fn push(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        push(&self.inner, reference, options, progress).await.map_err(|error| error.at_door(reference))
    }

    async fn distribution(&self, reference: &Reference, options: &PullOptions) -> Result<Distribution> {
        distribution(&self.inner, reference, options).await.map_err(DistributionError::at_door)
    }

    async fn login(&self, credentials: &Credentials, options: &PullOptions) -> Result<Login> {
        let (ca_bundle, timeouts) = (&self.inner.options.ca_bundle, self.inner.options.timeouts());
        registry::login(credentials, options, ca_bundle, timeouts).await.map_err(RegistryError::at_door)
    }

    async fn search(&self, term: &str, limit: u32, options: &PullOptions) -> Result<Vec<SearchHit>> {
        let (ca_bundle, timeouts) = (&self.inner.options.ca_bundle, self.inner.options.timeouts());
        registry::search(term, limit, options, ca_bundle, timeouts).await
    }

    async fn image(&self, id: &Digest) -> Result<Option<Image>> {
        Ok(self.inner.state().image(id))
    }

    async fn lookup(&self, reference: &Reference) -> Result<Option<Image>> {
        let state = self.inner.state();
        Ok(state.lookup(reference).and_then(|id| state.image(id)))
    }

    async fn config(&self, id: &Digest) -> Result<Vec<u8>> {
        let id = id.clone();
        self.blocking(move |inner| images::config(inner, &id)).await
    }

    async fn history(&self, id: &Digest) -> Result<Vec<(HistoryEntry, u64)>> {
        images::history(&self.inner, id)
    }

    async fn tag(&self, image: &Digest, reference: &Reference) -> Result<()> {
        let (image, reference) = (image.clone(), reference.clone());
        self.blocking(move |inner| images::tag(inner, &image, &reference)).await
    }

    async fn untag(&self, reference: &Reference) -> Result<()> {
        let reference = reference.clone();
        self.blocking(move |inner| images::untag(inner, &reference)).await
    }

    async fn remove(&self, image: &Digest) -> Result<Removed> {
        let image = image.clone();
        self.blocking(move |inner| images::remove(inner, &image)).await
    }

    async fn store_layer(&self, archive: ByteStream) -> Result<StoredLayer> {
        let reader = tokio_util::io::StreamReader::new(archive);
        let reader = tokio_util::io::SyncIoBridge::new(reader);
        self.blocking(move |inner| {
            inner.layers().store(reader, None).map_err(|error: LayerError| {
                Error::new(error.class(), "storing a layer").remedy(error.remedy()).because(error)
            })
        })
        .await
    }

    async fn add(&self, image: &NewImage) -> Result<Image> {
        let image = image.clone();
        self.blocking(move |inner| images::add(inner, &image)).await
    }

    async fn save(&self, images: &[(Digest, Vec<Reference>)]) -> Result<ByteStream> {
        bundle::save(&self.inner, images).await
    }

    async fn load(
        &self,
        archive: ByteStream,
        platform: Option<&str>,
        told: &(dyn Fn(LoadEvent) + Send + Sync),
    ) -> Result<()> {
        bundle::load(&self.inner, archive, platform, told).await
    }

    async fn usage(&self) -> Result<Usage> {
        Ok(images::usage(&self.inner))
    }

    async fn check(&self, repair: bool) -> Result<CheckReport> {
        self.blocking(move |inner| check::check(inner, repair)).await
    }

    async fn prepare(&self, container: &ContainerId, image: &Digest) -> Result<Rootfs> {
        let (container, image) = (container.clone(), image.clone());
        self.blocking(move |inner| rootfs::prepare(inner, &container, &image)).await
    }

    async fn discard(&self, container: &ContainerId) -> Result<()> {
        let container = container.clone();
        self.blocking(move |inner| rootfs::discard(inner, &container)).await
    }

    async fn release(&self) -> Result<()> {
        self.blocking(|inner| {
            let failed = |error| disk_error("unmounting images".to_owned(), error);
            inner
                .mounts
                .names()
                .map_err(failed)?
                .iter()
                .try_for_each(|name| inner.mounts.unmount(name).map_err(failed))
        })
        .await
    }

    async fn sweep(&self, containers: &[ContainerId]) -> Result<()> {
        let keep: BTreeSet<ContainerId> = containers.iter().cloned().collect();
        self.blocking(move |inner| sweep::sweep(inner, &keep)).await
    }
}

/// Which form layers get here.
fn choose(disk: &Disk, wanted: Snapshot) -> Result<Form> {
    let message = || format!("mounting EROFS from {}", disk.root().display());
    if wanted == Snapshot::Directory {
        return Ok(Form::Directory);
    }
    let scratch = disk.scratch().map_err(|error| disk_error(message(), error))?;
    match can_mount(scratch.path()) {
        Ok(()) => Ok(Form::Erofs),
        Err(error) if wanted == Snapshot::Auto => {
            tracing::info!(%error, "layers are unpacked: the kernel does not mount EROFS from files here");
            Ok(Form::Directory)
        }
        Err(error) => {
            let remedy = "use a kernel with CONFIG_EROFS_FS_BACKED_BY_FILE, or let layers be unpacked";
            Err(Error::permanent(message()).remedy(remedy).because(error))
        }
    }
}
