//! Requests to the endpoints of one registry: trust, authentication, redirects, and patience with busy hosts.

use super::auth::Authorizations;
use super::endpoint::{Endpoint, Transport};
use super::error::RegistryError;
use super::transport::{Connections, Timeouts, failed};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Redirects that are followed in a row.
const MAX_REDIRECTS: usize = 5;
/// How often a busy registry is asked again within one request.
const BUSY_RETRIES: u32 = 2;
/// The longest a busy registry is waited for within one request; whoever called waits longer.
const MAX_BUSY_WAIT: Duration = Duration::from_secs(10);
/// How long an insecure registry has to show that it speaks TLS.
const PROBE: Duration = Duration::from_secs(5);

/// A request that can be made again: its body is small and kept.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What a token for it should allow: `repository:a/b:pull`.
    pub(crate) scopes: Vec<String>,
    /// How much longer than usual the answer may take.
    pub(crate) patience: Duration,
}

impl Ask {
    pub(crate) fn new(method: Method, scopes: &[String]) -> Self {
        Self {
            method,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            scopes: scopes.to_vec(),
            patience: Duration::ZERO,
        }
    }

    pub(crate) fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Self {
        // A value that is no header value comes from a document that was checked before.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// The endpoints of one registry, for one transfer.
pub(crate) struct Session {
    pub(super) endpoints: Vec<Endpoint>,
    /// Where each endpoint turned out to be.
    bases: Vec<OnceCell<Url>>,
    pub(super) authorizations: Authorizations,
    connections: Connections,
    pub(super) timeouts: Timeouts,
}

impl Session {
    pub(crate) fn new(endpoints: Vec<Endpoint>, ca_bundle: &Path, timeouts: Timeouts) -> Self {
        // Already installed by somebody else is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            bases: endpoints.iter().map(|_| OnceCell::new()).collect(),
            endpoints,
            authorizations: Authorizations::default(),
            connections: Connections::new(ca_bundle, timeouts.connect),
            timeouts,
        }
    }

    pub(crate) fn host(&self, at: usize) -> &str {
        &self.endpoints[at].host
    }

    /// Asks until there is an answer worth having. Whoever calls reads the status; it is never 401, 403, 429 or 5xx.
    pub(crate) async fn ask(&self, at: usize, path: &str, ask: &Ask) -> Result<Response, RegistryError> {
        let url = self.base(at).await?.join(path).map_err(|e| self.protocol(at, e.to_string()))?;
        self.ask_url(at, url, ask).await
    }

    /// As `ask`, at an address that the registry gave.
    pub(crate) async fn ask_url(&self, at: usize, url: Url, ask: &Ask) -> Result<Response, RegistryError> {
        let mut authenticated = false;
        let mut busy = 0;
        loop {
            let response = self.follow(at, url.clone(), ask).await?;
            match response.status() {
                StatusCode::UNAUTHORIZED if !authenticated => {
                    authenticated = true;
                    self.authenticate(at, &response, ask).await?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(self.denied(at, response).await);
                }
                status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                    let retry_after = retry_after(response.headers());
                    let wait = retry_after.unwrap_or(Duration::from_millis(200 << busy));
                    if busy == BUSY_RETRIES || wait > MAX_BUSY_WAIT {
                        return Err(self.busy(at, status, retry_after));
                    }
                    busy += 1;
                    tokio::time::sleep(wait).await;
                }
                _ => return Ok(response),
            }
        }
    }

    /// One request with its redirects. Credentials stay with the host that was asked first.
    async fn follow(&self, at: usize, url: Url, ask: &Ask) -> Result<Response, RegistryError> {
        let origin = self.base(at).await?.origin();
        let mut url = url;
        for _ in 0..=MAX_REDIRECTS {
            let own = url.origin() == origin;
            let authorization = own.then(|| self.authorizations.get(at, &ask.scopes)).flatten();
            let response = self.send(at, url.clone(), ask, authorization).await?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
            let next = location.and_then(|l| url.join(l).ok());
            url = next.ok_or_else(|| self.protocol(at, "a redirect without an address"))?;
            self.check_scheme(at, &url)?;
        }
        Err(self.protocol(at, "too many redirects"))
    }

    /// Refuses an address that gives up what TLS gave.
    pub(super) fn check_scheme(&self, at: usize, url: &Url) -> Result<(), RegistryError> {
        let known = self.bases[at].get().map(Url::scheme);
        let plain_is_fine = match self.endpoints[at].transport {
            Transport::Https => false,
            Transport::Insecure | Transport::Http => true,
            Transport::Loopback => known == Some("http"),
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if plain_is_fine => Ok(()),
            _ => Err(self.protocol(at, "it redirects from HTTPS to something else")),
        }
    }

    pub(super) async fn send(
        &self,
        at: usize,
        url: Url,
        ask: &Ask,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let host = self.host(at);
        let mut request =
            self.client(at).await?.request(ask.method.clone(), url).headers(ask.headers.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let has_body = ask.method != Method::GET && ask.method != Method::HEAD;
        if has_body {
            request = request.body(ask.body.clone());
        }
        // Connecting has its own, shorter limit inside.
        let limit = self.timeouts.connect + self.timeouts.stall + ask.patience;
        match timeout(limit, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failed(host, error)),
            Err(_) => Err(self.stalled(at, 0)),
        }
    }

    /// The connections to an endpoint, for requests whose bodies are streams.
    pub(super) async fn client(&self, at: usize) -> Result<&reqwest::Client, RegistryError> {
        let verify = matches!(self.endpoints[at].transport, Transport::Https | Transport::Loopback);
        self.connections.client(verify, self.host(at)).await
    }

    /// Where the endpoint is. An insecure one may be either of HTTPS and HTTP: whichever answers.
    pub(super) async fn base(&self, at: usize) -> Result<&Url, RegistryError> {
        let endpoint = &self.endpoints[at];
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{}/", endpoint.host))
                .map_err(|e| self.protocol(at, e.to_string()))
        };
        let find = async || match endpoint.transport {
            Transport::Https => parse("https"),
            Transport::Http => parse("http"),
            Transport::Insecure | Transport::Loopback => {
                let url = parse("https")?;
                let probe = url.join("v2/").map_err(|e| self.protocol(at, e.to_string()))?;
                let limit = PROBE.min(self.timeouts.stall);
                let ask = Ask::new(Method::GET, &[]);
                match (timeout(limit, self.send(at, probe, &ask, None)).await, endpoint.transport) {
                    (Ok(Ok(_)), _) => Ok(url),
                    // It speaks TLS, and is not who it should be.
                    (
                        Ok(Err(
                            error @ (RegistryError::Untrusted { .. } | RegistryError::CertificateTime { .. }),
                        )),
                        Transport::Loopback,
                    ) => Err(error),
                    _ => parse("http"),
                }
            }
        };
        self.bases[at].get_or_try_init(find).await
    }

    /// Reads a body of at most `max` bytes.
    pub(crate) async fn read(
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

    pub(crate) fn protocol(&self, at: usize, reason: impl Into<String>) -> RegistryError {
        RegistryError::Protocol { host: self.host(at).to_owned(), reason: reason.into() }
    }

    pub(crate) fn stalled(&self, at: usize, done: u64) -> RegistryError {
        RegistryError::Stalled { host: self.host(at).to_owned(), waited: self.timeouts.stall, done }
    }

    pub(super) fn busy(&self, at: usize, status: StatusCode, retry_after: Option<Duration>) -> RegistryError {
        RegistryError::Busy { host: self.host(at).to_owned(), status: status.as_u16(), retry_after }
    }
}

/// `Retry-After` in seconds; dates are not used by registries.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
