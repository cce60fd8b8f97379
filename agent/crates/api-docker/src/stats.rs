//! What containers use, again and again.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::wire::{StatsSource, stats};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use hull_model::ContainerId;
use hull_ports::ErrorClass;
use serde_json::Value;
use std::convert::Infallible;
use std::time::Duration;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);

/// `GET /containers/{id}/stats`
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let streaming = query.text("stream").is_none() || query.flag("stream");
    let once = query.flag("one-shot");
    if streaming && once && query.text("stream").is_some() {
        return Err(ApiError::bad_request("cannot have stream=true and one-shot=true"));
    }
    let record = state.engine.find(&id).await?;
    if !streaming || once {
        let mut before = None;
        if !once && record.state.is_running() {
            before = sample(&state, &record.id).await?;
            tokio::time::sleep(EVERY).await;
        }
        let now = sample(&state, &record.id).await?;
        return Ok(Json(tell(&state, &record.id, before.as_ref(), now.as_ref()).await).into_response());
    }
    let mut response = Response::new(Body::from_stream(follow(state, record.id)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What a container uses now; `None` if it does not run.
async fn sample(state: &State, id: &ContainerId) -> Result<Option<StatsSource>, ApiError> {
    match state.engine.stats(id).await {
        Ok(stats) => {
            let system = tokio::task::spawn_blocking(StatsSource::host_cpu);
            let (system_cpu, online) = system.await.map_err(|e| ApiError::internal(e.to_string()))?;
            let at = state.engine.drivers().clock.now();
            Ok(Some(StatsSource { at, stats, system_cpu, online }))
        }
        Err(error) if matches!(error.class, ErrorClass::Conflict | ErrorClass::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn tell(
    state: &State,
    id: &ContainerId,
    before: Option<&StatsSource>,
    now: Option<&StatsSource>,
) -> Value {
    let name = state.engine.find(id.as_str()).await.map(|r| r.spec.name.to_string()).unwrap_or_default();
    stats(&name, id, before, now)
}

/// A line each second, until the container is gone.
fn follow(state: State, id: ContainerId) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    let start = (state, id, None::<StatsSource>, true);
    stream::unfold(start, |(state, id, before, first)| async move {
        let mut before = before;
        if first {
            // Usage is told against the sample before: the first line needs one too.
            before = sample(&state, &id).await.ok().flatten();
        }
        tokio::time::sleep(EVERY).await;
        state.engine.find(id.as_str()).await.ok()?;
        let now = sample(&state, &id).await.ok()?;
        let line = tell(&state, &id, before.as_ref(), now.as_ref()).await.to_string() + "\n";
        Some((Ok(line.into()), (state, id, now, false)))
    })
}
