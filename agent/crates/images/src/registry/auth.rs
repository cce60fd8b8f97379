//! What an endpoint wants to see in `Authorization` (distribution specification, "Token authentication"; RFC 6749 §6 for
//! refresh tokens). Nothing here is ever written down, and no error says any of it.

use super::challenge::{self, Challenge};
use super::complaint::complaint;
use super::endpoint::{Transport, is_loopback};
use super::error::{DENIED, RegistryError};
use super::session::{Ask, Session, retry_after};
use base64::Engine as _;
use hull_ports::Credentials;
use reqwest::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The largest answer of a token server.
const MAX_TOKEN: u64 = 1 << 20;
/// How long a token is good whose service does not say (distribution specification, "Token response fields").
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// A token is not used any more when it has only this left.
const TOKEN_MARGIN: Duration = Duration::from_secs(5);
/// What we call ourselves at a token server.
const CLIENT: &str = "hull";

/// What each endpoint was found to want, for each set of scopes.
#[derive(Default)]
pub(super) struct Authorizations {
    known: Mutex<HashMap<(usize, Vec<String>), Granted>>,
}

struct Granted {
    value: HeaderValue,
    until: Option<Instant>,
}

impl Authorizations {
    pub(super) fn get(&self, at: usize, scopes: &[String]) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = known.get(&(at, scopes.to_vec()))?;
        granted.until.is_none_or(|until| Instant::now() < until).then(|| granted.value.clone())
    }

    fn set(&self, at: usize, scopes: &[String], granted: Granted) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((at, scopes.to_vec()), granted);
    }
}

/// A token server's answer. Either name of the token is in use; both mean the same.
#[derive(Deserialize)]
pub(super) struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    pub(super) refresh_token: Option<String>,
}

/// What a token is asked for.
pub(super) struct TokenRequest<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
    /// A refresh token too, that stands for name and password later.
    pub(super) offline: bool,
}

impl Session {
    /// Finds out what the endpoint wants to see, from its refusal.
    pub(super) async fn authenticate(
        &self,
        at: usize,
        refusal: &Response,
        ask: &Ask,
    ) -> Result<(), RegistryError> {
        let credentials = self.endpoints[at].credentials.as_ref();
        let (text, until) = match (offered(refusal), credentials) {
            (None, _) => return Err(self.no_access(at)),
            (Some(_), Some(given)) if !given.registrytoken.is_empty() => {
                (format!("Bearer {}", given.registrytoken), None)
            }
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                let own = [scope.unwrap_or_default()];
                let wanted: &[String] = match (ask.scopes.as_slice(), own[0].as_str()) {
                    ([], "") => &[],
                    ([], _) => &own,
                    (scopes, _) => scopes,
                };
                let service = service.as_deref();
                let request = TokenRequest { realm: &realm, service, scopes: wanted, offline: false };
                let token = self.token(at, &request).await?;
                let life = token.expires_in.map_or(TOKEN_LIFE, Duration::from_secs).max(TOKEN_LIFE);
                let until = Instant::now().checked_add(life.saturating_sub(TOKEN_MARGIN));
                (format!("Bearer {}", self.access(at, token)?), until)
            }
            (Some(Challenge::Basic), given) => {
                let text = given.and_then(basic);
                (text.ok_or_else(|| self.no_credentials(at, refusal, &ask.method))?, None)
            }
        };
        let mut value =
            HeaderValue::try_from(text).map_err(|_| self.protocol(at, "the token is not a header value"))?;
        value.set_sensitive(true);
        self.authorizations.set(at, &ask.scopes, Granted { value, until });
        Ok(())
    }

    /// A token, by whatever the credentials are.
    pub(super) async fn token(&self, at: usize, wanted: &TokenRequest<'_>) -> Result<Token, RegistryError> {
        let url = self.token_server(at, wanted.realm).await?;
        let credentials = self.endpoints[at].credentials.as_ref();
        let response = match credentials {
            Some(given) if !given.identitytoken.is_empty() => self.refresh(at, url, wanted, given).await?,
            _ => self.exchange(at, url, wanted, credentials).await?,
        };
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(self.busy(at, status, retry_after(response.headers())));
            }
            _ => return Err(self.no_token(at, response).await),
        }
        let bytes = self.read(at, response, "the token", MAX_TOKEN).await?;
        serde_json::from_slice(&bytes).map_err(|_| self.protocol(at, "its token server sent no token"))
    }

    /// The token server's address, if the credentials may go there.
    async fn token_server(&self, at: usize, realm: &str) -> Result<Url, RegistryError> {
        let url =
            Url::parse(realm).map_err(|_| self.protocol(at, "its token server has no valid address"))?;
        let own = self.base(at).await?;
        let (host, realm_host) = (own.host_str().unwrap_or_default(), url.host_str().unwrap_or_default());
        let plain_is_fine = own.scheme() == "http"
            || self.endpoints[at].transport == Transport::Insecure
            || is_loopback(realm_host);
        if url.scheme() != "https" && !(url.scheme() == "http" && plain_is_fine) {
            return Err(self.protocol(at, "its token server is not reached over HTTPS"));
        }
        if self.endpoints[at].credentials.is_some() && !challenge::same_site(host, realm_host) {
            return Err(RegistryError::ForeignRealm {
                host: self.host(at).to_owned(),
                realm: realm_host.to_owned(),
            });
        }
        Ok(url)
    }

    /// The older way: what is wanted in the query, name and password in the header.
    async fn exchange(
        &self,
        at: usize,
        mut url: Url,
        wanted: &TokenRequest<'_>,
        credentials: Option<&Credentials>,
    ) -> Result<Response, RegistryError> {
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = wanted.service {
                query.append_pair("service", service);
            }
            for scope in wanted.scopes {
                query.append_pair("scope", scope);
            }
            if wanted.offline {
                query.append_pair("offline_token", "true").append_pair("client_id", CLIENT);
            }
            if let Some(given) = credentials.filter(|given| !given.username.is_empty()) {
                query.append_pair("account", &given.username);
            }
        }
        let authorization = credentials.and_then(basic).and_then(|text| HeaderValue::try_from(text).ok());
        self.send(at, url, &Ask::new(Method::GET, &[]), authorization).await
    }

    /// The newer way: a refresh token for an access token.
    async fn refresh(
        &self,
        at: usize,
        url: Url,
        wanted: &TokenRequest<'_>,
        given: &Credentials,
    ) -> Result<Response, RegistryError> {
        let scopes = wanted.scopes.join(" ");
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT),
            ("service", wanted.service.unwrap_or_default()),
            ("refresh_token", given.identitytoken.as_str()),
        ];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        let mut encoded = url.clone();
        encoded.query_pairs_mut().clear().extend_pairs(form);
        let body = encoded.query().unwrap_or_default().to_owned();
        let ask = Ask::new(Method::POST, &[])
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into());
        self.send(at, url, &ask, None).await
    }

    pub(super) fn access(&self, at: usize, token: Token) -> Result<String, RegistryError> {
        let text = token.token.or(token.access_token).filter(|text| !text.is_empty());
        text.ok_or_else(|| self.protocol(at, "its token server sent no token"))
    }

    /// Why there is no token, in the token server's words if it has any.
    async fn no_token(&self, at: usize, response: Response) -> RegistryError {
        #[derive(Deserialize)]
        struct Reason {
            #[serde(alias = "message", alias = "error_description")]
            details: String,
        }
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        let Ok(bytes) = self.read(at, response, "the error", MAX_TOKEN).await else {
            return self.no_access(at);
        };
        let reason = || {
            let reason: Reason = serde_json::from_slice(&bytes).ok()?;
            let text: String = reason.details.chars().filter(|c| !c.is_control()).take(200).collect();
            Some(format!("unauthorized: {text}"))
        };
        let plain = || unauthorized.then(|| "unauthorized: authentication required".to_owned());
        match complaint(&bytes).or_else(reason).or_else(plain) {
            Some(detail) => RegistryError::Denied { host: self.host(at).to_owned(), detail },
            None => self.no_access(at),
        }
    }

    fn no_access(&self, at: usize) -> RegistryError {
        RegistryError::Denied { host: self.host(at).to_owned(), detail: DENIED.to_owned() }
    }

    fn no_credentials(&self, at: usize, refusal: &Response, method: &Method) -> RegistryError {
        let method = match method.as_str() {
            "GET" => "Get",
            "HEAD" => "Head",
            "POST" => "Post",
            other => other,
        };
        let mut url = refusal.url().clone();
        url.set_query(None);
        let request = format!("{method} \"{url}\"");
        RegistryError::NoCredentials { host: self.host(at).to_owned(), request }
    }
}

/// The best way that a refusal offers.
pub(super) fn offered(refusal: &Response) -> Option<Challenge> {
    let values = refusal.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut all: Vec<Challenge> = values.filter_map(|value| challenge::parse(value.to_str().ok()?)).collect();
    let bearer = all.iter().position(|c| matches!(c, Challenge::Bearer { .. }));
    (!all.is_empty()).then(|| all.swap_remove(bearer.unwrap_or(0)))
}

/// Name and password as a header (RFC 7617), if there are any.
pub(super) fn basic(credentials: &Credentials) -> Option<String> {
    if credentials.username.is_empty() && credentials.password.is_empty() {
        return None;
    }
    let pair = format!("{}:{}", credentials.username, credentials.password);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}
