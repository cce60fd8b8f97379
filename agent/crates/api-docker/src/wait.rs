//! Waiting for a container: the headers go at once, the exit code when it is known.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use hull_engine::{Engine, Event};
use hull_model::{ContainerId, ContainerState};
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    NotRunning,
    NextExit,
    Removed,
}

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
    // Before looking, so that nothing falls between the two.
    let events = state.engine.subscribe();
    let record = state.engine.find(&id).await?;
    let code = match &record.state {
        ContainerState::Exited { exit, .. } => Some(exit.code),
        _ => None,
    };
    let engine = state.engine.clone();
    let answer = async move {
        let code = match (until, code, &record.state) {
            (Until::NotRunning, Some(code), _) => code,
            (Until::NotRunning, None, ContainerState::Created) => 0,
            _ => follow(&engine, events, &record.id, until, code).await,
        };
        Ok::<_, std::convert::Infallible>(json!({ "StatusCode": code }).to_string() + "\n")
    };
    let mut response = Response::new(Body::from_stream(futures_util::stream::once(answer)));
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    Ok(response.into_response())
}

/// Listens until it happens. The exit code is remembered from the end to the removal.
async fn follow(
    engine: &Engine,
    mut events: broadcast::Receiver<Event>,
    id: &ContainerId,
    until: Until,
    mut code: Option<i32>,
) -> i32 {
    loop {
        match events.recv().await {
            Ok(event) if event.id != id.as_str() => {}
            Ok(event) => {
                if event.action == "die" {
                    code = event.attributes.get("exitCode").and_then(|c| c.parse().ok());
                }
                let done = match until {
                    Until::Removed => event.action == "destroy",
                    Until::NextExit | Until::NotRunning => event.action == "die" || event.action == "destroy",
                };
                if done {
                    return code.unwrap_or(0);
                }
            }
            Err(RecvError::Closed) => return code.unwrap_or(0),
            // What was missed is found by looking; a missed exit between two runs is told by the next one.
            Err(RecvError::Lagged(_)) => match engine.find(id.as_str()).await.map(|r| r.state) {
                Err(_) => return code.unwrap_or(0),
                Ok(ContainerState::Exited { exit, .. }) if until != Until::Removed => return exit.code,
                Ok(_) => {}
            },
        }
    }
}
