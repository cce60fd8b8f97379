//! Listing and inspecting networks and volumes.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::query::Query;
use crate::wire::{NetworkResource, Volume};
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use serde_json::json;

/// `GET /networks`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), &["id", "name", "label", "driver", "scope"])?;
    let mut networks = state.engine.networks().await?;
    networks.retain(|n| {
        filters.any("id", |wanted| n.id.starts_with(wanted))
            && filters.name("name", &[n.name.as_str()])
            && filters.labels(&n.labels)
            && filters.any("driver", |wanted| wanted == "bridge")
            && filters.any("scope", |wanted| wanted == "local")
    });
    Ok(Json(networks.iter().map(|n| NetworkResource::new(n, &[])).collect::<Vec<_>>()).into_response())
}

/// `GET /networks/{id}`
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let networks = state.engine.networks().await?;
    let exact = networks.iter().find(|n| n.name.as_str() == id || n.id == id);
    let mut by_prefix = networks.iter().filter(|n| n.id.starts_with(&id));
    let only = by_prefix.next().filter(|_| by_prefix.next().is_none());
    let Some(network) = exact.or(only) else {
        return Err(ApiError::not_found(format!("network {id} not found")));
    };
    let containers = state.engine.containers().await?;
    Ok(Json(NetworkResource::new(network, &containers)).into_response())
}

/// `GET /volumes`
pub(crate) async fn list_volumes(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), &["name", "label", "driver"])?;
    let mut volumes = state.engine.volumes().await?;
    volumes.retain(|v| {
        filters.name("name", &[v.name.as_str()])
            && filters.labels(&v.labels)
            && filters.any("driver", |wanted| wanted == "local")
    });
    let volumes: Vec<Volume> = volumes.iter().map(Volume::from).collect();
    Ok(Json(json!({ "Volumes": volumes, "Warnings": null })).into_response())
}

/// `GET /volumes/{name}`
pub(crate) async fn inspect_volume(Shared(state): Shared<State>, Path(name): Path<String>) -> Answer {
    let volumes = state.engine.volumes().await?;
    match volumes.iter().find(|v| v.name.as_str() == name) {
        Some(volume) => Ok(Json(Volume::from(volume)).into_response()),
        None => Err(ApiError::not_found(format!("get {name}: no such volume"))),
    }
}
