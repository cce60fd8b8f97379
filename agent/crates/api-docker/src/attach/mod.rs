//! Connecting a client with the main process of a container.

mod websocket;

pub(crate) use websocket::attach as attach_websocket;

use crate::State;
use crate::connection::{self, Reader, Writer};
use crate::descriptor::Descriptor;
use crate::error::{Answer, ApiError};
use crate::escape;
use crate::logs::{Shape, content_type, piece};
use crate::pump::{self, Departure, Streams, Wanted};
use crate::query::Query;
use crate::version::Spoken;
use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use futures_util::StreamExt as _;
use hull_model::{ContainerRecord, ContainerState};
use hull_ports::{AttachSpec, LogOptions, LogStream};
use std::collections::BTreeMap;
use tokio::io::AsyncWriteExt as _;

/// What a client wants of a container's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    spec: AttachSpec,
    /// What was said before, first.
    logs: bool,
    /// What is said from now on.
    stream: bool,
    keys: Vec<u8>,
}

impl Wish {
    fn read(query: &Query) -> Result<Self, ApiError> {
        let text = query.text("detachKeys").unwrap_or_default();
        let bad = |_| ApiError::bad_request(format!("Invalid detach keys ({text}) provided"));
        Ok(Self {
            spec: AttachSpec {
                stdin: query.flag("stdin"),
                stdout: query.flag("stdout"),
                stderr: query.flag("stderr"),
            },
            logs: query.flag("logs"),
            stream: query.flag("stream"),
            keys: escape::parse(text).map_err(bad)?,
        })
    }
}

/// A container's streams, ready to be connected.
struct Attached {
    record: ContainerRecord,
    past: Option<LogStream>,
    streams: Option<Streams>,
    wish: Wish,
}

/// Attaches to the streams before anything is answered: from then on no byte is missed.
async fn prepare(state: &State, id: &str, mut wish: Wish) -> Result<Attached, ApiError> {
    let record = state.engine.find(id).await?;
    if let ContainerState::Running { paused: true, .. } = record.state {
        return Err(ApiError::conflict(format!(
            "container {id} is paused, unpause the container before attach"
        )));
    }
    if state.engine.will_restart(&record) {
        return Err(ApiError::conflict(format!(
            "container {id} is restarting, wait until the container is running"
        )));
    }
    wish.spec.stdin &= record.spec.stdin_open;
    let now = state.engine.drivers().clock.now();
    let streams = match wish.stream {
        true => {
            let io = state.engine.attach(&record.id, wish.spec).await?;
            let failed = |e: std::io::Error| ApiError::internal(format!("connecting to the container: {e}"));
            let open = |fd: Option<std::os::fd::OwnedFd>| fd.map(Descriptor::new).transpose().map_err(failed);
            let (stdin, stdout, stderr) = (open(io.stdin)?, open(io.stdout)?, open(io.stderr)?);
            Some(Streams { stdin, stdout, stderr, terminal: None })
        }
        false => None,
    };
    let past = match wish.logs {
        true => {
            let until = wish.stream.then_some(now);
            let options = LogOptions { until, ..LogOptions::default() };
            Some(crate::logs::open(state, &record, &options).await?)
        }
        false => None,
    };
    Ok(Attached { record, past, streams, wish })
}

/// `POST /containers/{id}/attach`
pub(crate) async fn attach(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    mut request: Request,
) -> Answer {
    let prepared = match Wish::read(&Query::parse(query.as_deref())) {
        Ok(wish) => prepare(&state, &id, wish).await,
        Err(error) => Err(error),
    };
    let attached = match prepared {
        Ok(attached) => attached,
        Err(error) => return Ok(connection::refusal(&error)),
    };
    let framed = !attached.record.spec.tty;
    let upgrade = connection::asked(&mut request);
    let mut response =
        connection::answer(upgrade, move |reader, writer| connect(state, attached, framed, reader, writer));
    response.headers_mut().insert(CONTENT_TYPE, content_type(framed, spoken));
    Ok(response)
}

/// Connects a client with a container until the container has ended, or the client detaches or goes away.
async fn connect(state: State, attached: Attached, framed: bool, reader: Reader, mut writer: Writer) {
    let Attached { record, past, streams, wish } = attached;
    let AttachSpec { stdout, stderr, .. } = wish.spec;
    if let Some(mut past) = past {
        let shape = Shape { stdout, stderr, timestamps: false, details: false, framed };
        while let Some(line) = past.next().await {
            let Some(bytes) = piece(line, shape) else { continue };
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
    let Some(mut streams) = streams else {
        _ = writer.shutdown().await;
        return;
    };
    let stdin = streams.stdin.take();
    let keys = record.spec.tty.then(|| wish.keys.clone());
    let wanted = Wanted { stdout, stderr, framed };
    let only_input = streams.stdout.is_none() && streams.stderr.is_none();
    let left = {
        let talk = async {
            if only_input {
                // Nothing will be said whose end could tell the container's.
                ended(&state, &record).await;
            }
            _ = pump::output(&mut streams, &mut writer, wanted, None).await;
        };
        tokio::select! {
            biased;
            () = talk => None,
            left = pump::input(reader, stdin, None, keys) => Some(left),
        }
    };
    _ = writer.shutdown().await;
    if left == Some(Departure::Detached) {
        state.engine.announce_container(&record, "detach", BTreeMap::new());
    }
}

/// Waits for the end of a container; of one that does not run yet, for the end of its next run.
async fn ended(state: &State, record: &ContainerRecord) {
    let until = match record.state.is_running() {
        true => hull_engine::Until::NotRunning,
        false => hull_engine::Until::NextExit,
    };
    if let Ok(waiting) = state.engine.wait_until(&record.id, until).await {
        _ = waiting.await;
    }
}

/// `POST /containers/{id}/resize`
pub(crate) async fn resize(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (rows, columns) = crate::exec::dimensions(&Query::parse(query.as_deref()))?;
    let record = state.engine.find(&id).await?;
    // A container without a terminal has no size; Docker's clients are not told.
    if record.spec.tty || !record.state.is_running() {
        state.engine.resize(&record.id, rows, columns).await?;
    }
    Ok(StatusCode::OK.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_from_the_query() {
        let read = |text| Wish::read(&Query::parse(Some(text)));
        let wish = read("stdin=1&stdout=1&stream=1&detachKeys=ctrl-a").unwrap();
        assert!(wish.spec.stdin && wish.spec.stdout && !wish.spec.stderr && wish.stream && !wish.logs);
        assert_eq!(wish.keys, [1]);
        assert_eq!(read("detachKeys=bogus").unwrap_err().message, "Invalid detach keys (bogus) provided");
    }
}
