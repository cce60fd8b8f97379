//! `GET /system/df`: what images, containers and volumes take.

use crate::State;
use crate::containers::Known;
use crate::error::{Answer, ApiError};
use crate::images::count_containers;
use crate::query::Query;
use crate::version::Spoken;
use crate::wire::{ContainerSummary, ImageSummary, Volume};
use axum::Json;
use axum::extract::{Extension, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use hull_ports::ErrorClass;
use serde_json::{Value, json};

const TYPES: &[&str] = &["container", "image", "volume", "build-cache"];

/// `GET /system/df`
pub(super) async fn df(
    Shared(state): Shared<State>,
    Extension(version): Extension<Spoken>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let types = query.all("type");
    if let Some(unknown) = types.iter().find(|kind| !TYPES.contains(&kind.as_str())) {
        return Err(ApiError::bad_request(format!("unknown object type: {unknown}")));
    }
    let asked = |kind: &str| types.is_empty() || types.iter().any(|t| t == kind);
    let mut body = json!({
        "LayersSize": 0, "Images": null, "Containers": null, "Volumes": null, "BuildCache": null,
    });
    if asked("image") {
        let (layers, images) = images(&state, version).await?;
        body["LayersSize"] = json!(layers);
        body["Images"] = json!(images);
    }
    if asked("container") {
        body["Containers"] = containers(&state).await?;
    }
    if asked("volume") {
        body["Volumes"] = volumes(&state).await?;
    }
    if asked("build-cache") {
        body["BuildCache"] = json!([]);
    }
    if version < Spoken(1, 42) {
        body["BuilderSize"] = json!(0);
    }
    Ok(Json(body).into_response())
}

async fn images(state: &State, version: Spoken) -> Result<(u64, Vec<ImageSummary>), ApiError> {
    let store = &state.engine.drivers().images;
    let usage = store.usage().await?;
    let containers = state.engine.containers().await?;
    let mut rows = Vec::new();
    for image in store.list().await? {
        let mut row = ImageSummary::new(&image, version).without_empty_lists();
        row.name_for(version);
        row.containers = count_containers(&containers, &image);
        let shared = usage.images.iter().find(|u| u.id == image.id).map_or(0, |u| u.shared);
        row.shared_size = i64::try_from(shared).unwrap_or(i64::MAX);
        rows.push(row);
    }
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok((usage.layers, rows))
}

/// A container that goes while it is measured is left out.
async fn containers(state: &State) -> Result<Value, ApiError> {
    let known = Known::read(state).await?;
    let now = state.engine.drivers().clock.now();
    let mut rows = Vec::new();
    for record in state.engine.containers().await? {
        let (written, whole) = match state.engine.sizes(&record.id).await {
            Ok(sizes) => sizes,
            Err(error) if error.class == ErrorClass::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let mut row = json!(ContainerSummary::new(known.view(state, &record), now));
        // Nothing is not said, as in Docker.
        for (key, bytes) in [("SizeRw", written), ("SizeRootFs", whole)] {
            if bytes > 0 {
                row[key] = json!(bytes);
            }
        }
        rows.push(row);
    }
    Ok(json!(rows))
}

async fn volumes(state: &State) -> Result<Value, ApiError> {
    let mut rows = Vec::new();
    for volume in state.engine.volumes().await? {
        let size = match state.engine.drivers().volumes.size(&volume.name).await {
            Ok(size) => size,
            Err(error) if error.class == ErrorClass::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        let users = state.engine.users_of(&volume.name).len();
        let mut row = json!(Volume::from(&volume));
        row["UsageData"] = json!({ "RefCount": users, "Size": size });
        rows.push(row);
    }
    Ok(json!(rows))
}
