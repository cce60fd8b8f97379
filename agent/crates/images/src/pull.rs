//! Pulling: manifest, configuration, layers, and at last the record that makes them an image.

use crate::configuration::{self, Configuration};
use crate::disk::DiskError;
use crate::images::Draft;
use crate::layer::{FREE_SPACE, Flight, LayerError, Wanted};
use crate::manifest::{self, Descriptor, Document, InvalidManifest, Manifest};
use crate::platform::{Platform, choose};
use crate::progress::{Reports, Shown};
use crate::registry::{Client, Fetched, RegistryError, at_door};
use crate::store::Inner;
use bytes::Bytes;
use futures_util::future::try_join_all;
use hull_model::{Digest, Reference};
use hull_ports::{Error, ErrorClass, LayerStatus, Progress, PullOptions, Pulled};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// How deep indexes may name indexes.
const MAX_INDEX_DEPTH: usize = 3;
/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// Why an image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What it gave cannot be used.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// What was asked for is no platform.
    #[error("{0:?} is not a platform: os/architecture or os/architecture/variant is")]
    AskedPlatform(String),
    /// The image is not for this host, or for the platform that was asked for.
    #[error("no matching manifest for {host} in the manifest list entries (there is: {offered})")]
    Platform {
        /// What this host is.
        host: Platform,
        /// What there is.
        offered: String,
    },
    /// One of its layers could not be had.
    #[error("layer {}", diff_id.short())]
    Layer {
        /// Which.
        diff_id: Digest,
        /// Why.
        source: Arc<LayerError>,
    },
    /// It could not be stored.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The task ended without a result.
    #[error("the work was cut short")]
    Cut,
}

impl PullError {
    /// The error at the door, with Docker's wording where scripts look for it.
    pub(crate) fn at_door(self, reference: &Reference) -> Error {
        let message = format!("pulling image {}", reference.familiar());
        match self {
            Self::Registry(error @ RegistryError::NotFound { .. }) => {
                Error::not_found(format!("manifest for {} not found: {error}", reference.familiar()))
                    .remedy(error.remedy())
            }
            Self::Registry(error @ RegistryError::Denied { .. }) => Error::not_found(format!(
                "pull access denied for {}, repository does not exist or may require 'docker login': {error}",
                reference.familiar_name()
            ))
            .remedy(error.remedy()),
            Self::Registry(
                error @ (RegistryError::NoCredentials { .. }
                | RegistryError::NotTls { .. }
                | RegistryError::Unreachable { .. }
                | RegistryError::Untrusted { .. }
                | RegistryError::CertificateTime { .. }),
            ) => error.at_door(),
            Self::Registry(error) => at_door(message, error),
            Self::AskedPlatform(_) => Error::permanent(self.to_string()),
            Self::Layer { ref source, .. } => {
                let (class, remedy) = (source.class(), source.remedy());
                Error::new(class, message).remedy(remedy).because(self)
            }
            Self::Manifest(_) => {
                Error::permanent(message).remedy("build and push the image with a current tool").because(self)
            }
            Self::Platform { ref host, .. } => {
                let remedy = format!("build the image for {host} too, or use another tag");
                Error::permanent(self.to_string()).remedy(remedy)
            }
            Self::Disk(ref error) => {
                let remedy =
                    if error.is_full() { FREE_SPACE } else { "check the disk that holds the image store" };
                Error::new(ErrorClass::Retryable, message).remedy(remedy).because(self)
            }
            Self::Cut => Error::retryable(message).because(self),
        }
    }
}

/// Everything about an image but its layers.
struct Resolved {
    /// What the reference stands for: the digest of the outermost document.
    digest: Digest,
    /// The manifest, and the indexes above it.
    documents: Vec<(Digest, Bytes)>,
    manifest: Fetched,
    parsed: Manifest,
    configuration: Configuration,
    configuration_bytes: Bytes,
}

/// Pulls one image.
pub(crate) async fn pull(
    inner: &Arc<Inner>,
    reference: &Reference,
    options: &PullOptions,
    progress: &dyn Progress,
) -> Result<Pulled, PullError> {
    let platform = match &options.platform {
        Some(text) if !text.is_empty() => {
            Platform::parse(text).ok_or_else(|| PullError::AskedPlatform(text.clone()))?
        }
        _ => inner.options.platform.clone(),
    };
    let client = Client::new(reference, options, &inner.options.ca_bundle, inner.options.timeouts());
    let client = Arc::new(client.keeping_partials(inner.disk.partial()));
    let resolved = resolve(&client, reference, &platform).await?;
    let layers = wanted(reference, &resolved);
    let _pins = inner.pin(layers.iter().map(|layer| &layer.diff_id));
    fetch(inner, &client, &layers, progress).await?;
    let (inner, reference) = (Arc::clone(inner), reference.clone());
    spawn_blocking(move || commit(&inner, &reference, resolved)).await.map_err(|_| PullError::Cut)?
}

/// Finds the manifest for this host, through indexes, and its configuration.
async fn resolve(client: &Client, reference: &Reference, host: &Platform) -> Result<Resolved, PullError> {
    let selector = reference.manifest_selector();
    let mut fetched = client.manifest(&selector, reference.digest.as_ref(), 0).await?;
    let digest = fetched.digest.clone();
    let mut documents = Vec::new();
    for _ in 0..MAX_INDEX_DEPTH {
        documents.push((fetched.digest.clone(), fetched.bytes.clone()));
        match manifest::parse(&fetched.content_type, &fetched.bytes)? {
            Document::Manifest(parsed) => {
                let configuration_bytes = client.configuration(&parsed.config, fetched.endpoint).await?;
                let configuration = configuration::parse_for(&configuration_bytes, parsed.layers.len())?;
                if host.rank(&configuration.platform).is_none() {
                    let offered = configuration.platform.to_string();
                    return Err(PullError::Platform { host: host.clone(), offered });
                }
                return Ok(Resolved {
                    digest,
                    documents,
                    manifest: fetched,
                    parsed,
                    configuration,
                    configuration_bytes,
                });
            }
            Document::Index(entries) => {
                let entry = for_host(host, &entries)?;
                fetched =
                    client.manifest(&entry.digest.to_string(), Some(&entry.digest), fetched.endpoint).await?;
            }
        }
    }
    Err(InvalidManifest::Ambiguous { what: "index", reason: "it names indexes that name indexes" }.into())
}

fn for_host<'a>(host: &Platform, entries: &'a [Descriptor]) -> Result<&'a Descriptor, PullError> {
    let best = choose(host, entries.iter().map(|entry| entry.platform.as_ref()));
    best.and_then(|i| entries.get(i)).ok_or_else(|| {
        let offered: BTreeSet<String> =
            entries.iter().filter_map(|entry| entry.platform.as_ref()).map(ToString::to_string).collect();
        PullError::Platform {
            host: host.clone(),
            offered: offered.into_iter().collect::<Vec<_>>().join(", "),
        }
    })
}

/// Each different layer once. An image may have the same one several times.
fn wanted(reference: &Reference, resolved: &Resolved) -> Vec<Wanted> {
    let mut seen = BTreeSet::new();
    let pairs = resolved.parsed.layers.iter().zip(&resolved.configuration.diff_ids);
    pairs
        .filter(|(_, diff_id)| seen.insert((*diff_id).clone()))
        .map(|((descriptor, compression), diff_id)| Wanted {
            descriptor: descriptor.clone(),
            compression: *compression,
            diff_id: diff_id.clone(),
            endpoint: resolved.manifest.endpoint,
            repository: format!("{}/{}", reference.registry, reference.repository),
        })
        .collect()
}

/// Gets all layers that are not here, telling how far it is.
async fn fetch(
    inner: &Arc<Inner>,
    client: &Arc<Client>,
    layers: &[Wanted],
    progress: &dyn Progress,
) -> Result<(), PullError> {
    let total = layers.iter().map(|layer| layer.descriptor.size).fold(0u64, u64::saturating_add);
    let mut missing: Vec<&Wanted> = Vec::new();
    let mut here = 0u64;
    for layer in layers {
        if inner.layers().has(&layer.diff_id) {
            progress.layer(layer.descriptor.digest.short(), LayerStatus::Exists);
            here = here.saturating_add(layer.descriptor.size);
            inner.layers().remember(&layer.diff_id, &layer.distributed())?;
        } else {
            missing.push(layer);
        }
    }
    progress.bytes(here, Some(total));
    if missing.is_empty() {
        return Ok(());
    }
    let shown = |layer: &&Wanted| Shown {
        id: layer.descriptor.digest.short().to_owned(),
        total: layer.descriptor.size,
    };
    let shown = missing.iter().map(shown).collect();
    let reports = Reports::begin(progress, shown, inner.options.parallel_layers);
    let flights = missing.iter().map(|layer| inner.flights.join(inner, client, layer));
    let flights: Vec<(Flight, bool)> = flights.collect();
    let counted: Vec<Flight> = flights.iter().map(|(flight, _)| flight.clone()).collect();
    let all =
        try_join_all(missing.iter().zip(flights).enumerate().map(async |(index, (layer, (flight, own)))| {
            land(inner, client, layer, flight, own).await?;
            reports.pulled(index);
            Ok::<(), PullError>(())
        }));
    tokio::pin!(all);
    let mut tick = tokio::time::interval(REPORT);
    let mut told = here;
    loop {
        tokio::select! {
            result = &mut all => {
                result?;
                progress.bytes(total, Some(total));
                return Ok(());
            }
            _ = tick.tick() => {
                let done: Vec<u64> = counted.iter().map(Flight::done).collect();
                done.iter().enumerate().for_each(|(index, done)| reports.at(index, *done));
                let now = done.iter().fold(here, |sum, done| sum.saturating_add(*done));
                if now != told {
                    told = now;
                    progress.bytes(now.min(total), Some(total));
                }
            }
        }
    }
}

/// Waits for one layer. Work that somebody else began, with another registry in mind, is tried again as our own.
async fn land(
    inner: &Arc<Inner>,
    client: &Arc<Client>,
    layer: &Wanted,
    flight: Flight,
    own: bool,
) -> Result<(), PullError> {
    let failed = |source| PullError::Layer { diff_id: layer.diff_id.clone(), source };
    match flight.outcome().await {
        Err(_) if !own => {
            drop(flight);
            let (flight, _) = inner.flights.join(inner, client, layer);
            flight.outcome().await.map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// Makes it an image, with its name.
fn commit(inner: &Inner, reference: &Reference, resolved: Resolved) -> Result<Pulled, PullError> {
    let digest = resolved.digest.clone();
    let repository = Reference { tag: None, digest: Some(resolved.digest), ..reference.clone() };
    let draft = Draft {
        config: resolved.configuration_bytes,
        configuration: resolved.configuration,
        manifest: Some(resolved.manifest.digest.clone()),
        manifests: resolved.documents,
        repo_digest: Some(repository),
        parent: None,
    };
    let kept = inner.keep_image(draft, Some(reference))?;
    Ok(Pulled { image: kept.image, digest, changed: kept.changed })
}
