//! Waiting for a container: the headers go at once, the exit code when it is known.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use hull_engine::Until;
use serde_json::json;

/// `POST /containers/{id}/wait`
pub(crate) async fn wait(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let until = match Query::parse(query.as_deref()).text("condition") {
        None | Some("not-running") => Until::NotRunning,
        Some("next-exit") => Until::NextExit,
        Some("removed") => Until::Removed,
        Some(other) => return Err(ApiError::bad_request(format!("invalid condition: {other:?}"))),
    };
    let record = state.engine.find(&id).await?;
    let waiting = state.engine.wait_until(&record.id, until).await?;
    let answer = async move {
        let exit = waiting.await;
        Ok::<_, std::convert::Infallible>(json!({ "StatusCode": exit.code }).to_string() + "\n")
    };
    let mut response = Response::new(Body::from_stream(futures_util::stream::once(answer)));
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    Ok(response.into_response())
}
