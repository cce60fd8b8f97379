//! What a registry has under a name.

use super::auth::{options, refused};
use super::nothing_there;
use crate::State;
use crate::error::Answer;
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use serde_json::json;

/// `GET /distribution/{name}/json`
pub(crate) async fn look_up(
    Shared(state): Shared<State>,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let name = rest.strip_suffix("/json").ok_or_else(nothing_there)?;
    let reference = hull_engine::parse_reference(name)?;
    let options = state.engine.reaching(options(&headers));
    let found = state.engine.drivers().images.distribution(&reference, &options).await.map_err(refused)?;
    Ok(Json(json!({ "Descriptor": found.descriptor, "Platforms": found.platforms })).into_response())
}
