//! Looking for repositories.

use super::auth::{options, refused};
use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::query::Query;
use axum::Json;
use axum::extract::{RawQuery, State as Shared};
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

/// How many are answered if nobody says, and at most.
const DEFAULT_LIMIT: i64 = 25;
const HIGHEST_LIMIT: i64 = 100;

fn limit(query: &Query) -> Result<u32, ApiError> {
    let text = query.text("limit").unwrap_or("0");
    let number: i64 = text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "invalid limit specified: strconv.Atoi: parsing {text:?}: invalid syntax"
        ))
    })?;
    match number {
        0 => Ok(DEFAULT_LIMIT as u32),
        1..=HIGHEST_LIMIT => Ok(number as u32),
        _ => {
            Err(ApiError::bad_request(format!("limit {number} is outside the range of [1, {HIGHEST_LIMIT}]")))
        }
    }
}

/// `GET /images/search`
pub(crate) async fn search(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let limit = limit(&query)?;
    let filters = Filters::parse(query.text("filters"), &["is-automated", "is-official", "stars"])?;
    let automated = filters.truth("is-automated")?.unwrap_or(false);
    let official = filters.truth("is-official")?;
    let mut stars = 0_i64;
    for text in filters.get("stars") {
        let bad = |_| {
            let why = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            ApiError::bad_request(format!("invalid filter 'stars={text}': {why}"))
        };
        stars = stars.max(text.parse().map_err(bad)?);
    }
    let options = state.engine.reaching(options(&headers));
    let term = query.text("term").unwrap_or_default();
    let found = state.engine.drivers().images.search(term, limit, &options).await.map_err(refused)?;
    let rows = found.into_iter().filter(|hit| {
        // Nothing is built automatically any more.
        !automated && official.is_none_or(|wanted| wanted == hit.is_official) && hit.star_count >= stars
    });
    let row = |hit: hull_ports::SearchHit| {
        json!({
            "star_count": hit.star_count,
            "is_official": hit.is_official,
            "name": hit.name,
            "is_automated": false,
            "description": hit.description,
        })
    };
    Ok(Json(rows.map(row).collect::<Vec<Value>>()).into_response())
}
