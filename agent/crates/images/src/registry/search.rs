//! Looking for repositories: the one thing that is still asked in the first version of the registry's protocol.

use super::endpoint::{DEFAULT_REGISTRY, Endpoint, origin};
use super::error::RegistryError;
use super::session::{Ask, Session};
use super::transport::Timeouts;
use hull_ports::{Error, PullOptions, SearchHit};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use std::path::Path;

/// The host that knows what the default registry has.
const INDEX: &str = "index.docker.io";
/// What is found if nothing is said about how much should be.
const DEFAULT_LIMIT: u32 = 25;
/// The largest answer.
const MAX_ANSWER: u64 = 8 << 20;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Option<Vec<SearchHit>>,
}

/// Looks for repositories that match a term.
pub(crate) async fn search(
    term: &str,
    limit: u32,
    options: &PullOptions,
    ca_bundle: &Path,
    timeouts: Timeouts,
) -> Result<Vec<SearchHit>, Error> {
    let limit = if limit == 0 { DEFAULT_LIMIT } else { limit };
    if !(1..=100).contains(&limit) {
        return Err(Error::permanent(format!("limit {limit} is outside the range of [1, 100]")));
    }
    if term.contains("://") {
        return Err(Error::permanent(format!(
            "invalid repository name: repository name ({term}) should not have a scheme"
        )));
    }
    let (registry, query) = split(term);
    let endpoint = match registry {
        Some(registry) => origin(registry, options),
        None => Endpoint { host: INDEX.to_owned(), ..origin(DEFAULT_REGISTRY, options) },
    };
    let session = Session::new(vec![endpoint], ca_bundle, timeouts);
    let bytes = ask(&session, query, limit).await?;
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("registry {} does not answer a search as it should", session.host(0));
        Error::permanent(message).because(error)
    })?;
    let mut hits = answer.results.unwrap_or_default();
    hits.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(hits)
}

async fn ask(session: &Session, query: &str, limit: u32) -> Result<bytes::Bytes, Error> {
    let door = RegistryError::at_door;
    let mut url = session.base(0).await.map_err(door)?.clone();
    url.set_path("/v1/search");
    url.query_pairs_mut().append_pair("q", query).append_pair("n", &limit.to_string());
    let response = session.ask_url(0, url, &Ask::new(Method::GET, &[])).await.map_err(door)?;
    match response.status() {
        StatusCode::OK => session.read(0, response, "the answer", MAX_ANSWER).await.map_err(door),
        status => {
            let remedy =
                format!("the registry {} has no search: ask for the image by its name", session.host(0));
            Err(Error::permanent(format!("Unexpected status code {}", status.as_u16())).remedy(remedy))
        }
    }
}

/// The registry that a term begins with, if it does, and what to look for there.
fn split(term: &str) -> (Option<&str>, &str) {
    match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "docker.io" | INDEX => (None, rest.strip_prefix("library/").unwrap_or(rest)),
            first => (Some(first), rest),
        },
        _ => (None, term.strip_prefix("library/").unwrap_or(term)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_may_begin_with_a_registry() {
        let rows = [
            ("nginx", (None, "nginx")),
            ("team/app", (None, "team/app")),
            ("library/nginx", (None, "nginx")),
            ("docker.io/nginx", (None, "nginx")),
            ("r.example:5000/team/app", (Some("r.example:5000"), "team/app")),
            ("localhost/x", (Some("localhost"), "x")),
        ];
        for (term, wanted) in rows {
            assert_eq!(split(term), wanted, "{term}");
        }
    }
}
