//! HTTP connections: certificate authorities, timeouts, and what a failed request means.

use super::error::{RegistryError, Source};
use reqwest::redirect::Policy;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the next byte.
    pub(crate) stall: Duration,
}

/// Connections of one pull. The authorities are read anew for each pull, since the host's configuration may change them.
pub(crate) struct Connections {
    ca_bundle: std::path::PathBuf,
    connect: Duration,
    verified: OnceCell<reqwest::Client>,
    unverified: OnceCell<reqwest::Client>,
}

impl Connections {
    pub(crate) fn new(ca_bundle: &Path, connect: Duration) -> Self {
        Self {
            ca_bundle: ca_bundle.to_owned(),
            connect,
            verified: OnceCell::new(),
            unverified: OnceCell::new(),
        }
    }

    /// A client that verifies certificates, or one that does not.
    pub(crate) async fn client(&self, verify: bool, host: &str) -> Result<&reqwest::Client, RegistryError> {
        let setup = |source: Source| RegistryError::Setup { host: host.to_owned(), source };
        if !verify {
            let build = async || self.builder().tls_danger_accept_invalid_certs(true).build();
            return self.unverified.get_or_try_init(build).await.map_err(|e| setup(e.into()));
        }
        let build = async || -> Result<reqwest::Client, Source> {
            let authorities = match tokio::fs::read(&self.ca_bundle).await {
                Ok(pem) => reqwest::Certificate::from_pem_bundle(&pem)?,
                // No bundle: no certificate is trusted, and the error that follows says so.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            Ok(self.builder().tls_certs_only(authorities).build()?)
        };
        self.verified.get_or_try_init(build).await.map_err(setup)
    }

    fn builder(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .user_agent(concat!("hull/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect)
            // Redirects are followed by hand: credentials and plain HTTP are decided at each of them.
            .redirect(Policy::none())
    }
}

/// What a failed request to `host` means.
pub(crate) fn failed(host: &str, error: reqwest::Error) -> RegistryError {
    let host = host.to_owned();
    let request = match error.url() {
        Some(url) => format!("Get \"{}://{host}/v2/\"", url.scheme()),
        None => format!("reading from registry {host}"),
    };
    // Addresses may hold what nobody else should see, as signatures do.
    let error = error.without_url();
    let source = |error: reqwest::Error| -> Source { error.into() };
    match tls_error(&error) {
        Some(rustls::Error::InvalidMessage(_)) => RegistryError::NotTls { host },
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. } => {
                RegistryError::CertificateTime { host, source: source(error) }
            }
            _ => RegistryError::Untrusted { host, source: source(error) },
        },
        _ => RegistryError::Unreachable { reason: reason(&host, &error), host, request },
    }
}

/// What stands at the end of a chain of causes, in the words that clients know.
fn reason(host: &str, error: &reqwest::Error) -> String {
    let mut last: &(dyn std::error::Error + 'static) = error;
    let mut refused = false;
    loop {
        let io = last.downcast_ref::<std::io::Error>();
        refused |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        let inner =
            io.and_then(std::io::Error::get_ref).map(|inner| inner as &(dyn std::error::Error + 'static));
        match inner.or_else(|| last.source()) {
            Some(next) => last = next,
            None => break,
        }
    }
    let text = last.to_string();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match () {
        () if refused => format!("dial tcp {host}: connect: connection refused"),
        () if text.contains("lookup address information") => format!("dial tcp: lookup {name}: no such host"),
        () if error.is_timeout() => "net/http: request canceled while waiting for connection".to_owned(),
        () => text,
    }
}

/// The TLS library's own error, wherever it is wrapped.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error hides what it wraps from `source`.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = tls_error(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
