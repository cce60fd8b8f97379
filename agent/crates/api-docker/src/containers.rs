//! Listing and inspecting containers.

use crate::State;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::query::Query;
use crate::wire::{ContainerInspect, ContainerSummary, View, state_word};
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use hull_model::{ContainerRecord, ContainerState, Image, NetworkRecord, Reference, VolumeRecord};

const FILTERS: &[&str] = &["id", "name", "label", "status", "ancestor", "exited", "network", "volume"];
const STATES: &[&str] = &["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// Everything that containers are told with, read once per request.
pub(crate) struct Known {
    images: Vec<Image>,
    networks: Vec<NetworkRecord>,
    volumes: Vec<VolumeRecord>,
}

impl Known {
    pub(crate) async fn read(state: &State) -> Result<Self, ApiError> {
        Ok(Self {
            images: state.engine.drivers().images.list().await?,
            networks: state.engine.networks().await?,
            volumes: state.engine.volumes().await?,
        })
    }

    pub(crate) fn view<'a>(&'a self, state: &State, record: &'a ContainerRecord) -> View<'a> {
        View {
            record,
            image: self.images.iter().find(|i| i.id == record.image),
            networks: &self.networks,
            volumes: &self.volumes,
            restarting: state.engine.will_restart(record),
        }
    }
}

/// `GET /containers/json`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), FILTERS)?;
    if let Some(bad) = filters.get("status").find(|s| !STATES.contains(s)) {
        return Err(ApiError::bad_request(format!("invalid filter 'status={bad}'")));
    }
    let limit = query.number::<i64>("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let all = query.flag("all") || limit.is_some() || filters.has("status") || filters.has("exited");
    let mut containers = state.engine.containers().await?;
    containers.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.spec.name.cmp(&b.spec.name)));
    let known = Known::read(&state).await?;
    let now = state.engine.drivers().clock.now();
    let views = containers.iter().map(|record| known.view(&state, record));
    let chosen = views.filter(|view| {
        let running = matches!(state_word(*view), "running" | "restarting");
        (all || running) && passes(*view, &filters)
    });
    let rows: Vec<_> =
        chosen.take(limit.unwrap_or(usize::MAX)).map(|view| ContainerSummary::new(view, now)).collect();
    Ok(Json(rows).into_response())
}

fn passes(view: View<'_>, filters: &Filters) -> bool {
    let record = view.record;
    let name = record.spec.name.as_str();
    let exit_code = match &record.state {
        ContainerState::Exited { exit, .. } => Some(exit.code.to_string()),
        _ => None,
    };
    let in_network = |wanted: &str| {
        let id = |n: &NetworkRecord| n.id.starts_with(wanted);
        record
            .spec
            .networks
            .keys()
            .any(|n| n.as_str() == wanted || view.networks.iter().find(|r| r.name == *n).is_some_and(id))
    };
    let mounts = |wanted: &str| {
        record.spec.volumes().any(|v| v.as_str() == wanted)
            || record.spec.mounts.iter().any(|m| m.target.as_os_str() == wanted)
    };
    filters.any("id", |wanted| record.id.as_str().starts_with(wanted))
        && filters.name("name", &[name, &format!("/{name}")])
        && filters.labels(&record.spec.labels)
        && filters.any("status", |wanted| state_word(view) == wanted)
        && filters.any("ancestor", |wanted| descends(view, wanted))
        && filters.any("exited", |wanted| exit_code.as_deref() == Some(wanted))
        && filters.any("network", in_network)
        && filters.any("volume", mounts)
}

/// Whether a container was made from the image that a text means.
fn descends(view: View<'_>, wanted: &str) -> bool {
    let id = view.record.image.hex();
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let named = Reference::parse(wanted).is_ok_and(|reference| {
        reference == view.record.spec.image
            || view.image.is_some_and(|image| image.references.contains(&reference))
    });
    named || (hex.len() >= 4 && id.starts_with(hex))
}

/// `GET /containers/{id}/json`
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let record = state.engine.find(&id).await?;
    let known = Known::read(&state).await?;
    let execs = state.execs.of(&record.id);
    Ok(Json(ContainerInspect::new(known.view(&state, &record), execs)).into_response())
}
