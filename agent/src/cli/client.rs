//! Requests over the agent's socket, one connection each.

use crate::cli::failure::Failure;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::PathBuf;
use tokio::net::UnixStream;

/// The largest answer that is read whole.
const ANSWER_LIMIT: usize = 256 << 20;

/// Where the agent is.
#[derive(Debug)]
pub(crate) struct Client {
    path: PathBuf,
}

/// Text as one part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

impl Client {
    /// Reads `unix:///path`.
    pub(crate) fn new(host: &str) -> Result<Self, Failure> {
        match host.strip_prefix("unix://").filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self { path: path.into() }),
            None => Err(Failure::new(format!(
                "hull cannot connect to {host:?}: only Unix sockets are supported.\n\
                 Write it like --host {}, or unset DOCKER_HOST.",
                super::args::DEFAULT_HOST
            ))),
        }
    }

    fn unreachable(&self, error: &std::io::Error) -> Failure {
        let path = self.path.display();
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return Failure::new(format!(
                "permission denied while trying to connect to the Docker daemon socket at unix://{path}\n\
                 Run hull as root (sudo hull …), or join the group that owns the socket."
            ));
        }
        Failure::new(format!(
            "Cannot connect to the Docker daemon at unix://{path}. Is the docker daemon running?\n\
             See what the agent says with: systemctl status hulld\n\
             If it listens elsewhere, say where with --host or DOCKER_HOST."
        ))
    }

    /// Sends a request and returns the answer, whatever its status, before its body.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let lost = |e: hyper::Error| Failure::new(format!("error during connect: the agent hung up: {e}"));
        let stream = UnixStream::connect(&self.path).await.map_err(|e| self.unreachable(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(lost)
    }

    fn request(method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Failure> {
        let mut builder = Request::builder().method(method).uri(path).header(HOST, "hull");
        if body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        let bytes = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        builder.body(Full::new(bytes)).map_err(|e| Failure::new(format!("{path:?} is no request: {e}")))
    }

    /// Sends a request; a refusal is a failure. The body is still to come.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, Failure> {
        checked(self.send(Self::request(method, path, body)?).await?).await
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        read(self.open(method, path, body).await?).await
    }

    /// Reads a document.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.call(Method::GET, path, None).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::new(format!("the answer to {path} cannot be understood: {e}")))
    }

    /// Turns the connection of a request into a raw one.
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<(hyper::upgrade::Upgraded, bool), Failure> {
        let mut request = Self::request(Method::POST, path, Some(body))?;
        request.headers_mut().insert(CONNECTION, hyper::header::HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, hyper::header::HeaderValue::from_static("tcp"));
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            checked(response).await?;
            return Err(Failure::new("the agent did not hand over the connection"));
        }
        let framed = is_framed(&response);
        let raw = hyper::upgrade::on(response).await;
        Ok((raw.map_err(|e| Failure::new(format!("the agent hung up: {e}")))?, framed))
    }
}

/// Whether output comes in frames, by its content type.
pub(crate) fn is_framed(response: &Response<Incoming>) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|t| t == "application/vnd.docker.multiplexed-stream")
}

async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let bytes = read(response).await?;
    let document: Option<Value> = serde_json::from_slice(&bytes).ok();
    let message = document.as_ref().and_then(|d| d["message"].as_str());
    let plain = || String::from_utf8_lossy(&bytes).trim().to_owned();
    Err(Failure::from_server(status.as_u16(), &message.map_or_else(plain, str::to_owned)))
}

async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok(body.map_err(|e| Failure::new(format!("the answer broke off: {e}")))?.to_bytes())
}

/// `key=value` filters as the query parameter that carries them, with its name.
pub(crate) fn filters(given: &[String]) -> Result<String, Failure> {
    let mut by_key: std::collections::BTreeMap<String, Vec<&str>> = Default::default();
    for filter in given {
        let Some((key, value)) = filter.split_once('=') else {
            return Err(Failure::new(format!(
                "invalid argument {filter:?}: bad format of filter (expected name=value)"
            )));
        };
        by_key.entry(key.trim().to_ascii_lowercase()).or_default().push(value.trim());
    }
    if by_key.is_empty() {
        return Ok(String::new());
    }
    Ok(format!("filters={}", escape(&serde_json::json!(by_key).to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets_are_hosts() {
        assert_eq!(Client::new("unix:///run/docker.sock").unwrap().path, PathBuf::from("/run/docker.sock"));
        for bad in ["tcp://127.0.0.1:2375", "ssh://host", "/run/docker.sock", "unix://", ""] {
            assert!(Client::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_are_grouped_by_key() {
        let query = filters(&["label=a=b".into(), "label=c".into(), "name=web".into()]).unwrap();
        assert_eq!(query, format!("filters={}", escape(r#"{"label":["a=b","c"],"name":["web"]}"#)));
        assert!(filters(&["web".into()]).is_err());
        assert_eq!(filters(&[]).unwrap(), "");
    }
}
