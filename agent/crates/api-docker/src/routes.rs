//! Which path is answered by what.

use crate::error::ApiError;
use crate::{State, commit, container_routes, events, hull, images, system, unsupported, version};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use tower::Layer as _;

/// The largest request body: no request of this API carries more than a small document.
const BODY_LIMIT: usize = 1 << 20;

/// All routes, behind whatever version prefix a client uses.
pub(crate) fn service(state: State) -> Router {
    let routes = Router::new()
        .route("/events", get(events::stream))
        .route("/hull/v1/status", get(hull::status))
        .route("/hull/v1/reset", post(hull::reset))
        .route("/hull/v1/system/check", post(hull::check))
        .route("/commit", post(commit::commit))
        .merge(container_routes::routes())
        .merge(system::routes())
        .merge(images::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(state);
    Router::new().fallback_service(axum::middleware::from_fn(version::negotiate).layer(routes))
}

/// Docker's other operations are refused by name; everything else is not there.
async fn unknown(request: Request) -> Result<Response, ApiError> {
    let (method, path) = (request.method().as_str(), request.uri().path());
    match unsupported::operation(method, path) {
        Some(what) => {
            Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, format!("{what} is not supported by Hull yet")))
        }
        None => Err(ApiError::not_found("page not found")),
    }
}
