//! Pushing: what the registry lacks of the layers, the configuration, and at last the manifest that makes it an image there.

use crate::compressed;
use crate::disk::{DiskError, disk_error};
use crate::manifest::{self, Descriptor, Document, Manifest, written};
use crate::records::{Distributed, ImageRecord};
use crate::registry::{Client, Mounting, RegistryError, Sent};
use crate::store::Inner;
use bytes::Bytes;
use futures_util::future::try_join_all;
use hull_model::{Digest, Reference};
use hull_ports::{Error, LayerStatus, Progress, PullOptions, Pushed};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);
/// How many forms of a layer, known from other registries, are looked for before it is sent.
const MAX_GUESSES: usize = 3;

/// Why an image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    /// The registry did not take it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It could not be read, or the outcome not be written down.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The reference names nothing here.
    #[error("An image does not exist locally with the tag: {0}")]
    NoImage(String),
    /// A digest is what comes out of a push, not what goes in.
    #[error("cannot push a digest reference")]
    Digest,
    /// The task ended without a result.
    #[error("the work was cut short")]
    Cut,
}

impl PushError {
    pub(crate) fn at_door(self, reference: &Reference) -> Error {
        match self {
            Self::Registry(RegistryError::NoCredentials { host, .. }) => {
                Error::permanent("no basic auth credentials").remedy(format!("log in to {host}"))
            }
            Self::Registry(error) => error.at_door(),
            Self::Disk(error) => disk_error(format!("pushing image {}", reference.familiar()), error),
            Self::NoImage(_) => Error::not_found(self.to_string()),
            Self::Digest => Error::permanent(self.to_string()),
            Self::Cut => Error::retryable(format!("pushing image {}", reference.familiar())).because(self),
        }
    }
}

/// One push under way.
struct Push<'a> {
    inner: &'a Arc<Inner>,
    client: Client,
    reference: &'a Reference,
    progress: &'a dyn Progress,
    /// Blobs of the manifest that the image came by, by the layers they are forms of.
    original: BTreeMap<Digest, Descriptor>,
    slots: Semaphore,
}

/// Pushes the image that a reference names.
pub(crate) async fn push(
    inner: &Arc<Inner>,
    reference: &Reference,
    options: &PullOptions,
    progress: &dyn Progress,
) -> Result<Pushed, PushError> {
    if reference.digest.is_some() {
        return Err(PushError::Digest);
    }
    let (record, _pins) = find(inner, reference)?;
    let (config, original) = documents(inner, &record).await?;
    let blobs = original.as_ref().map(|(_, manifest)| manifest.layers.iter().map(|(d, _)| d.clone()));
    let push = Push {
        inner,
        client: Client::for_push(reference, options, &inner.options.ca_bundle, inner.options.timeouts()),
        reference,
        progress,
        original: record.layers.iter().cloned().zip(blobs.into_iter().flatten()).collect(),
        slots: Semaphore::new(inner.options.parallel_layers.max(1)),
    };
    let sent = push.layers(&record.layers).await?;
    push.client.send_small(config.clone()).await?;
    let (media_type, bytes) = manifest(&record, &config, original, &sent);
    let tag = reference.tag.as_deref().unwrap_or("latest");
    push.client.send_manifest(tag, media_type, bytes.clone()).await?;
    let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
    let pushed = Pushed { digest: digest.clone(), size: bytes.len() as u64 };
    let repo_digest = Reference { tag: None, digest: Some(digest.clone()), ..reference.clone() };
    let inner = Arc::clone(inner);
    let write = move || inner.add_repo_digest(&record.id, repo_digest, (digest, bytes));
    spawn_blocking(write).await.map_err(|_| PushError::Cut)??;
    Ok(pushed)
}

/// The image that a reference names, its layers pinned.
fn find(inner: &Arc<Inner>, reference: &Reference) -> Result<(ImageRecord, crate::layers::Pins), PushError> {
    let missing = || PushError::NoImage(reference.familiar_name());
    let record = {
        let state = inner.state();
        let id = state.references.get(reference).ok_or_else(missing)?;
        state.images.get(id).ok_or_else(missing)?.record.clone()
    };
    let pins = inner.pin(&record.layers);
    Ok((record, pins))
}

type Original = (Bytes, Manifest);

/// The configuration, and the manifest that the image came by if it came by one.
async fn documents(inner: &Arc<Inner>, record: &ImageRecord) -> Result<(Bytes, Option<Original>), PushError> {
    let (inner, record) = (Arc::clone(inner), record.clone());
    let read = move || -> Result<_, PushError> {
        let config = inner.blob(&record.id)?;
        let bytes = record.manifest.as_ref().and_then(|digest| inner.blob(digest).ok());
        let original = bytes.and_then(|bytes| match manifest::parse_kept(&bytes) {
            Ok((_, Document::Manifest(manifest)))
                if manifest.config.digest == record.id && manifest.layers.len() == record.layers.len() =>
            {
                Some((bytes, manifest))
            }
            _ => None,
        });
        Ok((config, original))
    };
    spawn_blocking(read).await.map_err(|_| PushError::Cut)?
}

/// The manifest to send: the one that the image came by if the registry has all it names, or else one of our own.
fn manifest(
    record: &ImageRecord,
    config: &Bytes,
    original: Option<Original>,
    sent: &BTreeMap<Digest, Descriptor>,
) -> (&'static str, Bytes) {
    let layers: Vec<Descriptor> = record.layers.iter().filter_map(|layer| sent.get(layer).cloned()).collect();
    if let Some((bytes, manifest)) = original
        && manifest.layers.iter().map(|(blob, _)| &blob.digest).eq(layers.iter().map(|blob| &blob.digest))
        && let Ok((media_type, _)) = manifest::parse_kept(&bytes)
    {
        return (media_type, bytes);
    }
    written(&record.id, config.len() as u64, &layers)
}

impl Push<'_> {
    /// Sees to it that the repository has every layer. Says in which form.
    async fn layers(&self, layers: &[Digest]) -> Result<BTreeMap<Digest, Descriptor>, PushError> {
        let mut seen = BTreeSet::new();
        // The topmost first, as it is shown.
        let unique: Vec<&Digest> = layers.iter().rev().filter(|layer| seen.insert(*layer)).collect();
        for layer in &unique {
            self.progress.layer(layer.short(), LayerStatus::Preparing);
        }
        for layer in unique.iter().skip(self.slots.available_permits()) {
            self.progress.layer(layer.short(), LayerStatus::Waiting);
        }
        let all = unique.into_iter().map(async |layer| {
            let _slot = self.slots.acquire().await.map_err(|_| PushError::Cut)?;
            self.layer(layer).await.map(|blob| (layer.clone(), blob))
        });
        Ok(try_join_all(all).await?.into_iter().collect())
    }

    async fn layer(&self, layer: &Digest) -> Result<Descriptor, PushError> {
        let (blob, status, new) = self.offer(layer).await?;
        self.progress.layer(layer.short(), status);
        let known = Distributed {
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: blob.media_type.clone(),
            repositories: [self.repository()].into(),
        };
        tracing::debug!(%layer, blob = %blob.digest, new, "the registry has a layer");
        let (inner, layer) = (Arc::clone(self.inner), layer.clone());
        let remember = move || inner.layers().remember(&layer, &known);
        spawn_blocking(remember).await.map_err(|_| PushError::Cut)??;
        Ok(blob)
    }

    /// Finds a form of the layer that the registry has, or sends one.
    async fn offer(&self, layer: &Digest) -> Result<(Descriptor, LayerStatus, bool), PushError> {
        let mut upload = None;
        let mut guesses = 0;
        for blob in self.known_forms(layer) {
            let there = blob.repositories.contains(&self.repository());
            let elsewhere = self.same_registry(&blob);
            if !there && elsewhere.is_none() {
                guesses += 1;
                if guesses > MAX_GUESSES {
                    continue;
                }
            }
            if self.client.blob_size(&blob.digest).await?.is_some() {
                return Ok((descriptor(&blob), LayerStatus::Exists, false));
            }
            if let Some(from) = elsewhere.filter(|_| upload.is_none()) {
                match self.client.mount(&blob.digest, &from).await {
                    Ok(Mounting::Done) => {
                        return Ok((descriptor(&blob), LayerStatus::Mounted { from }, false));
                    }
                    Ok(Mounting::Upload(url)) => upload = Some(url),
                    // Somebody may push here and not read there.
                    Err(RegistryError::Denied { .. } | RegistryError::Refused { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let sent = self.send(layer, upload).await?;
        let media_type = manifest::DOCKER_GZIP_LAYER.to_owned();
        let blob = Descriptor { media_type, digest: sent.digest, size: sent.size, platform: None };
        Ok((blob, LayerStatus::Pushed, true))
    }

    /// Forms in which registries have a layer, those most likely to be there first.
    fn known_forms(&self, layer: &Digest) -> Vec<Distributed> {
        let mut forms = self.inner.layers().facts(layer).map(|facts| facts.blobs).unwrap_or_default();
        forms.reverse();
        let original = self.original.get(layer).map(|blob| &blob.digest);
        let (here, other) = (self.repository(), |form: &Distributed| self.same_registry(form).is_some());
        forms.sort_by_key(|form| {
            (Some(&form.digest) != original, !form.repositories.contains(&here), !other(form))
        });
        forms
    }

    /// Another repository of this registry that has a form of a layer.
    fn same_registry(&self, form: &Distributed) -> Option<String> {
        let prefix = format!("{}/", self.reference.registry);
        let mut others = form.repositories.iter().filter_map(|name| name.strip_prefix(&prefix));
        others.find(|name| *name != self.reference.repository).map(str::to_owned)
    }

    fn repository(&self) -> String {
        format!("{}/{}", self.reference.registry, self.reference.repository)
    }

    async fn send(&self, layer: &Digest, upload: Option<reqwest::Url>) -> Result<Sent, PushError> {
        let read = Arc::new(AtomicU64::new(0));
        let content = compressed::Layer::new(Arc::clone(self.inner), layer.clone(), Arc::clone(&read));
        let total = self.inner.layers().facts(layer).map_or(0, |facts| facts.record.archive);
        let (done, id) = (Arc::new(AtomicU64::new(0)), layer.short());
        let retrying = |seconds| self.progress.layer(id, LayerStatus::Retrying { seconds });
        let sending = self.client.send(Arc::new(content), upload, &done, &retrying);
        tokio::pin!(sending);
        let mut tick = tokio::time::interval(REPORT);
        let mut told = None;
        loop {
            tokio::select! {
                result = &mut sending => return Ok(result?),
                _ = tick.tick() => {
                    let now = read.load(Ordering::Relaxed).min(total);
                    if told != Some(now) {
                        told = Some(now);
                        self.progress.layer(id, LayerStatus::Pushing { done: now, total });
                    }
                }
            }
        }
    }
}

fn descriptor(blob: &Distributed) -> Descriptor {
    Descriptor {
        media_type: blob.media_type.clone(),
        digest: blob.digest.clone(),
        size: blob.size,
        platform: None,
    }
}
