//! The stream of events, and the last few for those who ask what happened before.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
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
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many events are kept, as in Docker.
const KEPT: usize = 256;
const FILTERS: &[&str] = &["type", "event", "container", "image", "network", "volume", "label"];

/// The last events, and those to come.
#[derive(Clone)]
pub(crate) struct History {
    kept: Arc<Mutex<VecDeque<Event>>>,
    live: broadcast::Sender<Event>,
}

impl Default for History {
    fn default() -> Self {
        Self { kept: Arc::default(), live: broadcast::channel(1024).0 }
    }
}

impl History {
    /// Records what the engine tells until it ends.
    pub(crate) async fn record(self, mut events: broadcast::Receiver<Event>) {
        loop {
            match events.recv().await {
                Ok(event) => self.push(event),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events came faster than they were kept")
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn push(&self, event: Event) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Under the lock, so that a new listener sees each event either kept or live.
        _ = self.live.send(event);
    }

    fn listen(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.live.subscribe())
    }

    pub(crate) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }
}

/// `GET /events`
pub(crate) async fn stream(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Arc::new(Filters::parse(query.text("filters"), FILTERS)?);
    let (since, until) = (query.time("since")?, query.time("until")?);
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::bad_request("`since` cannot be after `until`"));
    }
    let (kept, live) = state.history.listen();
    let past = kept.into_iter().filter(move |e| since.is_some_and(|s| e.at >= s));
    let now = state.engine.drivers().clock.now();
    let until_end = until.map(|u| u.duration_since(now).unsigned_abs()).filter(|_| until > Some(now));
    let over = async move {
        match (until, until_end) {
            (None, _) => std::future::pending().await,
            (Some(_), Some(left)) => tokio::time::sleep(left).await,
            (Some(_), None) => {}
        }
    };
    // What is kept is told in any case; only what comes is waited for.
    let lines = stream::iter(past).chain(receive(live).take_until(Box::pin(over))).filter_map(move |event| {
        let passes = passes(&event, &filters) && until.is_none_or(|u| event.at <= u);
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
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

fn passes(event: &Event, filters: &Filters) -> bool {
    let is = |kind: &str, wanted: &str| {
        let name = event.attributes.get("name").map(String::as_str);
        event.kind == kind
            && (name == Some(wanted)
                || event.id == wanted
                || (wanted.len() >= 4 && event.id.starts_with(wanted)))
    };
    let of_image =
        |wanted: &str| is("image", wanted) || event.attributes.get("image").is_some_and(|i| i == wanted);
    filters.any("type", |wanted| event.kind == wanted)
        && filters.any("event", |wanted| event.action == wanted)
        && filters.any("container", |wanted| is("container", wanted))
        && filters.any("network", |wanted| is("network", wanted))
        && filters.any("volume", |wanted| is("volume", wanted))
        && filters.any("image", of_image)
        && filters.labels(&event.attributes)
}

/// One event on one line. Containers and images also carry the words that old clients read.
fn line(event: &Event) -> Bytes {
    let attributes: &BTreeMap<String, String> = &event.attributes;
    let mut value = json!({
        "Type": event.kind,
        "Action": event.action,
        "Actor": { "ID": event.id, "Attributes": attributes },
        "scope": "local",
        "time": event.at.as_second(),
        "timeNano": nanoseconds(event.at),
    });
    if matches!(event.kind.as_str(), "container" | "image") {
        value["status"] = event.action.clone().into();
        value["id"] = event.id.clone().into();
    }
    if let (true, Some(image)) = (event.kind == "container", attributes.get("image")) {
        value["from"] = image.clone().into();
    }
    (value.to_string() + "\n").into()
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}
