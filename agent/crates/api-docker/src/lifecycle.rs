//! Starting, stopping, freezing, renaming and removing containers by hand.

use crate::State;
use crate::create;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use http_body_util::BodyExt as _;
use hull_engine::{RemoveRequest, StopRequest};
use hull_model::{ContainerId, ContainerState, parse_signal};
use hull_ports::ErrorClass;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Containers that are being removed: nobody has to remove them again.
#[derive(Clone, Default)]
pub(crate) struct Removals(Arc<Mutex<HashSet<ContainerId>>>);

/// One removal, until it is over.
struct Removal {
    all: Removals,
    id: ContainerId,
}

impl Removals {
    fn begin(&self, id: &ContainerId) -> Result<Removal, ApiError> {
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone()) {
            let why = format!("removal of container {id} is already in progress");
            return Err(ApiError::conflict(why));
        }
        Ok(Removal { all: self.clone(), id: id.clone() })
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// A start that failed for what the container says is not a container that is missing.
fn start_failed(error: hull_ports::Error) -> ApiError {
    let class = error.class;
    // Clients match on the end of it: no advice is added.
    let message = error.chain();
    let mut answer = ApiError { message, ..ApiError::from(error) };
    if class == ErrorClass::NotFound && !answer.message.starts_with("No such container") {
        answer.status = StatusCode::BAD_REQUEST;
    }
    answer
}

/// `POST /containers/{id}/start`
pub(crate) async fn start(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    mut body: Body,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let first = body.frame().await;
    // An empty document says nothing either.
    if first.is_some_and(|f| f.is_ok_and(|f| f.data_ref().is_some_and(|d| d.len() > 2))) {
        let why = "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24";
        return Err(ApiError::bad_request(why));
    }
    if query.text("checkpoint").is_some() {
        return Err(ApiError::unsupported("starting from a checkpoint"));
    }
    let record = state.engine.find(&id).await?;
    match state.engine.start_by_hand(&record.id).await.map_err(start_failed)? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Ok(StatusCode::NOT_MODIFIED.into_response()),
    }
}

fn stop_request(query: &Query, id: &str) -> Result<StopRequest, ApiError> {
    let number = |text: &str| {
        let why = || ApiError::internal(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
        text.parse::<i64>().map_err(|_| why())
    };
    let seconds = query.text("t").map(number).transpose()?;
    // Less than nothing is without end.
    let grace = seconds.map(|s| u64::try_from(s).map_or(Duration::MAX, Duration::from_secs));
    let signal = match query.text("signal") {
        None => None,
        Some(text) => {
            let why = || ApiError::internal(format!("cannot stop container: {id}: invalid signal: {text}"));
            Some(parse_signal(text).ok_or_else(why)?)
        }
    };
    Ok(StopRequest { signal, grace })
}

/// `POST /containers/{id}/stop`
pub(crate) async fn stop(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let request = stop_request(&Query::parse(query.as_deref()), &id)?;
    let record = state.engine.find(&id).await?;
    let stopped = state.engine.stop_by_hand(&record.id, request).await?;
    let status = if stopped { StatusCode::NO_CONTENT } else { StatusCode::NOT_MODIFIED };
    Ok(status.into_response())
}

/// `POST /containers/{id}/restart`
pub(crate) async fn restart(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let request = stop_request(&Query::parse(query.as_deref()), &id)?;
    let record = state.engine.find(&id).await?;
    state.engine.restart_by_hand(&record.id, request).await.map_err(start_failed)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /containers/{id}/kill`
pub(crate) async fn kill(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    const SIGKILL: i32 = 9;
    let query = Query::parse(query.as_deref());
    let record = state.engine.find(&id).await?;
    let signal = match query.text("signal") {
        None => SIGKILL,
        Some(text) => parse_signal(text).ok_or_else(|| {
            ApiError::bad_request(format!("cannot kill container: {id}: invalid signal: {text}"))
        })?,
    };
    if !record.state.is_running() {
        return Err(ApiError::conflict(format!(
            "cannot kill container: {id}: container {} is not running",
            record.id
        )));
    }
    state.engine.kill_by_hand(&record.id, signal).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /containers/{id}/pause`
pub(crate) async fn pause(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    if !record.state.is_running() {
        return Err(ApiError::conflict(format!("container {} is not running", record.id)));
    }
    state.engine.pause_by_hand(&record.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /containers/{id}/unpause`
pub(crate) async fn unpause(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    if !matches!(record.state, ContainerState::Running { paused: true, .. }) {
        return Err(ApiError::internal(format!("Container {} is not paused", record.id)));
    }
    state.engine.unpause_by_hand(&record.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /containers/{id}/rename`
pub(crate) async fn rename(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let Some(text) = query.text("name") else {
        return Err(ApiError::bad_request("Neither old nor new names may be empty"));
    };
    let record = state.engine.find(&id).await?;
    let prefix = |mut error: ApiError| {
        error.message = format!("Error when allocating new name: {}", error.message);
        error
    };
    let slashed = format!("/{}", text.strip_prefix('/').unwrap_or(text));
    let name = create::name(&slashed).map_err(prefix)?;
    match state.engine.rename_by_hand(&record.id, &name).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) if error.message.starts_with("Conflict. The container name") => Err(prefix(error.into())),
        Err(error) => Err(error.into()),
    }
}

/// `DELETE /containers/{id}`
pub(crate) async fn remove(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    if query.flag("link") {
        return remove_link(&state, &id).await;
    }
    let record = state.engine.find(&id).await?;
    let request = RemoveRequest { force: query.flag("force"), volumes: query.flag("v") };
    let _removal = state.removals.begin(&record.id)?;
    state.engine.remove_by_hand(&record.id, request).await.map_err(|error| {
        // As the client called it.
        let own = format!("cannot remove container \"/{}\"", record.spec.name);
        let mut answer = ApiError::from(error);
        if let Some(rest) = answer.message.strip_prefix(&own) {
            answer.message = format!("cannot remove container {id:?}{rest}");
        }
        answer
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /containers/{id}/{link}`: the name that one container has for another.
pub(crate) async fn remove_linked(
    Shared(state): Shared<State>,
    Path((id, link)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let name = format!("{id}/{link}");
    match Query::parse(query.as_deref()).flag("link") {
        true => remove_link(&state, &name).await,
        false => Err(ApiError::not_found(format!("No such container: {name}"))),
    }
}

/// A link is a name below another container: `web/db`.
async fn remove_link(state: &State, id: &str) -> Answer {
    let Some((owner, _)) = id.trim_start_matches('/').split_once('/') else {
        state.engine.find(id).await?;
        return Err(ApiError::internal("Conflict, cannot remove the default link name of the container"));
    };
    match state.engine.find(owner).await {
        Ok(_) => Err(ApiError::unsupported("removing a link of a container that exists")),
        Err(_) => Err(ApiError::not_found(format!("No such container: {id}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_removed_once_at_a_time() {
        let (all, id) = (Removals::default(), ContainerId::from_random([1; 32]));
        let first = all.begin(&id).ok();
        let words = format!("removal of container {id} is already in progress");
        assert_eq!(all.begin(&id).err().map(|e| e.message), Some(words));
        drop(first);
        assert!(all.begin(&id).is_ok());
    }
}
