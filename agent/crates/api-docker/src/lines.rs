//! Answers of many lines, one JSON object each, while something goes on: transfers of images.
//!
//! The status is only sent with the first line, so that what fails before it is an error of the request. What fails later is
//! told in the stream. Whoever hangs up ends what goes on.

use crate::error::{Answer, ApiError};
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, stream};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Lines that may wait for a slow client before news that the next news makes worthless are left out.
const WAITING: usize = 256;

/// One line, in Docker's order of fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aux: Option<Value>,
}

impl Line {
    /// A message, about an object if one is named.
    pub(crate) fn status(text: impl Into<String>, id: Option<String>) -> Self {
        Self { status: Some(text.into()), id, ..Self::default() }
    }

    /// Text for a terminal.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { stream: Some(text.into()), ..Self::default() }
    }

    /// Something for programs.
    pub(crate) fn aux(value: Value) -> Self {
        Self { detail: Some(json!({})), aux: Some(value), ..Self::default() }
    }
}

enum Piece {
    Line(Bytes),
    Failed(ApiError),
}

/// Where lines are written to. Lines that nobody reads any more are dropped.
#[derive(Clone)]
pub(crate) struct Lines {
    sender: mpsc::UnboundedSender<Piece>,
    waiting: Arc<AtomicUsize>,
}

impl Lines {
    /// Writes a line.
    pub(crate) fn write(&self, line: &Line) {
        // A line is made of texts and numbers only, which JSON can always say.
        let Ok(mut bytes) = serde_json::to_vec(line) else { return };
        bytes.extend_from_slice(b"\r\n");
        self.waiting.fetch_add(1, Ordering::Relaxed);
        _ = self.sender.send(Piece::Line(bytes.into()));
    }

    /// Writes an error as a line, whether it is the first or not.
    pub(crate) fn failed(&self, message: &str) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        _ = self.sender.send(Piece::Line(failure(message)));
    }

    /// Writes a line that may be left out if the client is slow.
    pub(crate) fn write_if_read(&self, line: &Line) {
        if self.waiting.load(Ordering::Relaxed) < WAITING {
            self.write(line);
        }
    }
}

/// What goes on; it ends with its last reader.
struct Work {
    pieces: mpsc::UnboundedReceiver<Piece>,
    waiting: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    async fn next(&mut self) -> Option<Piece> {
        let piece = self.pieces.recv().await?;
        if matches!(piece, Piece::Line(_)) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        Some(piece)
    }
}

/// Answers with the lines that some work writes.
pub(crate) async fn answer<F, W>(work: F) -> Answer
where
    F: FnOnce(Lines) -> W,
    W: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let (sender, pieces) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let going_on = work(Lines { sender: sender.clone(), waiting: waiting.clone() });
    let task = tokio::spawn(async move {
        // A panic is logged by whoever is told of panics; here it must not look like a good end.
        let ended = AssertUnwindSafe(going_on).catch_unwind().await;
        let outcome = ended.unwrap_or_else(|_| Err(ApiError::internal("the agent failed while doing this")));
        if let Err(error) = outcome {
            _ = sender.send(Piece::Failed(error));
        }
    });
    let mut work = Work { pieces, waiting, task };
    let body = match work.next().await {
        None => Body::empty(),
        Some(Piece::Failed(error)) => return Err(error),
        Some(Piece::Line(first)) => Body::from_stream(all(first, work)),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn all(first: Bytes, work: Work) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold((Some(first), work), |(first, mut work)| async move {
        let bytes = match first {
            Some(first) => first,
            None => match work.next().await? {
                Piece::Line(line) => line,
                Piece::Failed(error) => failure(&error.message),
            },
        };
        Some((Ok(bytes), (None, work)))
    })
}

/// An error after the first line.
fn failure(message: &str) -> Bytes {
    // Docker's order of fields, which a map of JSON would not keep.
    #[derive(Serialize)]
    struct Failure<'a> {
        #[serde(rename = "errorDetail")]
        detail: Value,
        error: &'a str,
    }
    let failure = Failure { detail: json!({ "message": message }), error: message };
    let mut bytes = serde_json::to_vec(&failure).unwrap_or_default();
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn body(answer: Answer) -> Result<String, (u16, String)> {
        let response = answer.map_err(|e| (e.status.as_u16(), e.message))?;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_fails_first_is_a_status_and_later_a_line() {
        let nothing = answer(|_| async { Ok(()) }).await;
        assert_eq!(body(nothing).await, Ok(String::new()));
        let first = answer(|_| async { Err(ApiError::not_found("no")) }).await;
        assert_eq!(body(first).await, Err((404, "no".into())));
        let panicked = answer(|_| async { panic!("the test asked for it") }).await;
        assert_eq!(body(panicked).await, Err((500, "the agent failed while doing this".into())));
        let later = answer(|lines| async move {
            lines.write(&Line::status("Pulling from a", Some("1".into())));
            lines.write(&Line::aux(json!({ "Tag": "1" })));
            lines.write(&Line::text("x\n"));
            Err(ApiError::not_found("no"))
        });
        let expected = "{\"status\":\"Pulling from a\",\"id\":\"1\"}\r\n{\"progressDetail\":{},\"aux\":{\"Tag\":\"1\"}}\r\n{\"stream\":\"x\\n\"}\r\n{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n";
        assert_eq!(body(later.await).await.as_deref(), Ok(expected));
    }

    #[tokio::test]
    async fn whoever_hangs_up_ends_it() {
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.store(1, Ordering::Relaxed);
            }
        }
        let ended = Arc::new(AtomicUsize::new(0));
        let alive = Alive(ended.clone());
        let response = answer(|lines| async move {
            let _alive = alive;
            lines.write(&Line::text("x"));
            std::future::pending::<()>().await;
            Ok(())
        });
        drop(response.await.unwrap());
        let over = async {
            while ended.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), over).await.expect("it ends");
    }

    #[tokio::test]
    async fn a_slow_client_is_not_told_everything() {
        let (sender, _pieces) = mpsc::unbounded_channel();
        let lines = Lines { sender, waiting: Arc::default() };
        (0..WAITING * 2).for_each(|_| lines.write_if_read(&Line::text("x")));
        assert_eq!(lines.waiting.load(Ordering::Relaxed), WAITING);
    }
}
