//! Volumes: listing, inspecting, making, removing.

use crate::State;
use crate::create::volume_name;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::prune::Picker;
use crate::query::{Query, go_bool};
use crate::request::{self, VolumeCreate};
use crate::version::Spoken;
use crate::wire::Volume;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use hull_model::Name;
use serde_json::json;

/// `GET /volumes`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), &["name", "label", "driver", "dangling"])?;
    let dangling = filters.truth("dangling")?;
    let mut volumes = state.engine.volumes().await?;
    volumes.retain(|v| {
        filters.name("name", &[v.name.as_str()])
            && filters.labels(&v.labels)
            && filters.any("driver", |wanted| wanted == "local")
            && dangling.is_none_or(|wanted| state.engine.users_of(&v.name).is_empty() == wanted)
    });
    let volumes: Vec<Volume> = volumes.iter().map(Volume::from).collect();
    Ok(Json(json!({ "Volumes": volumes, "Warnings": null })).into_response())
}

/// `GET /volumes/{name}`
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(name): Path<String>) -> Answer {
    let volumes = state.engine.volumes().await?;
    match volumes.iter().find(|v| v.name.as_str() == name) {
        Some(volume) => Ok(Json(Volume::from(volume)).into_response()),
        None => Err(missing(&name)),
    }
}

fn missing(name: &str) -> ApiError {
    ApiError::not_found(format!("get {name}: no such volume"))
}

/// `POST /volumes/create`: one that is there already is answered as it is.
pub(crate) async fn create(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    request::body(&headers, &body)?;
    let asked: VolumeCreate = request::document(&body)?;
    if asked.cluster_volume_spec.is_some() {
        return Err(ApiError::unsupported("a cluster volume"));
    }
    if !matches!(asked.driver.as_str(), "" | "local") {
        return Err(ApiError::not_found(format!(
            "create {0}: error looking up volume plugin {1}: plugin \"{1}\" not found",
            asked.name, asked.driver
        )));
    }
    if asked.driver_opts.is_some_and(|o| !o.is_empty()) {
        return Err(ApiError::unsupported("an option of the volume driver \"local\""));
    }
    let name = (!asked.name.is_empty()).then(|| volume_name(&asked.name)).transpose()?;
    let made = state.engine.create_volume_by_hand(name, asked.labels.unwrap_or_default()).await?;
    Ok((StatusCode::CREATED, Json(Volume::from(&made))).into_response())
}

/// `DELETE /volumes/{name}`
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let force = Query::parse(query.as_deref()).flag("force");
    match Name::new(name.clone()) {
        Ok(name) => state.engine.remove_volume(&name, force).await?,
        Err(_) if force => {}
        Err(_) => return Err(missing(&name)),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /volumes/prune`: since API 1.42 only those that nobody named, unless all are asked for.
pub(crate) async fn prune(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let now = state.engine.drivers().clock.now();
    let picker = Picker::read(query.text("filters"), &["all"], now)?;
    let bad = |text: &str| {
        ApiError::bad_request(format!(
            "invalid filter 'all': strconv.ParseBool: parsing {text:?}: invalid syntax"
        ))
    };
    let asked = picker.filters().get("all").map(|text| go_bool(text).ok_or_else(|| bad(text)));
    let all = asked.collect::<Result<Vec<bool>, _>>()?.contains(&true) || spoken < Spoken(1, 42);
    let (names, bytes) = state.engine.prune_volumes(all, |volume| picker.volume(volume)).await?;
    Ok(Json(json!({ "VolumesDeleted": names, "SpaceReclaimed": bytes })).into_response())
}
