//! Files of containers: in, out, what changed, everything.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hull_model::ContainerRecord;
use hull_ports::{ChangeKind, ContainerTree, Error, ErrorClass, PathStat, PutOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

/// A container's files, and a path that a client means in them.
struct Place {
    record: ContainerRecord,
    tree: ContainerTree,
    text: String,
}

impl Place {
    async fn find(state: &State, id: &str, query: &Query) -> Result<Self, ApiError> {
        let Some(text) = query.text("path") else {
            return Err(ApiError::bad_request("bad parameter: pathcannot be empty"));
        };
        let record = state.engine.find(id).await?;
        let tree = state.engine.tree(&record.id).await?;
        Ok(Self { record, tree, text: text.to_owned() })
    }

    /// Absolute in the container. A trailing slash or dot stays: it means the directory.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/{}", self.text.trim_start_matches('/')))
    }

    /// Docker's words for a path that is not there.
    fn failed(&self, id: &str, error: Error) -> ApiError {
        match error.class {
            ErrorClass::NotFound => {
                ApiError::not_found(format!("Could not find the file {} in container {id}", self.text))
            }
            _ => error.into(),
        }
    }

    fn announce(&self, state: &State, action: &str) {
        let path = BTreeMap::from([("path".to_owned(), self.text.clone())]);
        state.engine.announce_container(&self.record, action, path);
    }
}

/// A mode as Go writes it: permissions as everywhere, kinds and special bits in the upper half.
pub(crate) fn go_mode(mode: u32) -> u32 {
    const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => 1 << 26 | 1 << 21,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    SPECIAL.iter().filter(|(bit, _)| mode & bit != 0).fold(mode & 0o777 | kind, |all, (_, go)| all | go)
}

fn header(stat: &PathStat) -> Result<HeaderValue, ApiError> {
    let text = json!({
        "name": stat.name,
        "size": stat.size,
        "mode": go_mode(stat.mode),
        "mtime": stat.modified.to_string(),
        "linkTarget": stat.link_target,
    });
    let encoded = base64::engine::general_purpose::STANDARD.encode(text.to_string());
    HeaderValue::try_from(encoded).map_err(|e| ApiError::internal(e.to_string()))
}

/// `HEAD /containers/{id}/archive`
pub(crate) async fn stat(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let place = Place::find(&state, &id, &Query::parse(query.as_deref())).await?;
    let found = state.engine.drivers().archives.stat(&place.tree, &place.path()).await;
    let stat = found.map_err(|e| place.failed(&id, e))?;
    Ok(([(PATH_STAT, header(&stat)?)], StatusCode::OK).into_response())
}

/// `GET /containers/{id}/archive`
pub(crate) async fn get(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let place = Place::find(&state, &id, &Query::parse(query.as_deref())).await?;
    let found = state.engine.drivers().archives.get(&place.tree, &place.path()).await;
    let (stat, archive) = found.map_err(|e| place.failed(&id, e))?;
    place.announce(&state, "archive-path");
    let mut response = tar(archive);
    response.headers_mut().insert(PATH_STAT, header(&stat)?);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

fn tar(archive: hull_ports::ByteStream) -> Response {
    let mut response = Response::new(Body::from_stream(archive));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// `PUT /containers/{id}/archive`
pub(crate) async fn put(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let place = Place::find(&state, &id, &query).await?;
    let owner = match query.flag("copyUIDGID") {
        true => {
            let image = state.engine.drivers().images.image(&place.record.image).await?;
            let own = place.record.spec.user.clone();
            let user = own.or(image.map(|i| i.config.user)).unwrap_or_default();
            crate::owner::numbers(&state, &place.tree, &user).await?
        }
        false => None,
    };
    let options = PutOptions { no_overwrite_dir_non_dir: query.flag("noOverwriteDirNonDir"), owner };
    let archive = body.into_data_stream().map_err(std::io::Error::other).boxed();
    let archives = &state.engine.drivers().archives;
    archives.put(&place.tree, &place.path(), archive, options).await.map_err(|e| place.failed(&id, e))?;
    place.announce(&state, "extract-to-dir");
    Ok(StatusCode::OK.into_response())
}

/// `GET /containers/{id}/changes`: null if there are none.
pub(crate) async fn changes(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    let tree = state.engine.tree(&record.id).await?;
    let changes = state.engine.drivers().archives.changes(&tree.rootfs).await?;
    let told: Vec<Value> = changes
        .into_iter()
        .map(|change| {
            let kind = match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            };
            json!({ "Path": change.path, "Kind": kind })
        })
        .collect();
    Ok(Json(Some(told).filter(|t| !t.is_empty())).into_response())
}

/// `GET /containers/{id}/export`
pub(crate) async fn export(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    let tree = state.engine.tree(&record.id).await?;
    let archive = state.engine.drivers().archives.export(&tree.rootfs).await?;
    state.engine.announce_container(&record, "export", BTreeMap::new());
    Ok(tar(archive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (mode, go) in [
            (0o100_644, 0o644),
            (0o120_777, 134_218_239),
            (0o040_755, 2_147_484_141),
            (0o041_777, 2_148_532_735),
            (0o104_755, 8_389_101),
            (0o020_666, 69_206_454),
            (0o060_660, 67_109_296),
            (0o010_644, 33_554_852),
            (0o140_755, 16_777_709),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
        }
    }
}
