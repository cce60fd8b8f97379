//! Which path is answered by what.

use crate::error::ApiError;
use crate::{
    State, containers, events, exec, hull, images, lifecycle, logs, networks, system, unsupported, version,
    wait,
};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use tower::Layer as _;

/// The largest request body: no request of this API carries more than a small document.
const BODY_LIMIT: usize = 1 << 20;

/// All routes, behind whatever version prefix a client uses.
pub(crate) fn service(state: State) -> Router {
    let routes = Router::new()
        .route("/_ping", get(system::ping).head(system::ping))
        .route("/version", get(system::version))
        .route("/info", get(system::info))
        .route("/events", get(events::stream))
        .route("/containers/json", get(containers::list))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/logs", get(logs::logs))
        .route("/containers/{id}/start", post(lifecycle::start))
        .route("/containers/{id}/stop", post(lifecycle::stop))
        .route("/containers/{id}/restart", post(lifecycle::restart))
        .route("/containers/{id}/kill", post(lifecycle::kill))
        .route("/containers/{id}/wait", post(wait::wait))
        .route("/containers/{id}/exec", post(exec::create))
        .route("/containers/{id}", delete(lifecycle::remove))
        .route("/exec/{id}/start", post(exec::start))
        .route("/exec/{id}/resize", post(exec::resize))
        .route("/exec/{id}/json", get(exec::inspect))
        .route("/networks", get(networks::list))
        .route("/networks/{id}", get(networks::inspect))
        .route("/volumes", get(networks::list_volumes))
        .route("/volumes/{name}", get(networks::inspect_volume))
        .route("/hull/v1/status", get(hull::status))
        .route("/hull/v1/reset", post(hull::reset))
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
