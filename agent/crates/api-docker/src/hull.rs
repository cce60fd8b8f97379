//! Hull's own routes: the host's status, and the end of everything.

use crate::State;
use crate::error::Answer;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use std::time::Duration;

/// How long the agent lives on after a reset, so that its answer leaves before its socket goes.
const FAREWELL: Duration = Duration::from_millis(200);

/// `GET /hull/v1/status`
pub(crate) async fn status(Shared(state): Shared<State>) -> Answer {
    Ok(Json((state.status)().await).into_response())
}

/// `POST /hull/v1/reset`: ends every container, removes all that was made in the kernel, then the agent exits.
pub(crate) async fn reset(Shared(state): Shared<State>) -> Answer {
    state.engine.reset().await?;
    let shutdown = state.shutdown.clone();
    tokio::spawn(async move {
        tokio::time::sleep(FAREWELL).await;
        shutdown();
    });
    Ok(StatusCode::NO_CONTENT.into_response())
}
