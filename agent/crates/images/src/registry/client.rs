//! Requests to the endpoints of one repository.

use super::blob::BlobStream;
use super::challenge::{self, Challenge};
use super::endpoint::{Endpoint, Transport, endpoints};
use super::error::RegistryError;
use super::transport::{Connections, Timeouts, failed};
use crate::manifest::{self, Descriptor};
use base64::Engine as _;
use bytes::Bytes;
use hull_model::{Digest, Reference, Registry};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// The largest manifest or index (distribution specification, "Pushing Manifests").
const MAX_MANIFEST: u64 = 4 << 20;
/// The largest configuration.
const MAX_CONFIGURATION: u64 = 8 << 20;
/// The largest answer of a token server.
const MAX_TOKEN: u64 = 1 << 20;
/// Redirects that are followed in a row.
const MAX_REDIRECTS: usize = 5;
/// How often a busy registry is asked again within one request.
const BUSY_RETRIES: u32 = 2;
/// The longest a busy registry is waited for within one request; whoever called waits longer.
const MAX_BUSY_WAIT: Duration = Duration::from_secs(10);
/// How long an insecure registry has to show that it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);

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

/// The endpoints of one repository, for one pull.
pub(crate) struct Client {
    endpoints: Vec<Endpoint>,
    /// Where each endpoint turned out to be.
    bases: Vec<OnceCell<Url>>,
    /// What each endpoint wants to see in `Authorization`.
    authorizations: Mutex<HashMap<usize, HeaderValue>>,
    connections: Connections,
    pub(super) timeouts: Timeouts,
    repository: String,
    /// The image as people write it.
    name: String,
}

impl Client {
    pub(crate) fn new(
        reference: &Reference,
        registries: &BTreeMap<String, Registry>,
        ca_bundle: &Path,
        timeouts: Timeouts,
    ) -> Self {
        let endpoints = endpoints(&reference.registry, registries);
        Self {
            bases: endpoints.iter().map(|_| OnceCell::new()).collect(),
            endpoints,
            authorizations: Mutex::default(),
            connections: Connections::new(ca_bundle, timeouts.connect),
            timeouts,
            repository: reference.repository.clone(),
            name: reference.familiar(),
        }
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    pub(crate) fn host(&self, at: usize) -> &str {
        &self.endpoints[at].host
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
                Err(error) if at + 1 < self.endpoints.len() && error.is_about_host() => {
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
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
        let path = format!("v2/{}/manifests/{selector}", self.repository);
        let response = self.get(at, &path, &headers).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::NotFound { what: format!("manifest for {}", self.name) });
        }
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let content_type = text(CONTENT_TYPE.as_str()).unwrap_or_default();
        let announced = text("docker-content-digest");
        let bytes = self.read(at, response, "the manifest", MAX_MANIFEST).await?;
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
                Err(error) if at + 1 < self.endpoints.len() && error.is_about_host() => at += 1,
                result => return result,
            }
        }
    }

    async fn configuration_at(&self, at: usize, descriptor: &Descriptor) -> Result<Bytes, RegistryError> {
        let what = "the configuration";
        if descriptor.size > MAX_CONFIGURATION {
            return Err(self.protocol(at, "the configuration is larger than 8 MiB"));
        }
        let response = self.blob_response(at, &descriptor.digest, &HeaderMap::new()).await?;
        let bytes = self.read(at, response, what, descriptor.size).await?;
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

    pub(super) async fn blob_response(
        &self,
        at: usize,
        digest: &Digest,
        headers: &HeaderMap,
    ) -> Result<Response, RegistryError> {
        let response = self.get(at, &format!("v2/{}/blobs/{digest}", self.repository), headers).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(RegistryError::BlobMissing {
                host: self.host(at).to_owned(),
                what: digest.to_string(),
            });
        }
        Ok(response)
    }

    pub(super) fn protocol(&self, at: usize, reason: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { host: self.host(at).to_owned(), reason: reason.into() }
    }

    fn mismatch(&self, at: usize, what: String, actual: &Digest) -> RegistryError {
        RegistryError::Digest { host: self.host(at).to_owned(), what, actual: actual.to_string() }
    }

    fn stalled(&self, at: usize, done: u64) -> RegistryError {
        RegistryError::Stalled { host: self.host(at).to_owned(), waited: self.timeouts.stall, done }
    }

    fn denied(&self, at: usize) -> RegistryError {
        RegistryError::Denied { host: self.host(at).to_owned(), name: self.name.clone() }
    }

    /// Asks until there is an answer worth having: 200, 206, 404 or 416.
    async fn get(&self, at: usize, path: &str, headers: &HeaderMap) -> Result<Response, RegistryError> {
        let url = self.base(at).await?.join(path).map_err(|e| self.protocol(at, e.to_string()))?;
        let mut authenticated = false;
        let mut busy = 0;
        loop {
            let response = self.follow(at, url.clone(), headers).await?;
            match response.status() {
                StatusCode::OK
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_FOUND
                | StatusCode::RANGE_NOT_SATISFIABLE => return Ok(response),
                StatusCode::UNAUTHORIZED if !authenticated => {
                    authenticated = true;
                    self.authenticate(at, response.headers()).await?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied(at)),
                status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                    let retry_after = retry_after(response.headers());
                    let wait = retry_after.unwrap_or(Duration::from_millis(200 << busy));
                    if busy == BUSY_RETRIES || wait > MAX_BUSY_WAIT {
                        let host = self.host(at).to_owned();
                        return Err(RegistryError::Busy { host, status: status.as_u16(), retry_after });
                    }
                    busy += 1;
                    tokio::time::sleep(wait).await;
                }
                status => return Err(self.protocol(at, format!("unexpected status {status}"))),
            }
        }
    }

    /// One request with its redirects. Credentials stay with the host that was asked first.
    async fn follow(&self, at: usize, url: Url, headers: &HeaderMap) -> Result<Response, RegistryError> {
        let origin = url.origin();
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let authorization = (url.origin() == origin).then(|| self.authorization(at)).flatten();
            let response = self.send(at, url.clone(), headers, authorization).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            let next = location.and_then(|l| url.join(l).ok());
            url = next.ok_or_else(|| self.protocol(at, "a redirect without an address"))?;
            let plain_is_fine = self.endpoints[at].transport != Transport::Https;
            if url.scheme() != "https" && !(url.scheme() == "http" && plain_is_fine) {
                return Err(self.protocol(at, "it redirects from HTTPS to something else"));
            }
        }
        Err(self.protocol(at, "too many redirects"))
    }

    async fn send(
        &self,
        at: usize,
        url: Url,
        headers: &HeaderMap,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let host = self.host(at);
        let client = self.connections.client(self.endpoints[at].transport == Transport::Https, host).await?;
        let mut request = client.get(url).headers(headers.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        // Connecting has its own, shorter limit inside.
        match timeout(self.timeouts.connect + self.timeouts.stall, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failed(host, error)),
            Err(_) => Err(self.stalled(at, 0)),
        }
    }

    /// Where the endpoint is. An insecure one may be either of HTTPS and HTTP: whichever answers.
    async fn base(&self, at: usize) -> Result<&Url, RegistryError> {
        let endpoint = &self.endpoints[at];
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/", endpoint.host))
                .map_err(|e| self.protocol(at, e.to_string()))
        };
        let find = async || match endpoint.transport {
            Transport::Https => parse("https"),
            Transport::Http => parse("http"),
            Transport::Insecure => {
                let url = parse("https")?;
                let probe = url.join("v2/").map_err(|e| self.protocol(at, e.to_string()))?;
                let limit = PROBE.min(self.timeouts.stall);
                match timeout(limit, self.send(at, probe, &HeaderMap::new(), None)).await {
                    Ok(Ok(_)) => Ok(url),
                    _ => parse("http"),
                }
            }
        };
        self.bases[at].get_or_try_init(find).await
    }

    fn authorization(&self, at: usize) -> Option<HeaderValue> {
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(&at).cloned()
    }

    /// Finds out what the endpoint wants to see, from its refusal.
    async fn authenticate(&self, at: usize, refusal: &HeaderMap) -> Result<(), RegistryError> {
        let offered: Vec<Challenge> = refusal
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| challenge::parse(value.to_str().ok()?))
            .collect();
        let bearer = offered.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
        let text = match bearer.or(offered.first()) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                format!("Bearer {}", self.token(at, realm, service.as_deref(), scope.as_deref()).await?)
            }
            Some(Challenge::Basic) => self.basic(at).ok_or_else(|| self.denied(at))?,
            None => return Err(self.denied(at)),
        };
        let mut value =
            HeaderValue::try_from(text).map_err(|_| self.protocol(at, "the token is not a header value"))?;
        value.set_sensitive(true);
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).insert(at, value);
        Ok(())
    }

    fn basic(&self, at: usize) -> Option<String> {
        let credentials = self.endpoints[at].credentials.as_ref()?;
        let pair = format!("{}:{}", credentials.username, credentials.password);
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    }

    async fn token(
        &self,
        at: usize,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, RegistryError> {
        let mut url =
            Url::parse(realm).map_err(|_| self.protocol(at, "its token server has no valid address"))?;
        let own = self.base(at).await?;
        if url.scheme() != "https" && (url.scheme() != "http" || own.scheme() == "https") {
            return Err(self.protocol(at, "its token server is not reached over HTTPS"));
        }
        let credentials = self.basic(at);
        let (host, realm_host) = (own.host_str().unwrap_or_default(), url.host_str().unwrap_or_default());
        if credentials.is_some() && !challenge::same_site(host, realm_host) {
            return Err(RegistryError::ForeignRealm {
                host: self.host(at).to_owned(),
                realm: realm_host.to_owned(),
            });
        }
        let default_scope = format!("repository:{}:pull", self.repository);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", scope.unwrap_or(&default_scope));
        let authorization = credentials.and_then(|text| HeaderValue::try_from(text).ok());
        let response = self.send(at, url, &HeaderMap::new(), authorization).await?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                let retry_after = retry_after(response.headers());
                let host = self.host(at).to_owned();
                return Err(RegistryError::Busy { host, status: status.as_u16(), retry_after });
            }
            _ => return Err(self.denied(at)),
        }
        let bytes = self.read(at, response, "the token", MAX_TOKEN).await?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|_| self.protocol(at, "its token server sent no token"))?;
        token.token.or(token.access_token).ok_or_else(|| self.protocol(at, "its token server sent no token"))
    }

    /// Reads a body of at most `max` bytes.
    async fn read(
        &self,
        at: usize,
        mut response: Response,
        what: &str,
        max: u64,
    ) -> Result<Bytes, RegistryError> {
        let mut bytes = Vec::new();
        loop {
            let piece = match timeout(self.timeouts.stall, response.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(bytes.into()),
                Ok(Err(error)) => return Err(failed(self.host(at), error)),
                Err(_) => return Err(self.stalled(at, bytes.len() as u64)),
            };
            if (bytes.len() + piece.len()) as u64 > max {
                return Err(self.protocol(at, format!("{what} is longer than {max} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
    }
}

/// Either name is in use; both mean the same.
#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// `Retry-After` in seconds; dates are not used by registries.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
