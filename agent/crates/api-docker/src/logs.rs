//! A container's output.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::frame::{self, Channel};
use crate::query::Query;
use crate::version::Spoken;
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use hull_model::{ContainerRecord, ContainerState, LogDriver};
use hull_ports::{ErrorClass, LogLine, LogOptions, LogStream, Stream};
use std::convert::Infallible;

/// What is shown of each line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) timestamps: bool,
    /// The attributes that a line was logged with.
    pub(crate) details: bool,
    pub(crate) framed: bool,
}

/// The content type of output: framed, or a terminal's bytes as they are. Clients before 1.42 know only the latter word.
pub(crate) fn content_type(framed: bool, spoken: Spoken) -> HeaderValue {
    HeaderValue::from_static(match framed && spoken >= Spoken(1, 42) {
        true => "application/vnd.docker.multiplexed-stream",
        false => "application/vnd.docker.raw-stream",
    })
}

/// `GET /containers/{id}/logs`
pub(crate) async fn logs(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::bad_request("Bad parameters: you must choose at least one stream"));
    }
    let record = state.engine.find(&id).await?;
    let options = LogOptions {
        tail: tail(&query)?,
        since: time(&query, "since")?,
        until: time(&query, "until")?,
        follow: query.flag("follow") && record.state.is_running(),
    };
    let shape = Shape {
        stdout,
        stderr,
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        framed: !record.spec.tty,
    };
    let lines = open(&state, &record, &options).await?;
    let body = lines.filter_map(move |line| async move { piece(line, shape).map(Ok::<_, Infallible>) });
    let mut response = Response::new(Body::from_stream(body));
    response.headers_mut().insert(CONTENT_TYPE, content_type(shape.framed, spoken));
    Ok(response)
}

/// A container's output. Drivers that keep nothing are refused in Docker's words.
pub(crate) async fn open(
    state: &State,
    record: &ContainerRecord,
    options: &LogOptions,
) -> Result<LogStream, ApiError> {
    if record.spec.log.driver == LogDriver::None {
        return Err(ApiError::internal("configured logging driver does not support reading"));
    }
    match state.engine.drivers().runtime.logs(&record.id, options).await {
        Ok(lines) => Ok(lines),
        // One that never ran has said nothing.
        Err(error) if error.class == ErrorClass::NotFound && record.state == ContainerState::Created => {
            Ok(futures_util::stream::empty().boxed())
        }
        Err(error) => Err(error.into()),
    }
}

/// A moment, as seconds since 1970. Its errors have Docker's status.
fn time(query: &Query, key: &str) -> Result<Option<jiff::Timestamp>, ApiError> {
    query.time(key).map_err(|_| {
        let text = query.text(key).unwrap_or_default();
        ApiError::internal(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
    })
}

/// `all` and negative numbers are no limit.
fn tail(query: &Query) -> Result<Option<usize>, ApiError> {
    match query.text("tail") {
        None | Some("all") => Ok(None),
        // Docker takes whatever is no number for all; so do scripts that rely on it.
        Some(text) => Ok(text.parse::<i64>().ok().and_then(|n| usize::try_from(n).ok())),
    }
}

/// A line as it goes on the wire. A failure in the middle is told in the stream: the status has long been sent.
pub(crate) fn piece(line: hull_ports::Result<LogLine>, shape: Shape) -> Option<Bytes> {
    let (channel, bytes) = match line {
        Ok(line) => {
            let (wanted, channel) = match line.stream {
                Stream::Stdout => (shape.stdout, Channel::Stdout),
                Stream::Stderr => (shape.stderr, Channel::Stderr),
            };
            if !wanted {
                return None;
            }
            let mut bytes = Vec::new();
            if shape.timestamps {
                bytes.extend(format!("{:.9} ", line.at).into_bytes());
            }
            if shape.details {
                bytes.extend(details(&line).into_bytes());
                bytes.push(b' ');
            }
            bytes.extend(line.bytes);
            (channel, bytes)
        }
        Err(error) => (Channel::System, format!("Error grabbing logs: {}\n", error.chain()).into_bytes()),
    };
    Some(if shape.framed { frame::encode(channel, &bytes).into() } else { bytes.into() })
}

/// `key=value` pairs, escaped as in a URL.
fn details(line: &LogLine) -> String {
    let escaped = |text: &str| -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        let byte = |b: u8| match b {
            b' ' => "+".to_owned(),
            b if plain(b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs = line.attributes.iter().map(|(k, v)| format!("{}={}", escaped(k), escaped(v)));
    pairs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn lines_are_chosen_stamped_and_framed() {
        let line = |stream| LogLine {
            stream,
            at: Timestamp::UNIX_EPOCH,
            bytes: b"hello\n".to_vec(),
            attributes: Default::default(),
        };
        let all = Shape { stdout: true, stderr: true, timestamps: false, details: false, framed: true };
        assert_eq!(piece(Ok(line(Stream::Stderr)), all).unwrap()[..], *b"\x02\0\0\0\0\0\0\x06hello\n");
        let stamped = Shape { framed: false, timestamps: true, stderr: false, ..all };
        assert_eq!(
            piece(Ok(line(Stream::Stdout)), stamped).unwrap()[..],
            *b"1970-01-01T00:00:00.000000000Z hello\n"
        );
        assert_eq!(piece(Ok(line(Stream::Stderr)), stamped), None);
        let failed = piece(Err(hull_ports::Error::retryable("reading the log")), all).unwrap();
        assert_eq!(failed[0], 3);
    }

    #[test]
    fn tail_is_a_number_or_everything() {
        let read = |text| tail(&Query::parse(Some(text))).unwrap();
        assert_eq!(
            [read("tail=all"), read("tail=10"), read("tail=-1"), read(""), read("tail=0")],
            [None, Some(10), None, None, Some(0)]
        );
    }
}
