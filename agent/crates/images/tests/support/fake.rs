//! A registry on loopback that does what a test tells it, byte by byte.

use super::image::{OCI_MANIFEST, TestImage, digest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    /// What came with it, as text.
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }
}

/// What happens after the bytes of a reply were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request.
    Continue,
    /// The connection is closed.
    Cut,
    /// Nothing, for a long time.
    Stall,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// As announced; the length of the body otherwise.
    pub length: Option<usize>,
    pub body: Vec<u8>,
    pub then: Then,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), length: None, body: body.into(), then: Then::Continue }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Only the first bytes are sent, although all are announced.
    pub fn only(mut self, count: usize, then: Then) -> Self {
        self.length = Some(self.body.len());
        self.body.truncate(count);
        self.then = then;
        self
    }
}

/// A test's own answer; `None` is the ordinary one.
pub type Script = dyn FnMut(&Request, &Content) -> Option<Reply> + Send;

#[derive(Default)]
pub struct Content {
    pub blobs: HashMap<String, Vec<u8>>,
    pub manifests: HashMap<String, (String, Vec<u8>)>,
}

impl Content {
    /// What a good registry answers.
    pub fn answer(&self, request: &Request) -> Reply {
        let last = request.path.rsplit('/').next().unwrap_or_default();
        if request.path.contains("/manifests/") {
            return match self.manifests.get(last) {
                Some((media_type, bytes)) => {
                    Reply::new(200, bytes.clone()).header("content-type", media_type)
                }
                None => Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
            };
        }
        if !request.is_blob() {
            return Reply::new(200, "{}");
        }
        let Some(bytes) = self.blobs.get(last) else { return Reply::new(404, "") };
        let from =
            request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) if from < bytes.len() => Reply::new(206, &bytes[from..])
                .header("content-range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
            Some(_) => Reply::new(416, ""),
            None => Reply::new(200, bytes.clone()),
        }
    }
}

struct Shared {
    content: Mutex<Content>,
    script: Mutex<Option<Box<Script>>>,
    requests: Mutex<Vec<Request>>,
}

pub struct Fake {
    pub host: String,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            content: Mutex::default(),
            script: Mutex::new(None),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, Arc::clone(&serving)));
            }
        });
        Self { host, shared, _server: AbortOnDropHandle::new(server) }
    }

    /// A registry that has one image under a tag.
    pub async fn with(tag: &str, image: &TestImage) -> Self {
        let fake = Self::start().await;
        fake.put(tag, image);
        fake
    }

    pub fn put(&self, tag: &str, image: &TestImage) {
        let mut content = self.shared.content.lock().unwrap();
        for blob in image.blobs() {
            content.blobs.insert(digest(blob).to_string(), blob.clone());
        }
        let manifest = (OCI_MANIFEST.to_owned(), image.manifest.clone());
        content.manifests.insert(digest(&image.manifest).to_string(), manifest.clone());
        content.manifests.insert(tag.to_owned(), manifest);
    }

    pub fn put_manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) {
        let entry = (media_type.to_owned(), bytes.to_vec());
        self.shared.content.lock().unwrap().manifests.insert(tag.to_owned(), entry);
    }

    pub fn script(&self, script: impl FnMut(&Request, &Content) -> Option<Reply> + Send + 'static) {
        *self.shared.script.lock().unwrap() = Some(Box::new(script));
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn blob_requests(&self, blob: &[u8]) -> usize {
        let name = digest(blob).to_string();
        self.requests().iter().filter(|r| r.path.ends_with(&name)).count()
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut pending = Vec::new();
    loop {
        let Some(request) = request(&mut stream, &mut pending).await else { return };
        shared.requests.lock().unwrap().push(request.clone());
        let reply = {
            let content = shared.content.lock().unwrap();
            let mut script = shared.script.lock().unwrap();
            let own = script.as_mut().and_then(|script| script(&request, &content));
            own.unwrap_or_else(|| content.answer(&request))
        };
        let mut head = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            reply.status,
            reply.length.unwrap_or(reply.body.len())
        );
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&reply.body).await.is_err() {
            return;
        }
        match reply.then {
            Then::Continue => {}
            Then::Cut => return,
            Then::Stall => tokio::time::sleep(Duration::from_secs(3600)).await,
        }
    }
}

async fn request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        // A TLS greeting, to which an HTTP server answers in plain text.
        if pending.first() == Some(&0x16) {
            let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTPS request\n").await;
            return None;
        }
        if let Some(end) = pending.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        let mut buffer = [0u8; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&pending[..end]).into_owned();
    pending.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while pending.len() < length {
        let mut buffer = [0u8; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => pending.extend_from_slice(&buffer[..count]),
        }
    }
    let body: Vec<u8> = pending.drain(..length).collect();
    Some(Request { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
