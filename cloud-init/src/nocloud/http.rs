//! Seeds over HTTP.

use hull_ports::Error;
use reqwest::{Client, StatusCode};
use std::time::Duration;

/// A server that does not even accept within this time is down.
const CONNECT: Duration = Duration::from_secs(5);
/// A whole answer takes no longer than this.
const ANSWER: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 5;

/// A client for seeds. Does not need the process to have chosen a provider of cryptography.
pub(super) fn client() -> Result<Client, Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may be first; any provider will do.
        _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
        // A seed is on the machine's own network; a proxy is not.
        .no_proxy()
        .build()
        .map_err(|e| Error::permanent("preparing an HTTP client").because(e))
}

/// Fetches one file of at most `limit` bytes; `None` if the server says that it has none.
pub(super) async fn get(client: &Client, url: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
    let doing = || format!("fetching {url}");
    let remedy = "check that the server is up and reachable from this host";
    let failed = |e: reqwest::Error| {
        let class = if e.is_builder() || e.is_redirect() { Error::permanent } else { Error::retryable };
        class(doing()).because(e.without_url()).remedy(remedy)
    };
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Ok(None);
    }
    if !status.is_success() {
        let passing = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        let class = if passing { Error::retryable } else { Error::permanent };
        return Err(class(format!("{}: the server answered {status}", doing())).remedy(remedy));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > limit {
            let message = format!("{}: the file has more than the {limit} bytes that are read", doing());
            return Err(Error::permanent(message).remedy("make it smaller"));
        }
    }
    Ok(Some(body))
}
