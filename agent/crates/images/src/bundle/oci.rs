//! An OCI image layout (OCI image specification, "Image Layout"): which of its images are meant.

use super::archive::Files;
use super::error::LoadError;
use super::layout::tagged;
use crate::manifest::{self, Descriptor, Document, Manifest};
use crate::platform::{Platform, choose};
use crate::registry::MAX_MANIFEST;
use bytes::Bytes;
use hull_model::{Digest, Reference};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// How deep indexes may name indexes.
const MAX_DEPTH: usize = 4;
/// The name that containerd and Docker write: a whole reference.
const NAME: &str = "io.containerd.image.name";
/// The name of the specification: a tag, or a whole reference.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An image that was found.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    /// Digest of the manifest.
    pub(super) digest: Digest,
    /// The manifest, and the indexes above it but `index.json`.
    pub(super) documents: Vec<(Digest, Bytes)>,
    pub(super) name: Option<Reference>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(flatten)]
    descriptor: Descriptor,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    manifests: Vec<Entry>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

/// Where a blob lies.
pub(super) fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The images of `index.json`: of each name, the one for the platform.
pub(super) fn find(files: &Files, host: &Platform) -> Result<Vec<Found>, LoadError> {
    let path = "index.json";
    let bytes = files.small(path, MAX_MANIFEST)?;
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|error| LoadError::invalid(path, error.to_string()))?;
    if index.schema_version != 2 || index.config.is_some() || index.layers.is_some() {
        return Err(LoadError::invalid(path, "it is no index"));
    }
    let mut named: BTreeMap<Option<String>, Vec<Entry>> = BTreeMap::new();
    for entry in index.manifests {
        named.entry(name(&entry).as_ref().map(ToString::to_string)).or_default().push(entry);
    }
    let mut found = Vec::new();
    for entries in named.into_values() {
        for entry in meant(host, entries) {
            let name = name(&entry);
            found
                .extend(follow(files, host, &entry.descriptor, Vec::new())?.map(|one| Found { name, ..one }));
        }
    }
    Ok(found)
}

fn name(entry: &Entry) -> Option<Reference> {
    let annotation = |key: &str| entry.annotations.as_ref()?.get(key).map(String::as_str);
    let whole = annotation(NAME).and_then(tagged);
    whole.or_else(|| annotation(REF_NAME).filter(|text| text.contains([':', '/'])).and_then(tagged))
}

/// Entries that do not say what they are for, and of the others the best.
fn meant(host: &Platform, entries: Vec<Entry>) -> Vec<Entry> {
    let (said, mut meant): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.descriptor.platform.is_some());
    let best = choose(host, said.iter().map(|entry| entry.descriptor.platform.as_ref()));
    meant.extend(best.and_then(|at| said.into_iter().nth(at)));
    meant
}

/// Goes down to a manifest. Nothing if there is none for the platform.
fn follow(
    files: &Files,
    host: &Platform,
    from: &Descriptor,
    mut documents: Vec<(Digest, Bytes)>,
) -> Result<Option<Found>, LoadError> {
    let path = blob(&from.digest);
    let bytes = Bytes::from(files.small(&path, MAX_MANIFEST)?);
    let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
    if digest != from.digest {
        return Err(LoadError::invalid(&path, format!("digest mismatch: its content is {digest}")));
    }
    let parsed = manifest::parse(&from.media_type, &bytes)
        .map_err(|source| LoadError::Document { path: path.clone(), source })?;
    documents.push((digest.clone(), bytes));
    match parsed {
        Document::Manifest(manifest) => Ok(Some(Found { manifest, digest, documents, name: None })),
        Document::Index(_) if documents.len() >= MAX_DEPTH => {
            Err(LoadError::invalid(&path, "it is an index in too many indexes"))
        }
        Document::Index(entries) => match choose(host, entries.iter().map(|entry| entry.platform.as_ref())) {
            Some(at) => follow(files, host, &entries[at], documents),
            None => Ok(None),
        },
    }
}
