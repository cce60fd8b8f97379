//! Starting, stopping and removing containers by hand.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hull_engine::StopRequest;
use hull_model::parse_signal;
use hull_ports::ErrorClass;
use std::time::Duration;

/// A day: whoever asks for a longer grace period means forever, and would hold the request as long.
const LONGEST_GRACE: Duration = Duration::from_secs(86_400);

/// A start that failed for what the container says is not a container that is missing.
fn start_failed(error: hull_ports::Error) -> ApiError {
    let class = error.class;
    let mut answer = ApiError::from(error);
    if class == ErrorClass::NotFound {
        answer.status = StatusCode::BAD_REQUEST;
    }
    answer
}

/// `POST /containers/{id}/start`
pub(crate) async fn start(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    if record.state.is_running() {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    state.engine.start_container(&record.id, false).await.map_err(start_failed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn stop_request(query: &Query) -> Result<StopRequest, ApiError> {
    let grace = query.number::<i64>("t")?.map(|seconds| match u64::try_from(seconds) {
        Ok(seconds) => Duration::from_secs(seconds).min(LONGEST_GRACE),
        Err(_) => LONGEST_GRACE,
    });
    Ok(StopRequest { signal: signal(query)?, grace })
}

fn signal(query: &Query) -> Result<Option<i32>, ApiError> {
    let Some(text) = query.text("signal") else { return Ok(None) };
    let number =
        parse_signal(text).ok_or_else(|| ApiError::bad_request(format!("Invalid signal: {text}")))?;
    Ok(Some(number))
}

/// `POST /containers/{id}/stop`
pub(crate) async fn stop(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let request = stop_request(&Query::parse(query.as_deref()))?;
    let record = state.engine.find(&id).await?;
    let stopped = state.engine.stop_by_hand(&record.id, request).await?;
    let status = if stopped { StatusCode::NO_CONTENT } else { StatusCode::NOT_MODIFIED };
    Ok(status.into_response())
}

/// `POST /containers/{id}/restart`
pub(crate) async fn restart(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let request = stop_request(&Query::parse(query.as_deref()))?;
    let record = state.engine.find(&id).await?;
    state.engine.stop_by_hand(&record.id, request).await?;
    state.engine.start_container(&record.id, false).await.map_err(start_failed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /containers/{id}/kill`
pub(crate) async fn kill(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    const SIGKILL: i32 = 9;
    let signal = signal(&Query::parse(query.as_deref()))?.unwrap_or(SIGKILL);
    let record = state.engine.find(&id).await?;
    state.engine.kill_by_hand(&record.id, signal).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /containers/{id}`
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    if query.flag("link") {
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "removing links is not supported by Hull"));
    }
    let record = state.engine.find(&id).await?;
    // Hull makes no anonymous volumes, so `v` has nothing to remove.
    state.engine.remove_by_hand(&record.id, hull_engine::RemoveRequest { force: query.flag("force"), volumes: query.flag("v") }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
