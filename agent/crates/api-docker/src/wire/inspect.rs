//! A container's inspection.

use super::{HostConfig, MountPoint, NEVER, NetworkSettings, View, mounts, state_word};
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
    host_config: HostConfig,
    graph_driver: GraphDriver,
    mounts: Vec<MountPoint>,
    config: Config,
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
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GraphDriver {
    pub(crate) data: Option<BTreeMap<String, String>>,
    pub(crate) name: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Value>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Vec<String>,
    cmd: Option<Vec<String>>,
    image: String,
    volumes: Option<BTreeMap<String, Value>>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<u64>,
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
            resolv_conf_path: String::new(),
            hostname_path: String::new(),
            hosts_path: String::new(),
            log_path: String::new(),
            name: format!("/{}", record.spec.name),
            restart_count: record.restarts,
            driver: "overlayfs",
            platform: "linux",
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: String::new(),
            exec_ids: (!execs.is_empty()).then_some(execs),
            host_config: HostConfig::new(view),
            graph_driver: GraphDriver { data: None, name: "overlayfs" },
            mounts: mounts(view),
            config: config(view),
            network_settings: NetworkSettings::new(view),
        }
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

fn config(view: View<'_>) -> Config {
    let (record, image) = (view.record, view.config());
    let spec = &record.spec;
    let list = |own: &Option<Vec<String>>, inherited: Vec<String>| {
        own.clone().or_else(|| (!inherited.is_empty()).then_some(inherited))
    };
    let set = |keys: Vec<String>| keys.into_iter().map(|k| (k, json!({}))).collect::<BTreeMap<_, _>>();
    let mut exposed: Vec<String> = image.exposed_ports.iter().cloned().collect();
    exposed.extend(spec.ports.iter().map(|p| format!("{}/{}", p.container_port, p.protocol.as_str())));
    let volumes: Vec<String> = image.volumes.iter().cloned().collect();
    let cmd = if spec.entrypoint.is_some() { Vec::new() } else { image.cmd.clone() };
    let mut labels = image.labels.clone();
    labels.extend(spec.labels.clone());
    Config {
        hostname: hull_plan::oci::hostname(&record.id, spec),
        domainname: spec.domainname.clone().unwrap_or_default(),
        user: spec.user.clone().unwrap_or_else(|| image.user.clone()),
        attach_stdin: false,
        attach_stdout: false,
        attach_stderr: false,
        exposed_ports: set(exposed),
        tty: spec.tty,
        open_stdin: spec.stdin_open,
        stdin_once: false,
        env: hull_plan::oci::environment(&record.id, spec, &image),
        cmd: list(&spec.command, cmd),
        image: spec.image.familiar(),
        volumes: (!volumes.is_empty()).then(|| set(volumes)),
        working_dir: spec
            .working_dir
            .as_ref()
            .map_or_else(|| image.working_dir.clone(), |d| d.display().to_string()),
        entrypoint: list(&spec.entrypoint, image.entrypoint.clone()),
        on_build: None,
        labels,
        stop_signal: spec
            .stop_signal
            .clone()
            .or_else(|| Some(image.stop_signal.clone()).filter(|s| !s.is_empty())),
        stop_timeout: spec.stop_grace_seconds,
    }
}
