//! One row of the list of containers.

use super::container::EndpointSettings;
use super::{MountPoint, Port, View, mounts, networks, ports};
use crate::human;
use hull_engine::HealthStatus;
use hull_model::{ContainerState, Owner};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A container in the list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerSummary {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: Value,
    network_settings: Networks,
    mounts: Vec<MountPoint>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: BTreeMap<String, EndpointSettings>,
}

impl ContainerSummary {
    pub(crate) fn new(view: View<'_>, now: Timestamp) -> Self {
        let record = view.record;
        Self {
            id: record.id.to_string(),
            names: names(view),
            image: view.image_name(),
            image_id: record.image.to_string(),
            command: command_line(&view.command()),
            created: record.created.as_second(),
            ports: ports(view),
            // Docker leaves a writable layer of nothing out.
            size_rw: view.sizes.map(|(own, _)| own).filter(|own| *own > 0),
            size_root_fs: view.sizes.map(|(_, whole)| whole),
            labels: record.spec.labels.clone(),
            state: state_word(view),
            status: status(view, now),
            host_config: host_config(view),
            network_settings: Networks { networks: networks(view) },
            mounts: mounts(view),
        }
    }
}

/// Its own name, and those that other containers know it by.
fn names(view: View<'_>) -> Vec<String> {
    let own = format!("/{}", view.record.spec.name);
    let linked = view.linked.iter().map(|(owner, alias)| format!("/{owner}/{alias}"));
    std::iter::once(own).chain(linked).collect()
}

fn host_config(view: View<'_>) -> Value {
    let mut host = json!({ "NetworkMode": super::host_config::network_mode(view.record) });
    if !view.record.spec.annotations.is_empty() {
        host["Annotations"] = json!(view.record.spec.annotations);
    }
    host
}

/// Docker's word for whether a container works.
pub(crate) fn health_word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

/// Whether starting it failed, and it was never started before: then Docker says it was only created.
fn never_ran(view: View<'_>) -> bool {
    let record = view.record;
    record.owner == Owner::Docker && matches!(record.state, ContainerState::Exited { started: None, .. })
}

/// Docker's word for what a container is doing.
pub(crate) fn state_word(view: View<'_>) -> &'static str {
    match view.record.state {
        ContainerState::Created => "created",
        ContainerState::Running { paused: true, .. } => "paused",
        ContainerState::Running { .. } => "running",
        ContainerState::Exited { .. } if view.restarting => "restarting",
        _ if never_ran(view) => "created",
        ContainerState::Exited { .. } => "exited",
    }
}

/// The same in a sentence: `Up 2 minutes`, `Exited (1) 3 seconds ago`.
fn status(view: View<'_>, now: Timestamp) -> String {
    if never_ran(view) {
        return "Created".to_owned();
    }
    match &view.record.state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Running { started, paused, .. } => {
            let up = format!("Up {}", human::duration(now.duration_since(*started)));
            match (paused, view.health.map(|h| h.status)) {
                (true, _) => format!("{up} (Paused)"),
                (_, None) => up,
                (_, Some(HealthStatus::Starting)) => format!("{up} (health: starting)"),
                (_, Some(status)) => format!("{up} ({})", health_word(status)),
            }
        }
        ContainerState::Exited { exit, finished, .. } => {
            let word = if view.restarting { "Restarting" } else { "Exited" };
            format!("{word} ({}) {} ago", exit.code, human::duration(now.duration_since(*finished)))
        }
    }
}

/// Program and arguments on one line; arguments with blanks in quotes.
fn command_line(command: &[String]) -> String {
    let quoted = command.iter().enumerate().map(|(index, word)| match index > 0 && word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
