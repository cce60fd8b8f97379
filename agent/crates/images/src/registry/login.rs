//! Asking a registry whether it knows somebody.

use super::auth::{TokenRequest, basic, offered};
use super::challenge::Challenge;
use super::endpoint::{DEFAULT_REGISTRY, origin};
use super::error::RegistryError;
use super::session::{Ask, Session};
use super::transport::Timeouts;
use hull_ports::{Credentials, Login, PullOptions};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode, Url};
use std::path::Path;

/// Asks the registry that the credentials name.
pub(crate) async fn login(
    credentials: &Credentials,
    options: &PullOptions,
    ca_bundle: &Path,
    timeouts: Timeouts,
) -> Result<Login, RegistryError> {
    let options = PullOptions { credentials: Some(credentials.clone()), ..options.clone() };
    let endpoint = origin(registry(&credentials.serveraddress), &options);
    let session = Session::new(vec![endpoint], ca_bundle, timeouts);
    let url = session.base(0).await?.join("v2/").map_err(|e| session.protocol(0, e.to_string()))?;
    let ask = Ask::new(Method::GET, &[]);
    let first = session.send(0, url.clone(), &ask, None).await?;
    match first.status() {
        // It knows nobody and lets everybody in.
        StatusCode::OK => return Ok(Login::default()),
        StatusCode::UNAUTHORIZED => {}
        status => return Err(failed(&session, &url, status)),
    }
    let (header, login) = match offered(&first) {
        Some(Challenge::Basic) => (basic(credentials).unwrap_or_default(), Login::default()),
        Some(Challenge::Bearer { realm, service, .. }) => {
            let service = service.as_deref();
            let wanted = TokenRequest { realm: &realm, service, scopes: &[], offline: true };
            let token = session.token(0, &wanted).await.map_err(|error| at_ping(error, &url))?;
            let login = Login { identity_token: token.refresh_token.clone().unwrap_or_default() };
            (format!("Bearer {}", session.access(0, token)?), login)
        }
        None => return Err(failed(&session, &url, StatusCode::UNAUTHORIZED)),
    };
    let mut value =
        HeaderValue::try_from(header).map_err(|_| session.protocol(0, "the token is not a header value"))?;
    value.set_sensitive(true);
    match session.send(0, url.clone(), &ask, Some(value)).await?.status() {
        StatusCode::OK => Ok(login),
        status => Err(failed(&session, &url, status)),
    }
}

fn failed(session: &Session, url: &Url, status: StatusCode) -> RegistryError {
    let detail = format!("login attempt to {url} failed with status: {status}");
    RegistryError::Denied { host: session.host(0).to_owned(), detail }
}

/// A token server's refusal, as that of the request it was for.
fn at_ping(error: RegistryError, url: &Url) -> RegistryError {
    match error {
        RegistryError::Denied { host, detail } => {
            RegistryError::Denied { host, detail: format!("Get \"{url}\": {detail}") }
        }
        error => error,
    }
}

/// The registry's name in what clients call its address: `https://index.docker.io/v1/`, `r.example:5000`, `http://r/v2`.
fn registry(address: &str) -> &str {
    let address = address.trim();
    let rest =
        address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    match rest.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_registries() {
        let rows = [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("r.example:5000", "r.example:5000"),
            ("http://r.example/v2/", "r.example"),
            (" https://r.example ", "r.example"),
        ];
        for (text, wanted) in rows {
            assert_eq!(registry(text), wanted, "{text}");
        }
    }
}
