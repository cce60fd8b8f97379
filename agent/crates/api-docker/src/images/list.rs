//! The list of images.

use super::glob;
use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::moment;
use crate::query::Query;
use crate::version::Spoken;
use crate::wire::{ImageSummary, image_created, repo_digests, repo_tags};
use axum::Json;
use axum::extract::{Extension, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use hull_model::{ContainerRecord, Digest, Image};
use std::collections::{BTreeMap, BTreeSet};

const FILTERS: &[&str] = &["dangling", "label", "before", "since", "reference", "until"];

/// `GET /images/json`
pub(crate) async fn list(
    Shared(state): Shared<State>,
    Extension(version): Extension<Spoken>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), FILTERS)?;
    let times = Times::read(&state, &filters).await?;
    let dangling = filters.truth("dangling")?;
    let images = state.engine.drivers().images.list().await?;
    let parents: BTreeSet<&Digest> = images.iter().filter_map(|image| image.parent.as_ref()).collect();
    let shared = match query.flag("shared-size") {
        true => Some(shared_sizes(&state).await?),
        false => None,
    };
    let containers = match version >= Spoken(1, 51) {
        true => Some(state.engine.containers().await?),
        false => None,
    };
    let mut rows = Vec::new();
    for image in &images {
        let nameless = image.references.is_empty() && image.repo_digests.is_empty();
        let between = nameless && parents.contains(&image.id);
        let untagged = !image.references.iter().any(|r| r.tag.is_some());
        let passes = (query.flag("all") || !between)
            && dangling.is_none_or(|wanted| wanted == (untagged && nameless))
            && filters.labels(&image.config.labels)
            && times.pass(image);
        let mut row = ImageSummary::new(image, version);
        if !passes || !keep_named(&mut row, image, &filters)? {
            continue;
        }
        row.name_for(version);
        row.shared_size = shared.as_ref().map_or(-1, |sizes| sizes.get(&image.id).copied().unwrap_or(0));
        row.containers = containers.as_ref().map_or(-1, |all| count_containers(all, image));
        rows.push(row);
    }
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(Json(rows).into_response())
}

/// Containers made from an image.
pub(crate) fn count_containers(containers: &[ContainerRecord], image: &Image) -> i64 {
    i64::try_from(containers.iter().filter(|c| c.image == image.id).count()).unwrap_or(i64::MAX)
}

async fn shared_sizes(state: &State) -> Result<BTreeMap<Digest, i64>, ApiError> {
    let usage = state.engine.drivers().images.usage().await?;
    Ok(usage.images.into_iter().map(|i| (i.id, i64::try_from(i.shared).unwrap_or(i64::MAX))).collect())
}

/// Bounds of when an image was built.
struct Times {
    before: Option<i64>,
    since: Option<i64>,
}

impl Times {
    async fn read(state: &State, filters: &Filters) -> Result<Self, ApiError> {
        let now = state.engine.drivers().clock.now();
        let (mut before, mut since) = (None, None);
        for name in filters.get("before") {
            before = Some(image_created(&state.engine.find_image(name).await?.created)).max(before);
        }
        for text in filters.get("until") {
            before = Some(moment::until(text, now)?.as_second()).min(before.or(Some(i64::MAX)));
        }
        for name in filters.get("since") {
            since = Some(image_created(&state.engine.find_image(name).await?.created)).max(since);
        }
        Ok(Self { before, since })
    }

    fn pass(&self, image: &Image) -> bool {
        let created = image_created(&image.created);
        self.before.is_none_or(|before| created < before) && self.since.is_none_or(|since| created > since)
    }
}

/// Leaves the names that a pattern matches; says whether any is left.
fn keep_named(row: &mut ImageSummary, image: &Image, filters: &Filters) -> Result<bool, ApiError> {
    if !filters.has("reference") {
        return Ok(true);
    }
    let matching = |names: Vec<String>, separator: char| -> Result<Vec<String>, ApiError> {
        let mut kept = Vec::new();
        for name in names {
            let repository = match separator {
                '@' => name.split('@').next().unwrap_or_default(),
                _ => name.rsplit_once(separator).map_or(name.as_str(), |(repository, _)| repository),
            };
            let mut hit = false;
            for pattern in filters.get("reference") {
                let bad = |_| ApiError::internal("syntax error in pattern");
                hit |= glob::matches(pattern, &name).map_err(bad)?
                    || glob::matches(pattern, repository).map_err(bad)?;
            }
            kept.extend(hit.then_some(name));
        }
        Ok(kept)
    };
    let tags = matching(repo_tags(image), ':')?;
    let digests = matching(repo_digests(image), '@')?;
    let any = !tags.is_empty() || !digests.is_empty();
    (row.repo_tags, row.repo_digests) = (Some(tags), Some(digests));
    Ok(any)
}
