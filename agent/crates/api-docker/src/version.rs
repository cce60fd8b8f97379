//! Negotiation: `/v1.24/…` to `/v1.51/…` and no prefix mean the same routes; every answer says what is spoken here.

use crate::error::ApiError;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The newest version of the API that is spoken.
pub const MAX_API_VERSION: &str = "1.51";
/// The oldest one.
pub const MIN_API_VERSION: &str = "1.24";

/// Docker counts versions as numbers with two parts; what is missing is zero.
fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?;
    Some((number(major)?, number(minor)?))
}

/// Takes a version prefix off a path. `None` in the first place if there is none.
fn split(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let (version, _) = rest.split_once('/')?;
        parse(version).map(|_| (Some(version), &path[2 + version.len()..]))
    });
    versioned.unwrap_or((None, path))
}

/// Why a version cannot be spoken, in Docker's words.
fn refusal(version: &str) -> Option<String> {
    let asked = parse(version);
    if asked < parse(MIN_API_VERSION) {
        return Some(format!(
            "client version {version} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        ));
    }
    let newer = asked > parse(MAX_API_VERSION);
    newer.then(|| {
        format!("client version {version} is too new. Maximum supported API version is {MAX_API_VERSION}")
    })
}

/// Answers a client whose version is not spoken. One that is older than errors in JSON gets the mere text.
fn refuse(version: &str, message: String) -> Response {
    if parse(version) < parse(MIN_API_VERSION) {
        return (StatusCode::BAD_REQUEST, message + "\n").into_response();
    }
    ApiError::bad_request(message).into_response()
}

/// The version a request was made with; the newest one without a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spoken(pub(crate) u32, pub(crate) u32);

/// Refuses versions that are not spoken, strips the prefix, and adds what is announced to every answer.
pub(crate) async fn negotiate(mut request: Request, next: Next) -> Response {
    let mut response = match rewrite(&mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
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

fn rewrite(request: &mut Request) -> Result<(), Box<Response>> {
    let uri = request.uri();
    let (version, path) = split(uri.path());
    let version = version.unwrap_or(MAX_API_VERSION);
    if let Some(message) = refusal(version) {
        return Err(Box::new(refuse(version, message)));
    }
    let rest = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let (major, minor) = parse(version).unwrap_or_default();
    let malformed = |_| Box::new(ApiError::bad_request("the path is malformed").into_response());
    let rewritten = rest.parse::<Uri>().map_err(malformed)?;
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
            ("/v1/info", Some("1"), "/info"),
            ("/vx/info", None, "/vx/info"),
            ("/v1.51", None, "/v1.51"),
        ];
        for (path, version, rest) in rows {
            assert_eq!(split(path), (version, rest), "{path}");
        }
        for good in ["1.24", "1.41", "1.51"] {
            assert_eq!(refusal(good), None, "{good}");
        }
        let newer = "client version 1.52 is too new. Maximum supported API version is 1.51";
        assert_eq!(refusal("1.52").as_deref(), Some(newer));
        for old in ["1.23", "1", "0.9"] {
            let older = format!(
                "client version {old} is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
            );
            assert_eq!(refusal(old), Some(older));
        }
        assert!(refusal("2.0").is_some());
    }
}
