//! Getting one layer: fetched, verified, unpacked and durable, once however many ask.

use crate::disk::{DiskError, sync_file_system};
use crate::manifest::Descriptor;
use crate::records::Distributed;
use crate::registry::{BlobStream, Client, RegistryError};
use crate::snapshot::{Compression, Feed, Form, UnpackError, Unpacked, feed};
use crate::store::Inner;
use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use hull_model::Digest;
use hull_ports::ErrorClass;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::task::AbortOnDropHandle;

/// Why a layer could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    /// It did not come, or not as declared.
    #[error("fetching it")]
    Registry(#[from] RegistryError),
    /// It came and could not be unpacked.
    #[error("unpacking it")]
    Unpack(#[from] UnpackError),
    /// It came and is not the layer that the configuration means.
    #[error("digest mismatch: its uncompressed content is {actual}")]
    DiffId {
        /// What it is.
        actual: Digest,
    },
    /// It could not be stored.
    #[error("storing it")]
    Disk(#[from] DiskError),
    /// The task ended without a result.
    #[error("the work was cut short")]
    Cut,
}

impl LayerError {
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            Self::Registry(error) => error.class(),
            Self::Unpack(error) if error.is_content() => ErrorClass::Permanent,
            Self::DiffId { .. } => ErrorClass::Permanent,
            Self::Unpack(_) | Self::Disk(_) | Self::Cut => ErrorClass::Retryable,
        }
    }

    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Registry(error) => error.remedy(),
            Self::Unpack(error) if error.is_disk_full() => FREE_SPACE.into(),
            Self::Disk(error) if error.is_full() => FREE_SPACE.into(),
            Self::Unpack(error) if error.is_content() => "the image must be built again without this".into(),
            Self::DiffId { .. } => "the image contradicts itself: build and push it again".into(),
            Self::Unpack(_) | Self::Disk(_) => "check the disk that holds the image store".into(),
            Self::Cut => "it is tried again".into(),
        }
    }
}

/// What helps against a full disk.
pub(crate) const FREE_SPACE: &str =
    "the disk of the image store is full: remove images that are not used, or use a larger disk";

/// What is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) descriptor: Descriptor,
    pub(crate) compression: Compression,
    pub(crate) diff_id: Digest,
    /// The endpoint that had the manifest.
    pub(crate) endpoint: usize,
    /// Where it is from, as `registry/repository`.
    pub(crate) repository: String,
}

impl Wanted {
    /// What its registry has, for whoever pushes it again.
    pub(crate) fn distributed(&self) -> Distributed {
        Distributed {
            digest: self.descriptor.digest.clone(),
            size: self.descriptor.size,
            media_type: self.descriptor.media_type.clone(),
            repositories: [self.repository.clone()].into(),
        }
    }
}

type Outcome = Result<(), Arc<LayerError>>;

/// One layer under way. Ends when nobody waits for it any more.
#[derive(Clone)]
pub(crate) struct Flight {
    outcome: Shared<BoxFuture<'static, Outcome>>,
    done: Arc<AtomicU64>,
}

impl Flight {
    /// Bytes fetched so far.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(crate) async fn outcome(&self) -> Outcome {
        self.outcome.clone().await
    }
}

/// A flight that may have ended.
struct Known {
    outcome: WeakShared<BoxFuture<'static, Outcome>>,
    done: Arc<AtomicU64>,
}

/// Layers under way, by the digest of their uncompressed archive.
#[derive(Default)]
pub(crate) struct Flights {
    known: Mutex<HashMap<Digest, Known>>,
}

impl Flights {
    /// Joins the work on a layer, or begins it. Says whether it was begun.
    pub(crate) fn join(&self, inner: &Arc<Inner>, client: &Arc<Client>, wanted: &Wanted) -> (Flight, bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, flight| flight.outcome.upgrade().is_some_and(|outcome| outcome.peek().is_none()));
        if let Some(flight) = known.get(&wanted.diff_id)
            && let Some(outcome) = flight.outcome.upgrade()
        {
            return (Flight { outcome, done: Arc::clone(&flight.done) }, false);
        }
        let done = Arc::new(AtomicU64::new(0));
        let work = fetch(Arc::clone(inner), Arc::clone(client), wanted.clone(), Arc::clone(&done));
        let task = AbortOnDropHandle::new(tokio::spawn(work));
        let outcome = async move {
            match task.await {
                Ok(outcome) => outcome.map_err(Arc::new),
                Err(_) => Err(Arc::new(LayerError::Cut)),
            }
        };
        let outcome = outcome.boxed().shared();
        if let Some(weak) = outcome.downgrade() {
            known.insert(wanted.diff_id.clone(), Known { outcome: weak, done: Arc::clone(&done) });
        }
        (Flight { outcome, done }, true)
    }
}

async fn fetch(
    inner: Arc<Inner>,
    client: Arc<Client>,
    wanted: Wanted,
    done: Arc<AtomicU64>,
) -> Result<(), LayerError> {
    let _slot = inner.slots.acquire().await.map_err(|_| LayerError::Cut)?;
    let mut endpoint = wanted.endpoint;
    loop {
        if inner.layers().has(&wanted.diff_id) {
            return Ok(());
        }
        done.store(0, Ordering::Relaxed);
        match attempt(&inner, &client, &wanted, endpoint, &done).await {
            // What an earlier transfer left was not the beginning of it, and is gone.
            Err((LayerError::Registry(RegistryError::Digest { .. }), used))
                if client.was_resumed(&wanted.descriptor.digest) =>
            {
                endpoint = used;
            }
            // A mirror that changes content: another one may not.
            Err((
                LayerError::Registry(error @ (RegistryError::Digest { .. } | RegistryError::Size { .. })),
                used,
            )) if used + 1 < client.endpoints() => {
                tracing::debug!(host = client.host(used), %error, "mirror passed over");
                endpoint = used + 1;
            }
            result => return result.map_err(|(error, _)| error),
        }
    }
}

/// The scratch directory that holds an unpacked layer, and what is in it.
type Made = (crate::disk::Scratch, Unpacked);

/// Fetches from one endpoint on. An error comes with the endpoint that it is about.
async fn attempt(
    inner: &Arc<Inner>,
    client: &Client,
    wanted: &Wanted,
    endpoint: usize,
    done: &AtomicU64,
) -> Result<(), (LayerError, usize)> {
    let (feed, unpack) = feed(wanted.compression, inner.form);
    let owned = Arc::clone(inner);
    let mut work = spawn_blocking(move || -> Result<Made, LayerError> {
        let scratch = owned.disk.scratch()?;
        let unpacked = unpack(scratch.path())?;
        Ok((scratch, unpacked))
    });
    let mut stream = client.blob(&wanted.descriptor, endpoint);
    let transferred = transfer(&mut stream, feed, &mut work, wanted, client, done).await;
    let used = stream.endpoint();
    let made = match transferred {
        Ok(Some(failure)) => Err(failure),
        Ok(None) => finish(&mut work).await,
        Err(error) => {
            // When this returns, nothing more is made of a failed layer.
            if !work.is_finished() {
                drop(finish(&mut work).await);
            }
            Err(error)
        }
    };
    match made {
        Ok(made) => keep(inner, made, wanted).await.map_err(|error| (error, used)),
        Err(error) => Err((error, used)),
    }
}

async fn finish(work: &mut JoinHandle<Result<Made, LayerError>>) -> Result<Made, LayerError> {
    work.await.unwrap_or(Err(LayerError::Cut))
}

/// Moves the blob through the pipeline and verifies it. Some failure: the archive is broken although the blob is what it
/// should be. A broken archive is hashed to its end, for if the digest is wrong too, that is what happened.
async fn transfer(
    stream: &mut BlobStream<'_>,
    feed: Feed,
    work: &mut JoinHandle<Result<Made, LayerError>>,
    wanted: &Wanted,
    client: &Client,
    done: &AtomicU64,
) -> Result<Option<LayerError>, LayerError> {
    let mut hash = Sha256::new();
    let mut feed = Some(feed);
    let mut broken = None;
    while let Some(bytes) = stream.next().await? {
        hash.update(&bytes);
        done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if let Some(open) = &feed
            && !open.data(bytes).await
        {
            feed = None;
            match finish(work).await {
                Err(LayerError::Unpack(error)) if error.is_content() => broken = Some(error.into()),
                // It is this host that failed: there is no use in the rest.
                Err(error) => return Err(error),
                Ok(_) => return Err(LayerError::Cut),
            }
        }
    }
    let actual = Digest::from_sha256(hash.finalize().into());
    if actual != wanted.descriptor.digest {
        return Err(LayerError::Registry(RegistryError::Digest {
            host: client.host(stream.endpoint()).to_owned(),
            what: format!("layer {}", wanted.descriptor.digest),
            actual: actual.to_string(),
        }));
    }
    if let Some(feed) = feed {
        feed.end().await;
    }
    Ok(broken)
}

/// Verifies the uncompressed content and moves the layer to its place, durably.
async fn keep(inner: &Arc<Inner>, (scratch, unpacked): Made, wanted: &Wanted) -> Result<(), LayerError> {
    if unpacked.diff_id != wanted.diff_id {
        return Err(LayerError::DiffId { actual: unpacked.diff_id });
    }
    inner.layers().describe(&scratch, &unpacked, &[wanted.distributed()])?;
    if inner.form == Form::Directory {
        // Its files are too many to be flushed one by one.
        let root = inner.disk.root().to_owned();
        inner.flush.run(move || sync_file_system(&root)).await?;
    }
    let (inner, diff_id) = (Arc::clone(inner), unpacked.diff_id);
    let placed = spawn_blocking(move || {
        if inner.form == Form::Erofs {
            inner.layers().flush(scratch.path())?;
        }
        inner.layers().place(&scratch, &diff_id)
    });
    placed.await.map_err(|_| LayerError::Cut)?.map_err(LayerError::from)
}

/// One flush for all who asked before it began.
#[derive(Default)]
pub(crate) struct Flush {
    /// Number of the last flush that began.
    begun: AtomicU64,
    /// Number of the last flush that succeeded.
    succeeded: AtomicU64,
    running: tokio::sync::Mutex<()>,
}

impl Flush {
    /// Returns when a flush that began after this call has succeeded.
    pub(crate) async fn run(
        &self,
        flush: impl FnOnce() -> Result<(), DiskError> + Send + 'static,
    ) -> Result<(), LayerError> {
        let before = self.begun.load(Ordering::SeqCst);
        let _running = self.running.lock().await;
        if self.succeeded.load(Ordering::SeqCst) > before {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        spawn_blocking(flush).await.map_err(|_| LayerError::Cut)??;
        self.succeeded.store(number, Ordering::SeqCst);
        Ok(())
    }
}
