//! One image, and how it came to be.

use super::platform::Platform;
use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::version::Spoken;
use crate::wire::{ImageInspect, image_created, repo_tags};
use axum::Json;
use axum::response::IntoResponse as _;
use hull_model::{HistoryEntry, Image};
use serde::Serialize;

/// The image of that name; `NotFound` also if it is for another platform than the one asked for.
pub(crate) async fn find(state: &State, name: &str, platform: Option<&Platform>) -> Result<Image, ApiError> {
    let image = state.engine.find_image(name).await?;
    match platform.filter(|platform| !platform.fits(&image)) {
        Some(platform) => Err(ApiError::not_found(platform.mismatch(name, &image))),
        None => Ok(image),
    }
}

/// `GET /images/{name}/json`
pub(crate) async fn inspect(state: &State, name: &str, query: &Query, version: Spoken) -> Answer {
    let image = find(state, name, Platform::asked(query)?.as_ref()).await?;
    let config = state.engine.drivers().images.config(&image.id).await?;
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    let docker_version = config["docker_version"].as_str().unwrap_or_default();
    Ok(Json(ImageInspect::new(&image, docker_version, version)).into_response())
}

/// One line of an image's history, in Docker's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HistoryLine {
    comment: String,
    created: i64,
    created_by: String,
    id: String,
    size: u64,
    tags: Option<Vec<String>>,
}

impl HistoryLine {
    fn new(entry: HistoryEntry, size: u64) -> Self {
        Self {
            comment: entry.comment,
            created: image_created(&entry.created),
            created_by: entry.created_by,
            id: "<missing>".to_owned(),
            size,
            tags: None,
        }
    }

    fn belongs_to(&mut self, image: &Image) {
        self.id = image.id.to_string();
        self.tags = Some(repo_tags(image)).filter(|tags| !tags.is_empty());
    }
}

/// `GET /images/{name}/history`: latest first.
pub(crate) async fn history(state: &State, name: &str, query: &Query) -> Answer {
    let image = find(state, name, Platform::asked(query)?.as_ref()).await?;
    let images = &state.engine.drivers().images;
    let entries = images.history(&image.id).await?;
    let mut lines: Vec<_> = entries.into_iter().map(|(entry, size)| HistoryLine::new(entry, size)).collect();
    // The image stands by its last line, and those it was made from here by theirs.
    let mut next = Some(image);
    let mut end = lines.len();
    while let Some(image) = next.take() {
        if let Some(line) = end.checked_sub(1).and_then(|last| lines.get_mut(last)) {
            line.belongs_to(&image);
        }
        if let Some(parent) = &image.parent
            && let Some(parent) = images.image(parent).await?
        {
            end = images.history(&parent.id).await?.len().min(end.saturating_sub(1));
            next = Some(parent);
        }
    }
    lines.reverse();
    Ok(Json(lines).into_response())
}
