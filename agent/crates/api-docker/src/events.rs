//! The stream of events: what is remembered, and what comes.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::moment;
use crate::query::Query;
use axum::body::Body;
use axum::extract::{RawQuery, State as Shared};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hull_engine::Event;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::broadcast::{self, error::RecvError};

/// Filters that choose by the beginning of an object's id or name, whatever it is.
const OBJECTS: &[&str] =
    &["container", "volume", "network", "daemon", "plugin", "node", "service", "secret", "config"];

/// How many listen to events right now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listeners(Arc<AtomicUsize>);

impl Listeners {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Listening {
        self.0.fetch_add(1, Ordering::Relaxed);
        Listening(self.clone())
    }
}

/// One that listens, for as long as it lives.
struct Listening(Listeners);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The time between two moments, of which each may be missing.
#[derive(Debug, Clone, Copy)]
struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Span {
    fn read(query: &Query) -> Result<Self, ApiError> {
        let time = |key: &str| match query.text(key).filter(|text| *text != "0") {
            None => Ok(None),
            Some(text) => moment::exact(text).map(Some).ok_or_else(|| {
                ApiError::internal(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        };
        let (since, until) = (time("since")?, time("until")?);
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            let text = |key| query.text(key).unwrap_or_default();
            let (since, until) = (text("since"), text("until"));
            let message = format!("`since` time ({since}) cannot be after `until` time ({until})");
            return Err(ApiError::bad_request(message));
        }
        Ok(Self { since, until })
    }

    /// Whether something that is remembered is asked for: nothing is if no time is named.
    fn has_past(&self, event: &Event) -> bool {
        (self.since.is_some() || self.until.is_some()) && self.since.is_none_or(|since| event.at >= since)
    }
}

/// `GET /events`
pub(crate) async fn stream(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse_any(query.text("filters"))?;
    let span = Span::read(&query)?;
    let (kept, live) = state.engine.history();
    let now = state.engine.drivers().clock.now();
    let left = span.until.map(|until| until.duration_since(now).try_into().unwrap_or_default());
    let over = async move {
        match left {
            None => std::future::pending().await,
            Some(left) => tokio::time::sleep(left).await,
        }
    };
    let listening = state.listeners.enter();
    let past = kept.into_iter().filter(move |event| span.has_past(event));
    // What is kept is told in any case; only what comes is waited for.
    let events = stream::iter(past).chain(receive(live).take_until(Box::pin(over)));
    let lines = events.filter_map(move |event| {
        let _listening = &listening;
        let passes = passes(&event, &filters) && span.until.is_none_or(|until| event.at <= until);
        std::future::ready(passes.then(|| Ok::<_, Infallible>(line(&event))))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn receive(live: broadcast::Receiver<Event>) -> impl Stream<Item = Event> + Send {
    stream::unfold(live, |mut live| async move {
        loop {
            match live.recv().await {
                Ok(event) => return Some((event, live)),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a listener was too slow for the events");
                }
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// Whether an event is asked for. Filters of other keys choose nothing, as in Docker.
fn passes(event: &Event, filters: &Filters) -> bool {
    let name = event.attributes.get("name").map(String::as_str);
    let begins = |wanted: &str| event.id.starts_with(wanted) || name.is_some_and(|n| n.starts_with(wanted));
    // What a program in a container was asked to do follows the word.
    let word = event.action.split(':').next().unwrap_or_default();
    filters.any("type", |wanted| event.kind == wanted)
        && filters.any("event", |wanted| event.action == wanted || word == wanted)
        && filters.any("scope", |wanted| wanted == "local")
        && filters.any("image", |wanted| of_image(event, wanted))
        && filters.labels(&event.attributes)
        && OBJECTS.iter().all(|key| filters.any(key, begins))
}

fn of_image(event: &Event, wanted: &str) -> bool {
    let key = if event.kind == "image" { "name" } else { "image" };
    let name = event.attributes.get(key).map(String::as_str).unwrap_or_default();
    let tagless = |text: &str| match text.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        _ => text.to_owned(),
    };
    let same = |text: &str| !text.is_empty() && (text == wanted || tagless(text) == wanted);
    same(&event.id) || same(name)
}

/// One event, in Docker's order. Containers and images also have the words that old clients read.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'a str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

fn line(event: &Event) -> Bytes {
    let old = matches!(event.kind.as_str(), "container" | "image");
    let image = event.attributes.get("image").filter(|_| event.kind == "container");
    let told = Told {
        status: old.then_some(event.action.as_str()),
        id: Some(event.id.as_str()).filter(|id| old && !id.is_empty()),
        from: image.map(String::as_str),
        kind: &event.kind,
        action: &event.action,
        actor: Actor { id: &event.id, attributes: &event.attributes },
        scope: "local",
        time: event.at.as_second(),
        time_nano: i64::try_from(event.at.as_nanosecond()).unwrap_or(i64::MAX),
    };
    // Texts and numbers can always be said in JSON.
    let mut bytes = serde_json::to_vec(&told).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn event(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let at = Timestamp::new(5, 7).unwrap();
        Event { at, kind: kind.into(), action: action.into(), id: id.into(), attributes }
    }

    #[test]
    fn filters_choose_as_dockers() {
        let exec = event(
            "container",
            "exec_create: sh -c x",
            "abcdef",
            &[("image", "web:1"), ("name", "job"), ("tier", "x")],
        );
        let pull = event("image", "pull", "web:1", &[("name", "web")]);
        let rows = [
            (json!({}), true, true),
            (json!({ "type": ["image"] }), false, true),
            (json!({ "event": ["exec_create"] }), true, false),
            (json!({ "event": ["exec_create: sh -c x", "pull"] }), true, true),
            (json!({ "container": ["abc"] }), true, false),
            (json!({ "container": ["jo"] }), true, false),
            (json!({ "container": ["x"] }), false, false),
            (json!({ "image": ["web"] }), true, true),
            (json!({ "image": ["web:1"] }), true, true),
            (json!({ "image": ["we"] }), false, false),
            (json!({ "label": ["tier=x"] }), true, false),
            (json!({ "scope": ["swarm"] }), false, false),
            (json!({ "node": ["n"] }), false, false),
            (json!({ "nope": ["n"] }), true, true),
        ];
        for (filter, of_exec, of_pull) in rows {
            let filters = Filters::parse_any(Some(&filter.to_string())).unwrap();
            assert_eq!((passes(&exec, &filters), passes(&pull, &filters)), (of_exec, of_pull), "{filter}");
        }
    }

    #[test]
    fn events_are_told_in_dockers_order() {
        let told = |event: &Event| String::from_utf8(line(event).to_vec()).unwrap();
        let die = event("container", "die", "ab", &[("exitCode", "3"), ("image", "web:1")]);
        assert_eq!(
            told(&die),
            "{\"status\":\"die\",\"id\":\"ab\",\"from\":\"web:1\",\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"ab\",\"Attributes\":{\"exitCode\":\"3\",\"image\":\"web:1\"}},\"scope\":\"local\",\"time\":5,\"timeNano\":5000000007}\n"
        );
        let made: Value = serde_json::from_str(&told(&event("volume", "create", "v", &[]))).unwrap();
        assert_eq!((made.get("status"), made.get("from")), (None, None));
    }
}
