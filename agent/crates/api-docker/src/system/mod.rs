//! The engine itself: ping, version, information, what it takes on the disk.

mod abilities;
mod df;
mod info;
mod swarm;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::version::{MAX_API_VERSION, MIN_API_VERSION};
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

/// The routes of the engine itself.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/_ping", get(ping).head(ping))
        .route("/version", get(version))
        .route("/info", get(info::info))
        .route("/system/df", get(df::df))
        .route("/build/prune", post(prune_build))
        .route("/plugins", get(plugins))
        .route("/plugins/{name}/json", get(plugin))
        .merge(swarm::routes())
}

/// `GET` and `HEAD /_ping`
async fn ping() -> Response {
    let headers = [
        // The builder without BuildKit.
        ("builder-version", "1"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("content-type", "text/plain; charset=utf-8"),
        ("pragma", "no-cache"),
        ("swarm", "inactive"),
    ];
    (headers, "OK").into_response()
}

/// `GET /version`
async fn version(Shared(state): Shared<State>) -> Answer {
    let host = (state.status)().await.host;
    let details = json!({
        "ApiVersion": MAX_API_VERSION,
        "Arch": host.architecture,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": host.kernel,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
    });
    let runtime = json!({ "Name": "hull-runtime", "Version": state.version, "Details": { "GitCommit": "" } });
    let body = json!({
        "Platform": { "Name": "Hull" },
        "Components": [{ "Name": "Engine", "Version": state.version, "Details": details }, runtime],
        "Version": state.version,
        "ApiVersion": MAX_API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": host.architecture,
        "KernelVersion": host.kernel,
        "BuildTime": "",
    });
    Ok(Json(body).into_response())
}

/// `POST /build/prune`: there is no cache of builds.
async fn prune_build() -> Json<Value> {
    Json(json!({ "CachesDeleted": null, "SpaceReclaimed": 0 }))
}

/// `GET /plugins`: there are none.
async fn plugins() -> Json<Value> {
    Json(json!([]))
}

/// `GET /plugins/{name}/json`
async fn plugin(Path(name): Path<String>) -> Answer {
    Err(ApiError::not_found(format!("plugin {name:?} not found")))
}
