//! Images: what is here, and the ways in, out and away.

mod archive;
pub(crate) mod auth;
mod distribution;
mod glob;
mod import;
mod inspect;
mod list;
mod platform;
mod progress;
mod pull;
mod push;
mod remove;
mod search;

pub(crate) use list::count_containers;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::version::Spoken;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State as Shared};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse as _};

/// The routes of images. Names of images have slashes, so what follows them is taken apart here.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/images/json", get(list::list).delete(remove::named_json))
        .route("/images/create", post(create))
        .route("/images/load", post(archive::load))
        .route("/images/prune", post(remove::prune))
        .route("/images/search", get(search::search))
        .route("/images/get", get(archive::save_many))
        .route("/images/{*name}", get(look).post(act).delete(remove::remove))
        .route("/distribution/{*name}", get(distribution::look_up))
        .route("/auth", post(auth::login))
}

fn nothing_there() -> ApiError {
    ApiError::not_found("page not found")
}

/// `GET /images/{name}/…`
async fn look(
    Shared(state): Shared<State>,
    Extension(version): Extension<Spoken>,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = crate::query::Query::parse(query.as_deref());
    match rest.rsplit_once('/') {
        Some((name, "json")) => inspect::inspect(&state, name, &query, version).await,
        Some((name, "history")) => inspect::history(&state, name, &query).await,
        Some((name, "get")) => archive::save(&state, &[name.to_owned()], &query).await,
        _ => Err(nothing_there()),
    }
}

/// `POST /images/{name}/…`
async fn act(
    Shared(state): Shared<State>,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let query = crate::query::Query::parse(query.as_deref());
    match rest.rsplit_once('/') {
        Some((name, "push")) => push::push(state, name, &query, &headers).await,
        Some((name, "tag")) => tag(&state, name, &query).await,
        _ => Err(nothing_there()),
    }
}

/// `POST /images/{name}/tag`
async fn tag(state: &State, name: &str, query: &crate::query::Query) -> Answer {
    let (repository, tag) = (query.text("repo").unwrap_or_default(), query.text("tag").unwrap_or_default());
    let Some(reference) = hull_engine::repository_and_tag(repository, tag)? else {
        return Ok(axum::http::StatusCode::OK.into_response());
    };
    // It would read as an id ever after.
    if reference.familiar_name() == "sha256" {
        let message = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(ApiError::bad_request(message));
    }
    state.engine.tag_image(name, &reference).await?;
    Ok(axum::http::StatusCode::CREATED.into_response())
}

/// `POST /images/create`: a pull, or an import.
async fn create(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let query = crate::query::Query::parse(query.as_deref());
    match query.text("fromImage") {
        Some(name) => pull::pull(state, name, &query, &headers).await,
        None => import::import(state, &query, body).await,
    }
}
