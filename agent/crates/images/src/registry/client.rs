//! What a repository has: manifests, configurations, layers, tags.

use super::blob::BlobStream;
use super::endpoint::{endpoints, origin};
use super::error::RegistryError;
use super::session::{Ask, Session};
use super::transport::Timeouts;
use crate::manifest::{self, Descriptor};
use bytes::Bytes;
use hull_model::{Digest, Reference};
use hull_ports::PullOptions;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The largest manifest or index (distribution specification, "Pushing Manifests").
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;
/// The largest configuration.
pub(crate) const MAX_CONFIGURATION: u64 = 8 << 20;

/// A manifest as it was sent.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// Which endpoint sent it.
    pub(crate) endpoint: usize,
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
    /// sha256 of the bytes.
    pub(crate) digest: Digest,
}

/// One repository at its registry and that registry's mirrors, for one transfer.
pub(crate) struct Client {
    pub(super) session: Session,
    pub(super) repository: String,
    pub(super) scopes: Vec<String>,
    /// The image as people write it, and without its tag.
    name: String,
    familiar_name: String,
    /// Where beginnings of large layers are kept.
    partials: Option<PathBuf>,
    /// Layers that were begun with what an earlier transfer left.
    resumed: Mutex<BTreeSet<Digest>>,
}

impl Client {
    /// To pull: mirrors first.
    pub(crate) fn new(
        reference: &Reference,
        options: &PullOptions,
        ca_bundle: &Path,
        timeouts: Timeouts,
    ) -> Self {
        let endpoints = endpoints(&reference.registry, options);
        Self::with(reference, Session::new(endpoints, ca_bundle, timeouts), "pull")
    }

    /// To push: the registry itself.
    pub(crate) fn for_push(
        reference: &Reference,
        options: &PullOptions,
        ca_bundle: &Path,
        timeouts: Timeouts,
    ) -> Self {
        let endpoint = origin(&reference.registry, options);
        Self::with(reference, Session::new(vec![endpoint], ca_bundle, timeouts), "pull,push")
    }

    fn with(reference: &Reference, session: Session, actions: &str) -> Self {
        Self {
            session,
            repository: reference.repository.clone(),
            scopes: vec![format!("repository:{}:{actions}", reference.repository)],
            name: reference.familiar(),
            familiar_name: reference.familiar_name(),
            partials: None,
            resumed: Mutex::default(),
        }
    }

    /// Keeps the beginnings of large layers in a directory, so that a later transfer goes on from there.
    #[must_use]
    pub(crate) fn keeping_partials(mut self, directory: PathBuf) -> Self {
        self.partials = Some(directory);
        self
    }

    pub(super) fn partials(&self) -> Option<&Path> {
        self.partials.as_deref()
    }

    pub(super) fn note_resumed(&self, digest: &Digest) {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone());
    }

    /// Whether a layer was begun with what an earlier transfer left; asking again says no. If it turns out wrong, it may
    /// be that which was wrong: it is gone then.
    pub(crate) fn was_resumed(&self, digest: &Digest) -> bool {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner).remove(digest)
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.session.endpoints.len()
    }

    pub(crate) fn host(&self, at: usize) -> &str {
        self.session.host(at)
    }

    /// The manifest or index for a tag or digest, from the first endpoint that has it.
    pub(crate) async fn manifest(
        &self,
        selector: &str,
        wanted: Option<&Digest>,
        first: usize,
    ) -> Result<Fetched, RegistryError> {
        let mut at = first;
        loop {
            match self.manifest_at(at, selector, wanted).await {
                Err(error) if at + 1 < self.endpoints() && error.is_about_host() => {
                    tracing::debug!(host = self.host(at), %error, "mirror passed over");
                    at += 1;
                }
                result => return result,
            }
        }
    }

    async fn manifest_at(
        &self,
        at: usize,
        selector: &str,
        wanted: Option<&Digest>,
    ) -> Result<Fetched, RegistryError> {
        let ask = Ask::new(Method::GET, &self.scopes).header(ACCEPT, manifest::ACCEPT);
        let path = format!("v2/{}/manifests/{selector}", self.repository);
        let response = self.session.ask(at, &path, &ask).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(RegistryError::NotFound { name: self.name.clone() }),
            _ => return Err(self.session.refused(at, response).await),
        }
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let content_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let announced = text("docker-content-digest");
        let bytes = self.session.read(at, response, "the manifest", MAX_MANIFEST).await?;
        let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
        let right = wanted.is_none_or(|wanted| *wanted == digest)
            && announced
                .and_then(|text| Digest::parse(&text).ok())
                .is_none_or(|announced| announced == digest);
        if !right {
            return Err(self.mismatch(at, format!("the manifest for {}", self.name), &digest));
        }
        Ok(Fetched { endpoint: at, content_type, bytes, digest })
    }

    /// A small blob in whole, verified.
    pub(crate) async fn configuration(
        &self,
        descriptor: &Descriptor,
        first: usize,
    ) -> Result<Bytes, RegistryError> {
        let mut at = first;
        loop {
            match self.configuration_at(at, descriptor).await {
                Err(error) if at + 1 < self.endpoints() && error.is_about_host() => at += 1,
                result => return result,
            }
        }
    }

    async fn configuration_at(&self, at: usize, descriptor: &Descriptor) -> Result<Bytes, RegistryError> {
        let what = "the configuration";
        if descriptor.size > MAX_CONFIGURATION {
            return Err(self.protocol(at, "the configuration is larger than 8 MiB"));
        }
        let response = self.blob_response(at, &descriptor.digest, HeaderMap::new()).await?;
        let bytes = self.session.read(at, response, what, descriptor.size).await?;
        let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
        if digest != descriptor.digest {
            return Err(self.mismatch(at, what.into(), &digest));
        }
        Ok(bytes)
    }

    /// A layer, as a stream that resumes by itself. It is not verified.
    pub(crate) fn blob(&self, descriptor: &Descriptor, first: usize) -> BlobStream<'_> {
        BlobStream::new(self, descriptor, first)
    }

    /// The answer for a blob: 200, 206 or 416.
    pub(super) async fn blob_response(
        &self,
        at: usize,
        digest: &Digest,
        headers: HeaderMap,
    ) -> Result<Response, RegistryError> {
        let ask = Ask { headers, ..Ask::new(Method::GET, &self.scopes) };
        let response = self.session.ask(at, &format!("v2/{}/blobs/{digest}", self.repository), &ask).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => Ok(response),
            StatusCode::NOT_FOUND => {
                Err(RegistryError::BlobMissing { host: self.host(at).to_owned(), what: digest.to_string() })
            }
            _ => Err(self.session.refused(at, response).await),
        }
    }

    pub(super) fn protocol(&self, at: usize, reason: impl Into<String>) -> RegistryError {
        self.session.protocol(at, reason)
    }

    pub(super) fn no_repository(&self) -> RegistryError {
        RegistryError::NoRepository { name: self.familiar_name.clone() }
    }

    fn mismatch(&self, at: usize, what: String, actual: &Digest) -> RegistryError {
        RegistryError::Digest { host: self.host(at).to_owned(), what, actual: actual.to_string() }
    }
}
