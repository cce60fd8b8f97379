//! Listing and inspecting images.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::query::Query;
use crate::wire::{ImageInspect, ImageSummary};
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use hull_model::{Image, Reference};

const FILTERS: &[&str] = &["reference", "label", "dangling"];

/// `GET /images/json`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), FILTERS)?;
    if let Some(bad) = filters.get("dangling").find(|v| !matches!(*v, "true" | "false" | "1" | "0")) {
        return Err(ApiError::bad_request(format!("invalid filter 'dangling={bad}'")));
    }
    let mut images = state.engine.drivers().images.list().await?;
    images.retain(|image| passes(image, &filters));
    images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    Ok(Json(images.iter().map(ImageSummary::new).collect::<Vec<_>>()).into_response())
}

fn passes(image: &Image, filters: &Filters) -> bool {
    let dangling = image.references.is_empty();
    let named = |wanted: &str| {
        let asked = Reference::parse(wanted).ok();
        let any_tag = !wanted.rsplit('/').next().is_some_and(|last| last.contains(':'));
        image.references.iter().any(|r| {
            asked.as_ref().is_some_and(|a| *a == *r || (any_tag && a.familiar_name() == r.familiar_name()))
        })
    };
    filters.labels(&image.config.labels)
        && filters.any("reference", named)
        && filters.any("dangling", |v| matches!(v, "true" | "1") == dangling)
}

/// `GET /images/{name}/json`; names have slashes, so the rest of the path is taken apart here.
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(rest): Path<String>) -> Answer {
    let Some(name) = rest.strip_suffix("/json") else {
        let known = ["/history", "/get"].iter().any(|suffix| rest.ends_with(suffix));
        return Err(match known || rest == "get" || rest == "search" {
            true => ApiError::new(
                StatusCode::NOT_IMPLEMENTED,
                "searching, saving and the history of images are not supported by Hull yet",
            ),
            false => ApiError::not_found("page not found"),
        });
    };
    let images = state.engine.drivers().images.list().await?;
    match find(&images, name) {
        Some(image) => Ok(Json(ImageInspect::new(image)).into_response()),
        None => {
            let shown = Reference::parse(name).map_or_else(|_| name.to_owned(), |r| r.familiar());
            Err(ApiError::not_found(format!("No such image: {shown}")))
        }
    }
}

/// The image that a text means: a name, an id or the beginning of one, a name with the digest of its manifest.
fn find<'a>(images: &'a [Image], text: &str) -> Option<&'a Image> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let reference = Reference::parse(text).ok();
    let named = |image: &&Image| {
        reference.as_ref().is_some_and(|r| {
            image.references.contains(r)
                || (r.digest.as_ref() == Some(&image.manifest)
                    && image.references.iter().any(|own| own.familiar_name() == r.familiar_name()))
        })
    };
    images.iter().find(named).or_else(|| {
        let mut by_id = images.iter().filter(|i| is_hex && i.id.hex().starts_with(hex));
        by_id.next().filter(|_| by_id.next().is_none())
    })
}
