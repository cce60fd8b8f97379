//! What registries say when they will not do something.

use super::error::{DENIED, RegistryError};
use super::session::Session;
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// The longest body of an answer that says what went wrong.
const MAX_COMPLAINT: u64 = 64 << 10;

impl Session {
    /// What a registry that will not do something says about it.
    pub(crate) async fn refused(&self, at: usize, response: Response) -> RegistryError {
        let status = response.status();
        match self.complaint(at, response).await {
            Some(detail) => RegistryError::Refused { host: self.host(at).to_owned(), detail },
            None => self.protocol(at, format!("unexpected status {status}")),
        }
    }

    pub(super) async fn denied(&self, at: usize, response: Response) -> RegistryError {
        let scope_is_short = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .any(|value| value.to_str().is_ok_and(|text| text.contains("error=\"insufficient_scope\"")));
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        let detail = match self.complaint(at, response).await {
            _ if scope_is_short => DENIED.to_owned(),
            Some(detail) => detail,
            None if unauthorized => "unauthorized: authentication required".to_owned(),
            None => DENIED.to_owned(),
        };
        RegistryError::Denied { host: self.host(at).to_owned(), detail }
    }

    async fn complaint(&self, at: usize, response: Response) -> Option<String> {
        let bytes = self.read(at, response, "the error", MAX_COMPLAINT).await.ok()?;
        complaint(&bytes)
    }
}

/// `{"errors":[{"code":"NAME_UNKNOWN","message":"…"}]}` as `name unknown: …` (distribution specification, "Error codes").
pub(super) fn complaint(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Complaints {
        errors: Vec<Complaint>,
    }
    #[derive(Deserialize)]
    struct Complaint {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let all: Complaints = serde_json::from_slice(bytes).ok()?;
    let text = |one: &Complaint| {
        let code = one.code.to_lowercase().replace('_', " ");
        // Whatever a registry says is shown on people's terminals.
        let message: String = one.message.chars().filter(|c| !c.is_control()).collect();
        if message.is_empty() { code } else { format!("{code}: {message}") }
    };
    match all.errors.as_slice() {
        [] => None,
        [one] => Some(text(one)),
        several => Some(format!("errors:\n{}", several.iter().map(text).collect::<Vec<_>>().join("\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_as_clients_know_them() {
        let rows = [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#,
                Some("manifest unknown: manifest unknown"),
            ),
            (
                r#"{"errors":[{"code":"DENIED","message":"re\u001b[31mquested"}]}"#,
                Some("denied: re[31mquested"),
            ),
            (r#"{"errors":[{"code":"A_B"},{"code":"C","message":"d"}]}"#, Some("errors:\na b\nc: d")),
            (r#"{"errors":[]}"#, None),
            ("<html>", None),
            ("", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(complaint(text.as_bytes()).as_deref(), wanted, "{text}");
        }
    }
}
