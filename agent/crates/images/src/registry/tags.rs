//! The tags of a repository (distribution specification, "Listing Tags").

use super::client::Client;
use super::error::RegistryError;
use super::session::Ask;
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Tags asked for at a time.
const PAGE: u32 = 1000;
/// The largest page: tags are at most 128 bytes.
const MAX_PAGE: u64 = 4 << 20;
/// More pages than this are no repository.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Page {
    /// Some registries say null for none.
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags, from the first endpoint that knows the repository.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, RegistryError> {
        let mut at = 0;
        loop {
            match self.tags_at(at).await {
                Err(error) if at + 1 < self.endpoints() && error.is_about_host() => at += 1,
                result => return result,
            }
        }
    }

    async fn tags_at(&self, at: usize) -> Result<Vec<String>, RegistryError> {
        let ask = Ask::new(Method::GET, &self.scopes);
        let path = format!("v2/{}/tags/list?n={PAGE}", self.repository);
        let mut response = self.session.ask(at, &path, &ask).await?;
        let mut tags = BTreeSet::new();
        for _ in 0..MAX_PAGES {
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Err(self.no_repository()),
                _ => return Err(self.session.refused(at, response).await),
            }
            let next = next(response.url(), response.headers());
            let bytes = self.session.read(at, response, "a page of tags", MAX_PAGE).await?;
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|_| self.protocol(at, "it sent no list of tags"))?;
            let before = tags.len();
            tags.extend(page.tags.unwrap_or_default());
            match next {
                // A page with nothing new has no end behind it.
                Some(url) if tags.len() > before => {
                    self.session.check_scheme(at, &url)?;
                    response = self.session.ask_url(at, url, &ask).await?;
                }
                _ => return Ok(tags.into_iter().collect()),
            }
        }
        Err(self.protocol(at, "its list of tags does not end"))
    }
}

/// The address behind `rel="next"` (RFC 8288).
fn next(base: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|text| text.split(",<").flat_map(|part| part.split(", <"))).find_map(|link| {
        let (target, parameters) = link.trim_start_matches(['<', ' ']).split_once('>')?;
        let is_next = parameters.split(';').any(|p| {
            p.trim()
                .strip_prefix("rel=")
                .is_some_and(|rel| rel.trim_matches('"').eq_ignore_ascii_case("next"))
        });
        is_next.then(|| base.join(target).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn the_next_page_is_found() {
        let base = Url::parse("https://r.example/v2/a/tags/list?n=2").unwrap();
        let rows = [
            (
                "</v2/a/tags/list?last=b&n=2>; rel=\"next\"",
                Some("https://r.example/v2/a/tags/list?last=b&n=2"),
            ),
            ("<https://o.example/x>; rel=next", Some("https://o.example/x")),
            ("</first>; rel=\"first\", </second>; rel=\"next\"", Some("https://r.example/second")),
            ("</x>; rel=\"last\"", None),
            ("", None),
            ("<", None),
            (">; rel=next", Some("https://r.example/v2/a/tags/list?n=2")),
        ];
        for (text, wanted) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_str(text).unwrap());
            assert_eq!(next(&base, &headers).as_ref().map(Url::as_str), wanted, "{text}");
        }
    }
}
