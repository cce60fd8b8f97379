//! A client's connection once it is no longer HTTP, and whether anybody is still at its other end.

use crate::error::ApiError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWrite, DuplexStream, ReadHalf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

/// How often a client that will send nothing more is looked after.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes on their way to a client that did not ask for a raw connection.
const PIPE: usize = 64 << 10;

/// What a client sends.
pub(crate) enum Reader {
    /// On this host's socket; what was read ahead comes first.
    Unix { half: OwnedReadHalf, head: Bytes },
    /// Behind a transport that only says so when it is written to.
    Other(ReadHalf<TokioIo<Upgraded>>),
    /// Through the agent itself.
    Piped(ReadHalf<DuplexStream>),
}

/// What a client is told.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

impl Reader {
    /// Reads what is there, waiting for something. Zero is the client's end of file.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix { head, .. } if !head.is_empty() => {
                let length = head.len().min(buffer.len());
                buffer[..length].copy_from_slice(&head.split_to(length));
                Ok(length)
            }
            Self::Unix { half, .. } => half.read(buffer).await,
            Self::Other(half) => half.read(buffer).await,
            Self::Piped(half) => half.read(buffer).await,
        }
    }

    /// After the end of file: returns when nobody reads at the other end either. A client that only closed its own side is
    /// still listening.
    pub(crate) async fn gone(self) {
        match self {
            Self::Unix { half, .. } => {
                while !hung_up(half.as_ref()) {
                    tokio::time::sleep(LOOK).await;
                }
            }
            Self::Piped(_) => {}
            Self::Other(_) => std::future::pending().await,
        }
    }
}

fn hung_up(stream: &UnixStream) -> bool {
    let mut look = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    matches!(poll(&mut look, PollTimeout::ZERO), Ok(1..))
        && look[0].revents().is_some_and(|r| r.intersects(gone))
}

/// A connection within the agent.
pub(crate) fn piped(stream: DuplexStream) -> (Reader, Writer) {
    let (reader, writer) = tokio::io::split(stream);
    (Reader::Piped(reader), Box::new(writer))
}

fn raw(upgraded: Upgraded) -> (Reader, Writer) {
    match downcast::<TokioIo<UnixStream>>(upgraded) {
        Ok(parts) => {
            let (half, writer) = parts.io.into_inner().into_split();
            (Reader::Unix { half, head: parts.read_buf }, Box::new(writer))
        }
        Err(upgraded) => {
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            (Reader::Other(reader), Box::new(writer))
        }
    }
}

/// The promise of a raw connection, if the client asks for one. Taken before the request's body is read.
pub(crate) fn asked(request: &mut Request) -> Option<OnUpgrade> {
    let wanted = request.headers().contains_key(UPGRADE);
    wanted.then(|| hyper::upgrade::on(request))
}

/// Answers with a raw connection, or where none was asked for with a body, and hands the client's ends to `serve`.
pub(crate) fn answer<F>(
    upgrade: Option<OnUpgrade>,
    serve: impl FnOnce(Reader, Writer) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(upgrade) = upgrade else {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (reader, writer) = piped(ours);
        tokio::spawn(serve(reader, writer));
        return Response::new(Body::from_stream(pieces(theirs)));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let (reader, writer) = raw(upgraded);
                serve(reader, writer).await;
            }
            Err(error) => tracing::debug!(%error, "a client left before its connection turned raw"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.extensions_mut().insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
    response
}

fn pieces(from: DuplexStream) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(from, |mut from| async move {
        let mut buffer = vec![0; 32 << 10];
        match from.read(&mut buffer).await {
            Ok(0) => None,
            Ok(n) => {
                buffer.truncate(n);
                Some((Ok(buffer.into()), from))
            }
            Err(error) => Some((Err(error), from)),
        }
    })
}

/// A failure of a request whose answer would have been raw: Docker tells it as plain text.
pub(crate) fn refusal(error: &ApiError) -> Response {
    let mut response = Response::new(Body::from(format!("{}\r\n", error.message)));
    *response.status_mut() = error.status;
    let raw = HeaderValue::from_static("application/vnd.docker.raw-stream");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, raw);
    response
}
