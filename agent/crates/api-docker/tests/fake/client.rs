//! A client that says exactly what it is told to.

use super::Host;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::UnixStream;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Sends a request and waits for the head of its answer.
pub(crate) async fn send(
    host: &Host,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Incoming> {
    let stream = UnixStream::connect(&host.socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder().method(method).uri(path).header("host", "docker");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Full::new(body.into())).unwrap();
    tokio::time::timeout(DEADLINE, sender.send_request(request)).await.expect("the head comes").unwrap()
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = tokio::time::timeout(DEADLINE, response.into_body().collect()).await.expect("the body ends");
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

/// The status and the whole body as text.
pub(crate) async fn ask(host: &Host, method: Method, path: &str, body: impl Into<Bytes>) -> (u16, String) {
    let response = send(host, method, path, &[], body).await;
    (response.status().as_u16(), text(response).await)
}

/// The same for a body in JSON.
pub(crate) async fn json(host: &Host, method: Method, path: &str) -> (u16, Value) {
    let (status, text) = ask(host, method, path, "").await;
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Everything but letters and digits as a URL has it.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
