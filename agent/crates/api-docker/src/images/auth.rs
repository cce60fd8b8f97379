//! Who asks a registry: the header that carries it, and logging in.

use crate::State;
use crate::error::{Answer, ApiError};
use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use hull_ports::{Credentials, Error, ErrorClass, PullOptions};
use serde_json::json;

/// The URL's alphabet, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credentials of a request. What cannot be read counts as none, as in Docker.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let text = headers.get("x-registry-auth")?.to_str().ok()?;
    let read: Credentials = serde_json::from_slice(&BASE64.decode(text.trim()).ok()?).ok()?;
    (read != Credentials::default()).then_some(read)
}

/// How a registry is asked on behalf of a request.
pub(crate) fn options(headers: &HeaderMap) -> PullOptions {
    PullOptions { credentials: credentials(headers), ..PullOptions::default() }
}

/// A registry's refusal. Docker passes on what it said with its status, and calls everything else its own failure. Clients
/// match on the words, so no advice is added to them.
pub(crate) fn refused(error: Error) -> ApiError {
    let said = error.chain();
    let status = match error.class {
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::Conflict => StatusCode::CONFLICT,
        _ if said.contains("unauthorized: ") => StatusCode::UNAUTHORIZED,
        _ if said.contains("denied: ") => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, said)
}

/// `POST /auth`
pub(crate) async fn login(Shared(state): Shared<State>, body: Bytes) -> Answer {
    let credentials: Credentials = serde_json::from_slice(&body).map_err(|e| {
        let message = match (body.is_empty(), e.is_eof()) {
            (true, _) => "EOF".to_owned(),
            (false, true) => "unexpected EOF".to_owned(),
            (false, false) => e.to_string(),
        };
        ApiError::internal(message)
    })?;
    let options = state.engine.reaching(PullOptions::default());
    let login = state.engine.drivers().images.login(&credentials, &options).await.map_err(refused)?;
    let body = json!({ "IdentityToken": login.identity_token, "Status": "Login Succeeded" });
    Ok(Json(body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_with_padding_or_without() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-registry-auth", text.parse().unwrap());
            credentials(&headers).map(|c| (c.username, c.password))
        };
        let expected = Some(("joe".to_owned(), "s?>".to_owned()));
        for good in [
            "eyJ1c2VybmFtZSI6ImpvZSIsInBhc3N3b3JkIjoicz8-In0=",
            "eyJ1c2VybmFtZSI6ImpvZSIsInBhc3N3b3JkIjoicz8-In0",
        ] {
            assert_eq!(read(good), expected);
        }
        for none in ["e30=", "!!!", "bm9qc29u", ""] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
