//! Swarm mode, which no host of this engine is ever part of. Who asks about it is told so as by a Docker host that is not.

use crate::State;
use crate::error::{Answer, ApiError};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get, post};

/// What belongs to a swarm's manager.
const OBJECTS: &[&str] = &["nodes", "services", "tasks", "secrets", "configs"];

pub(super) fn routes() -> Router<State> {
    let swarm = Router::new()
        .route("/swarm", get(no_manager))
        .route("/swarm/update", post(no_manager))
        .route("/swarm/unlockkey", get(no_manager))
        .route("/swarm/unlock", post(no_manager))
        .route("/swarm/leave", post(no_swarm))
        .route("/swarm/init", post(never))
        .route("/swarm/join", post(never));
    OBJECTS.iter().fold(swarm, |routes, object| {
        routes
            .route(&format!("/{object}"), any(no_manager))
            .route(&format!("/{object}/{{*rest}}"), any(no_manager))
    })
}

async fn no_manager() -> Answer {
    let message = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message))
}

async fn no_swarm() -> Answer {
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "This node is not part of a swarm"))
}

async fn never() -> Answer {
    Err(ApiError::unsupported("swarm mode"))
}
