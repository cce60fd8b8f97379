//! One row of the list of containers.

use super::container::EndpointSettings;
use super::{MountPoint, Port, View, mounts, networks, ports};
use crate::human;
use hull_model::ContainerState;
use jiff::Timestamp;
use serde::Serialize;
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
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: BTreeMap<&'static str, String>,
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
            names: vec![format!("/{}", record.spec.name)],
            image: view.image_name(),
            image_id: record.image.to_string(),
            command: command_line(&view.command()),
            created: record.created.as_second(),
            ports: ports(view),
            labels: record.spec.labels.clone(),
            state: state_word(view),
            status: status(view, now),
            host_config: BTreeMap::from([("NetworkMode", super::host_config::network_mode(record))]),
            network_settings: Networks { networks: networks(view) },
            mounts: mounts(view),
        }
    }
}

/// Docker's word for what a container is doing.
pub(crate) fn state_word(view: View<'_>) -> &'static str {
    match view.record.state {
        ContainerState::Created => "created",
        ContainerState::Running { .. } => "running",
        ContainerState::Exited { .. } if view.restarting => "restarting",
        ContainerState::Exited { .. } => "exited",
    }
}

/// The same in a sentence: `Up 2 minutes`, `Exited (1) 3 seconds ago`.
fn status(view: View<'_>, now: Timestamp) -> String {
    match &view.record.state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Running { started, .. } => {
            format!("Up {}", human::duration(now.duration_since(*started)))
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
