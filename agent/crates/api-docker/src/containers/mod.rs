//! Listing, inspecting and clearing up containers.

mod filter;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::prune::Picker;
use crate::query::Query;
use crate::wire::{ContainerInspect, ContainerSummary, View, state_word};
use axum::Json;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::response::IntoResponse as _;
use filter::Wanted;
use hull_engine::Health;
use hull_model::{ContainerId, ContainerRecord, Image, NetworkRecord, VolumeRecord};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;

type Pairs = HashMap<ContainerId, Vec<(String, String)>>;

/// Everything that containers are told with, read once per request.
pub(crate) struct Known {
    images: Vec<Image>,
    networks: Vec<NetworkRecord>,
    volumes: Vec<VolumeRecord>,
    health: HashMap<ContainerId, Health>,
    sizes: HashMap<ContainerId, (u64, u64)>,
    links: Pairs,
    linked: Pairs,
    files: PathBuf,
    root: PathBuf,
}

impl Known {
    /// Reads all of it.
    pub(crate) async fn read(state: &State) -> Result<Self, ApiError> {
        Self::read_with(state, &state.engine.containers().await?).await
    }

    async fn read_with(state: &State, containers: &[ContainerRecord]) -> Result<Self, ApiError> {
        let (links, linked) = links(containers);
        let health = |c: &ContainerRecord| Some((c.id.clone(), state.engine.health(&c.id)?));
        Ok(Self {
            images: state.engine.drivers().images.list().await?,
            networks: state.engine.networks().await?,
            volumes: state.engine.volumes().await?,
            health: containers.iter().filter_map(health).collect(),
            sizes: HashMap::new(),
            links,
            linked,
            files: state.engine.files_dir().to_owned(),
            root: state.root.clone(),
        })
    }

    pub(crate) fn view<'a>(&'a self, state: &State, record: &'a ContainerRecord) -> View<'a> {
        let id = &record.id;
        View {
            record,
            image: self.images.iter().find(|i| i.id == record.image),
            networks: &self.networks,
            volumes: &self.volumes,
            files: &self.files,
            root: &self.root,
            restarting: state.engine.will_restart(record),
            health: self.health.get(id),
            sizes: self.sizes.get(id).copied(),
            links: self.links.get(id).map_or(&[], Vec::as_slice),
            linked: self.linked.get(id).map_or(&[], Vec::as_slice),
        }
    }
}

/// Who has links to whom, both ways round.
fn links(containers: &[ContainerRecord]) -> (Pairs, Pairs) {
    let (mut links, mut linked) = (Pairs::new(), Pairs::new());
    for owner in containers {
        for link in &owner.spec.links {
            let Some(target) = containers.iter().find(|c| c.id.as_str() == link.target) else { continue };
            let to = (target.spec.name.to_string(), link.alias.clone());
            links.entry(owner.id.clone()).or_default().push(to);
            let from = (owner.spec.name.to_string(), link.alias.clone());
            linked.entry(target.id.clone()).or_default().push(from);
        }
    }
    (links, linked)
}

/// `GET /containers/json`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let wanted = Wanted::read(query.text("filters"))?;
    let limit = match query.text("limit") {
        None => None,
        Some(text) => {
            let bad = |_| ApiError::internal(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
            usize::try_from(text.parse::<i64>().map_err(bad)?).ok().filter(|n| *n > 0)
        }
    };
    let mut containers = state.engine.containers().await?;
    containers.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.spec.name.cmp(&b.spec.name)));
    let between = wanted.between(&containers)?;
    let all = query.flag("all") || limit.is_some() || wanted.widens();
    let mut known = Known::read_with(&state, &containers).await?;
    let chosen: Vec<&ContainerRecord> = containers
        .iter()
        .filter(|record| {
            let view = known.view(&state, record);
            let running = matches!(state_word(view), "running" | "restarting" | "paused");
            (all || running) && between.holds(record) && wanted.passes(view)
        })
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    if query.flag("size") {
        let mut sizes = HashMap::new();
        for record in &chosen {
            sizes.insert(record.id.clone(), state.engine.sizes(&record.id).await?);
        }
        known.sizes = sizes;
    }
    let now = state.engine.drivers().clock.now();
    let rows: Vec<_> =
        chosen.into_iter().map(|record| ContainerSummary::new(known.view(&state, record), now)).collect();
    Ok(Json(rows).into_response())
}

/// `GET /containers/{id}/json`
pub(crate) async fn inspect(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let record = state.engine.find(&id).await?;
    let containers = state.engine.containers().await?;
    let mut known = Known::read_with(&state, &containers).await?;
    if Query::parse(query.as_deref()).flag("size") {
        known.sizes.insert(record.id.clone(), state.engine.sizes(&record.id).await?);
    }
    let execs = state.execs.of(&record.id);
    Ok(Json(ContainerInspect::new(known.view(&state, &record), execs)).into_response())
}

/// `POST /containers/prune`
pub(crate) async fn prune(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let picker = Picker::read(query.text("filters"), &[], state.engine.drivers().clock.now())?;
    let (gone, bytes) = state.engine.prune_containers(|record| picker.container(record)).await?;
    let gone = Some(gone).filter(|g| !g.is_empty());
    Ok(Json(json!({ "ContainersDeleted": gone, "SpaceReclaimed": bytes })).into_response())
}

/// Whether a list could be asked for so.
#[cfg(fuzzing)]
pub(crate) fn wanted(filters: Option<&str>) -> bool {
    Wanted::read(filters).is_ok()
}
