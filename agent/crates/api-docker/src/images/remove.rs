//! Removing images.

use super::inspect::find;
use super::platform::Platform;
use crate::State;
use crate::error::Answer;
use crate::filters::Filters;
use crate::moment;
use crate::query::Query;
use crate::wire::image_created;
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use hull_model::Image;
use hull_ports::Removed;
use serde_json::{Value, json};

/// What went, as a list of single things.
fn items(removed: &Removed) -> Vec<Value> {
    let untagged = removed.untagged.iter().map(|name| json!({ "Untagged": name }));
    untagged.chain(removed.deleted.iter().map(|id| json!({ "Deleted": id }))).collect()
}

/// `DELETE /images/{name}`
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    if let Some(platform) = Platform::asked(&query)? {
        find(&state, &name, Some(&platform)).await?;
    }
    let removed = state.engine.remove_image(&name, query.flag("force"), !query.flag("noprune")).await?;
    Ok(Json(items(&removed)).into_response())
}

/// An image that is called as the list is.
pub(crate) async fn named_json(state: Shared<State>, query: RawQuery) -> Answer {
    remove(state, Path("json".to_owned()), query).await
}

/// `POST /images/prune`
pub(crate) async fn prune(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), &["dangling", "label", "label!", "until"])?;
    let dangling_only = filters.truth("dangling")?.unwrap_or(true);
    let now = state.engine.drivers().clock.now();
    let mut until = None;
    for text in filters.get("until") {
        until = Some(moment::until(text, now)?.as_second()).min(until.or(Some(i64::MAX)));
    }
    let pick = move |image: &Image| {
        until.is_none_or(|until| image_created(&image.created) < until)
            && filters.labels(&image.config.labels)
            && filters.labels_absent(&image.config.labels)
    };
    let removed = state.engine.prune_images(dangling_only, pick).await?;
    let deleted = Some(items(&removed)).filter(|items| !items.is_empty());
    Ok(Json(json!({ "ImagesDeleted": deleted, "SpaceReclaimed": removed.freed })).into_response())
}
