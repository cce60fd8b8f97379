//! Hull's own routes: the host's status, whether all is whole, and the end of everything.

use crate::State;
use crate::error::Answer;
use crate::query::Query;
use axum::Json;
use axum::extract::{RawQuery, State as Shared};
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

/// `POST /hull/v1/system/check?repair=`: looks at every object, and with `repair` removes what nobody needs.
pub(crate) async fn check(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let repair = Query::parse(query.as_deref()).flag("repair");
    Ok(Json(state.engine.check(repair).await?).into_response())
}
