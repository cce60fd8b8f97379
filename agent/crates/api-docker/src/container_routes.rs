//! Paths of containers, their processes, networks and volumes.

use crate::{
    State, archive, attach, containers, create, exec, lifecycle, logs, networks, stats, top, update, volumes,
    wait,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, head, post};

/// All of them.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/containers/json", get(containers::list))
        .route("/containers/create", post(create::create))
        .route("/containers/prune", post(containers::prune))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/top", get(top::top))
        .route("/containers/{id}/logs", get(logs::logs))
        .route("/containers/{id}/changes", get(archive::changes))
        .route("/containers/{id}/export", get(archive::export))
        .route("/containers/{id}/stats", get(stats::get))
        .route("/containers/{id}/resize", post(attach::resize))
        .route("/containers/{id}/start", post(lifecycle::start))
        .route("/containers/{id}/stop", post(lifecycle::stop))
        .route("/containers/{id}/restart", post(lifecycle::restart))
        .route("/containers/{id}/kill", post(lifecycle::kill))
        .route("/containers/{id}/update", post(update::update))
        .route("/containers/{id}/rename", post(lifecycle::rename))
        .route("/containers/{id}/pause", post(lifecycle::pause))
        .route("/containers/{id}/unpause", post(lifecycle::unpause))
        .route("/containers/{id}/attach", post(attach::attach))
        .route("/containers/{id}/attach/ws", get(attach::attach_websocket))
        .route("/containers/{id}/wait", post(wait::wait))
        .route("/containers/{id}/exec", post(exec::create))
        .route("/containers/{id}", delete(lifecycle::remove))
        .route("/containers/{id}/{link}", delete(lifecycle::remove_linked))
        .merge(archives())
        .route("/exec/{id}/start", post(exec::start))
        .route("/exec/{id}/resize", post(exec::resize))
        .route("/exec/{id}/json", get(exec::inspect))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/prune", post(networks::prune))
        .route("/networks/{id}", get(networks::inspect).delete(networks::remove))
        .route("/volumes", get(volumes::list))
        .route("/volumes/create", post(volumes::create))
        .route("/volumes/prune", post(volumes::prune))
        .route("/volumes/{name}", get(volumes::inspect).delete(volumes::remove))
}

/// Archives are as large as they are.
fn archives() -> Router<State> {
    let path = "/containers/{id}/archive";
    Router::new()
        .route(path, head(archive::stat).get(archive::get).put(archive::put))
        .layer(DefaultBodyLimit::disable())
}
