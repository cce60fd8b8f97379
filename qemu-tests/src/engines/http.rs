//! Requests on a Unix socket, one connection each.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The most of an answer that is looked at.
const LARGEST: u64 = 64 << 20;

/// An answer: its status, content type and body. A body of several JSON values becomes an array of them.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) content_type: String,
    pub(crate) body: Value,
}

/// Asks, and reads to the end.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &[u8], kind: &str) -> Result<Answer> {
    let mut stream =
        UnixStream::connect(socket).with_context(|| format!("connecting to {}", socket.display()))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer ends with the connection, and is not sent in chunks.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: engine\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    // An engine may answer, and hang up, before it has read everything.
    let sent = stream.write_all(body);
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes).context("reading the answer")?;
    let text = String::from_utf8_lossy(&bytes);
    let Some((head, rest)) = text.split_once("\r\n\r\n") else {
        sent.context("sending the body")?;
        bail!("no HTTP answer");
    };
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok()).context("no status")?;
    let header = head.lines().find_map(|l| {
        let (name, value) = l.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    Ok(Answer { status, content_type: header.unwrap_or_default(), body: values(rest) })
}

fn values(text: &str) -> Value {
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.collect::<Result<Vec<_>, _>>() {
        Ok(mut values) if values.len() == 1 => values.remove(0),
        Ok(values) if values.is_empty() => Value::Null,
        Ok(values) => Value::Array(values),
        // No JSON: only that there is something counts.
        Err(_) => Value::String("<bytes>".to_owned()),
    }
}
