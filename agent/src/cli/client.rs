//! Requests to the agent, in the newest version of the API that both sides know.

pub(crate) use crate::cli::query::{filter_pair, name, query};

use crate::cli::connection::{Endpoint, Stream};
use crate::cli::failure::Failure;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::Mutex;
use tokio::io::AsyncRead;
use tokio::sync::OnceCell;

/// The largest answer that is read whole.
const ANSWER_LIMIT: usize = 256 << 20;
/// The version of the API to speak with a server that does not say which it knows.
const OLDEST: &str = "1.24";

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Where the agent is, and what it speaks.
pub(crate) struct Client {
    endpoint: Endpoint,
    version: OnceCell<String>,
    /// The connection that was asked for versions, for the next request.
    idle: Mutex<Option<SendRequest<Body>>>,
}

/// A body of bytes.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is read as it is sent.
pub(crate) fn streamed(reader: impl AsyncRead + Send + 'static) -> Body {
    use futures_util::StreamExt as _;
    let stream = tokio_util::io::ReaderStream::with_capacity(reader, 64 << 10);
    StreamBody::new(stream.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

impl Client {
    /// For an agent at an address.
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, version: OnceCell::new(), idle: Mutex::new(None) }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Failure> {
        let stream: Box<dyn Stream> = self.endpoint.connect().await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// Sends a request and returns the answer, whatever its status, before its body.
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.take());
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            return sender.send_request(request).await.map_err(lost);
        }
        let mut sender = self.connect().await?;
        sender.send_request(request).await.map_err(lost)
    }

    /// The version that requests are made in: as said in the environment, or the newest both sides know.
    pub(crate) async fn version(&self) -> Result<&str, Failure> {
        let version = self.version.get_or_try_init(|| async {
            match std::env::var("DOCKER_API_VERSION").ok().filter(|v| !v.is_empty()) {
                Some(version) => Ok(version.trim_start_matches('v').to_owned()),
                None => self.negotiate().await,
            }
        });
        version.await.map(String::as_str)
    }

    async fn negotiate(&self) -> Result<String, Failure> {
        let mut sender = self.connect().await?;
        let ping = request(Method::HEAD, "/_ping", &[], whole(""))?;
        let answer = sender.send_request(ping).await.map_err(lost)?;
        let theirs = answer.headers().get("api-version").and_then(|v| v.to_str().ok()).map(str::to_owned);
        // The connection is free for the next request once this answer is read.
        if answer.into_body().collect().await.is_ok()
            && let Ok(mut idle) = self.idle.lock()
        {
            *idle = Some(sender);
        }
        Ok(older(theirs.as_deref().unwrap_or(OLDEST), hull_api_docker::MAX_API_VERSION).to_owned())
    }

    /// A path with the version before it. What is Hull's own has none.
    async fn versioned(&self, path: &str) -> Result<String, Failure> {
        match path.starts_with("/hull/") {
            true => Ok(path.to_owned()),
            false => Ok(format!("/v{}{path}", self.version().await?)),
        }
    }

    /// Sends a request with a body and headers; a refusal is a failure. The body of the answer is still to come.
    pub(crate) async fn submit(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> Result<Response<Incoming>, Failure> {
        let path = self.versioned(path).await?;
        checked(self.send(request(method, &path, headers, body)?).await?).await
    }

    /// Sends a document; a refusal is a failure. The body of the answer is still to come.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<Response<Incoming>, Failure> {
        let json = [("content-type", "application/json".to_owned())];
        match document {
            Some(document) => self.submit(method, path, &json, whole(document.to_string())).await,
            None => self.submit(method, path, &[], whole("")).await,
        }
    }

    /// Sends a document and reads the whole answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        read(self.open(method, path, document).await?).await
    }

    /// Sends a document and reads the one that comes back; `Null` if there is none.
    pub(crate) async fn post(&self, path: &str, document: Option<&Value>) -> Result<Value, Failure> {
        let bytes = self.call(Method::POST, path, document).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Reads a document.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.call(Method::GET, path, None).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::new(format!("the answer to {path} cannot be understood: {e}")))
    }

    /// Turns the connection of a request into a raw one, and tells whether output comes in frames.
    pub(crate) async fn upgrade(
        &self,
        path: &str,
        document: Option<&Value>,
    ) -> Result<(hyper::upgrade::Upgraded, bool), Failure> {
        let body = whole(document.map(Value::to_string).unwrap_or_default());
        let json = [("content-type", "application/json".to_owned())];
        let headers = if document.is_some() { &json[..] } else { &[] };
        let mut request = request(Method::POST, &self.versioned(path).await?, headers, body)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
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

fn lost(error: hyper::Error) -> Failure {
    Failure::new(format!("error during connect: the agent hung up: {error}"))
}

fn request(
    method: Method,
    path: &str,
    headers: &[(&str, String)],
    body: Body,
) -> Result<Request<Body>, Failure> {
    let agent = concat!("Hull-Client/", env!("CARGO_PKG_VERSION"), " (linux)");
    let mut builder =
        Request::builder().method(method).uri(path).header(HOST, "hull").header(USER_AGENT, agent);
    for (name, value) in headers {
        let name = HeaderName::try_from(*name);
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            builder = builder.header(name, value);
        }
    }
    builder.body(body).map_err(|e| Failure::new(format!("{path:?} is no request: {e}")))
}

/// The older of two versions like `1.51`.
fn older<'a>(a: &'a str, b: &'a str) -> &'a str {
    let number = |v: &str| -> (u32, u32) {
        let (major, minor) = v.split_once('.').unwrap_or((v, "0"));
        (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
    };
    if number(a) < number(b) { a } else { b }
}

/// Whether output comes in frames, by its content type.
pub(crate) fn is_framed(response: &Response<Incoming>) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|t| t == "application/vnd.docker.multiplexed-stream")
}

/// Whether an answer is a list of messages about progress.
pub(crate) fn is_messages(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    let bytes = read(response).await?;
    let document: Option<Value> = serde_json::from_slice(&bytes).ok();
    let message = document.as_ref().and_then(|d| d["message"].as_str());
    let plain = || match String::from_utf8_lossy(&bytes).trim() {
        "" => format!("request returned {status}: check if the server supports the requested API version"),
        text => text.to_owned(),
    };
    Err(Failure::from_server(status.as_u16(), &message.map_or_else(plain, str::to_owned)))
}

/// The whole body of an answer.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok(body.map_err(|e| Failure::new(format!("the answer broke off: {e}")))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_version_is_spoken() {
        assert_eq!(older("1.9", "1.51"), "1.9");
        assert_eq!(older("1.52", "1.51"), "1.51");
    }
}
