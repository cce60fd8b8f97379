//! Negotiation: `/v1.24/…` to `/v1.51/…` and no prefix mean the same routes; every answer says what is spoken here.

use crate::error::ApiError;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The newest version of the API that is spoken.
pub const MAX_API_VERSION: &str = "1.51";
/// The oldest one.
pub const MIN_API_VERSION: &str = "1.24";

/// Docker counts versions as numbers with two parts.
fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(major) || !digits(minor) {
        return None;
    }
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Takes a version prefix off a path. `None` in the first place if there is none.
fn split(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        parse(version).map(|_| (Some(version), &path[2 + version.len()..]))
    });
    versioned.unwrap_or((None, path))
}

/// Why a version cannot be spoken.
fn check(version: &str) -> Result<(), ApiError> {
    let asked = parse(version);
    if asked < parse(MIN_API_VERSION) {
        return Err(ApiError::bad_request(format!(
            "client version {version} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        )));
    }
    if asked > parse(MAX_API_VERSION) {
        return Err(ApiError::bad_request(format!(
            "client version {version} is too new. Maximum supported API version is {MAX_API_VERSION}"
        )));
    }
    Ok(())
}

/// The version a request was made with; the newest one without a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spoken(pub(crate) u32, pub(crate) u32);

/// Refuses versions that are not spoken, strips the prefix, and adds what is announced to every answer.
pub(crate) async fn negotiate(mut request: Request, next: Next) -> Response {
    let mut response = match rewrite(&mut request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let announced = [
        ("api-version", MAX_API_VERSION),
        ("docker-experimental", "false"),
        ("ostype", "linux"),
        ("server", concat!("Hull/", env!("CARGO_PKG_VERSION"), " (linux)")),
    ];
    for (name, value) in announced {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn rewrite(request: &mut Request) -> Result<(), ApiError> {
    let uri = request.uri();
    let (version, path) = split(uri.path());
    let version = version.unwrap_or(MAX_API_VERSION);
    check(version)?;
    let rest = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let (major, minor) = parse(version).unwrap_or_default();
    let rewritten = rest.parse::<Uri>().map_err(|_| ApiError::bad_request("the path is malformed"))?;
    *request.uri_mut() = rewritten;
    request.extensions_mut().insert(Spoken(major, minor));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_split_and_checked() {
        let rows = [
            ("/v1.41/info", Some("1.41"), "/info"),
            ("/info", None, "/info"),
            ("/volumes/x", None, "/volumes/x"),
            ("/v1/info", None, "/v1/info"),
            ("/v1.51", None, "/v1.51"),
        ];
        for (path, version, rest) in rows {
            assert_eq!(split(path), (version, rest), "{path}");
        }
        for good in ["1.24", "1.41", "1.51"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let newer = check("1.52").unwrap_err().message;
        assert!(newer.contains("1.52") && newer.contains("1.51"), "{newer}");
        let older = check("1.23").unwrap_err().message;
        assert!(older.contains("1.23") && older.contains("1.24"), "{older}");
        assert!(check("2.0").is_err());
    }
}
