//! A container's inspection.

use super::{MountPoint, NEVER, NetworkSettings, View, mounts, state_word};
use hull_model::ContainerState;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Everything about a container, in Docker's order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContainerInspect {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: State,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: String,
    process_label: String,
    app_armor_profile: String,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: Value,
    graph_driver: GraphDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<MountPoint>,
    config: Value,
    network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: i32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Value>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GraphDriver {
    pub(crate) data: Option<BTreeMap<String, String>>,
    pub(crate) name: &'static str,
}

impl ContainerInspect {
    pub(crate) fn new(view: View<'_>, execs: Vec<String>) -> Self {
        let record = view.record;
        let mut command = view.command().into_iter();
        Self {
            id: record.id.to_string(),
            created: record.created.to_string(),
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            state: state(view),
            image: record.image.to_string(),
            resolv_conf_path: file_below_etc(view, "resolv.conf"),
            hostname_path: file_below_etc(view, "hostname"),
            hosts_path: file_below_etc(view, "hosts"),
            log_path: log_path(view),
            name: format!("/{}", record.spec.name),
            restart_count: record.restarts,
            driver: "overlayfs",
            platform: "linux",
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: String::new(),
            exec_ids: (!execs.is_empty()).then_some(execs),
            host_config: host_config(view),
            graph_driver: GraphDriver { data: None, name: "overlayfs" },
            size_rw: view.sizes.map(|(own, _)| own),
            size_root_fs: view.sizes.map(|(_, whole)| whole),
            mounts: mounts(view),
            config: config(view),
            network_settings: NetworkSettings::new(view),
        }
    }
}

/// Where a file below /etc of the container is on the host; nowhere before its first start.
fn file_below_etc(view: View<'_>, name: &str) -> String {
    match view.record.state {
        ContainerState::Created => String::new(),
        _ => view.files.join(view.record.id.as_str()).join(name).display().to_string(),
    }
}

/// Where its output is, for the driver whose files others read too.
fn log_path(view: View<'_>) -> String {
    let id = view.record.id.as_str();
    let kept = view.record.spec.log.driver == hull_model::LogDriver::JsonFile;
    match view.record.state {
        ContainerState::Created => String::new(),
        _ if !kept => String::new(),
        _ => view.root.join("containers").join(id).join(format!("{id}-json.log")).display().to_string(),
    }
}

fn state(view: View<'_>) -> State {
    let mut state = State {
        status: state_word(view),
        running: view.record.state.is_running() || view.restarting,
        paused: false,
        restarting: view.restarting,
        oom_killed: false,
        dead: false,
        pid: 0,
        exit_code: 0,
        error: String::new(),
        started_at: NEVER.to_owned(),
        finished_at: NEVER.to_owned(),
        health: health(view),
    };
    match &view.record.state {
        ContainerState::Created => {}
        ContainerState::Running { pid, started, paused } => {
            state.paused = *paused;
            state.pid = *pid;
            state.started_at = started.to_string();
        }
        ContainerState::Exited { exit, started, finished } => {
            state.exit_code = exit.code;
            state.oom_killed = exit.oom_killed;
            state.error.clone_from(&exit.error);
            state.started_at = started.map_or_else(|| NEVER.to_owned(), |t| t.to_string());
            state.finished_at = finished.to_string();
        }
    }
    state
}

/// What was asked for when it was made, or what a client would have asked for.
fn config(view: View<'_>) -> Value {
    let asked = view.asked("Config").cloned();
    let mut config = asked.unwrap_or_else(|| json!(super::config::config(view)));
    if config["Hostname"].as_str().is_none_or(str::is_empty) {
        config["Hostname"] = json!(hull_plan::oci::hostname(&view.record.id, &view.record.spec));
    }
    config
}

fn host_config(view: View<'_>) -> Value {
    let asked = view.asked("HostConfig").cloned();
    let mut host = asked.unwrap_or_else(|| json!(super::host_config::host_config(view)));
    host["NetworkMode"] = json!(super::host_config::network_mode(view.record));
    let links: Vec<String> = view
        .links
        .iter()
        .map(|(target, alias)| format!("/{target}:/{}/{alias}", view.record.spec.name))
        .collect();
    host["Links"] = json!((!links.is_empty()).then_some(links));
    host
}

fn health(view: View<'_>) -> Option<Value> {
    let health = view.health?;
    let probe = |p: &hull_engine::Probe| {
        json!({
            "Start": p.start.to_string(),
            "End": p.end.to_string(),
            "ExitCode": p.exit_code,
            "Output": p.output,
        })
    };
    Some(json!({
        "Status": super::summary::health_word(health.status),
        "FailingStreak": health.failing_streak,
        "Log": health.log.iter().map(probe).collect::<Vec<_>>(),
    }))
}
