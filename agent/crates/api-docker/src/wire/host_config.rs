//! What a container was asked to be, as Docker's HostConfig.

use super::View;
use super::container::{PortBinding, bindings};
use hull_model::{ContainerRecord, MountKind, RestartPolicy, SeccompChoice};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DEFAULT_SHM: u64 = 64 << 20;

/// Docker's HostConfig, in its order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: String,
    log_config: LogConfig,
    network_mode: String,
    port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
    restart_policy: Restart,
    auto_remove: bool,
    volume_driver: String,
    volumes_from: Option<Vec<String>>,
    console_size: [u16; 2],
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    cgroupns_mode: &'static str,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: &'static str,
    cgroup: String,
    links: Option<Vec<String>>,
    oom_score_adj: i32,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    userns_mode: String,
    shm_size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    runtime: &'static str,
    isolation: String,
    cpu_shares: u64,
    memory: u64,
    nano_cpus: u64,
    cgroup_parent: String,
    cpu_period: u64,
    cpu_quota: u64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Vec<Value>,
    device_cgroup_rules: Option<Vec<String>>,
    device_requests: Option<Vec<Value>>,
    memory_reservation: u64,
    memory_swap: i64,
    memory_swappiness: Option<i64>,
    oom_kill_disable: Option<bool>,
    pids_limit: Option<u64>,
    ulimits: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    r#type: &'static str,
    config: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Restart {
    name: &'static str,
    maximum_retry_count: u32,
}

impl HostConfig {
    pub(crate) fn new(view: View<'_>) -> Self {
        let spec = &view.record.spec;
        let resources = &spec.resources;
        let ulimit = |(name, limit): (&String, &hull_model::Ulimit)| json!({ "Name": name, "Hard": limit.hard, "Soft": limit.soft });
        Self {
            binds: some(binds(view)),
            container_id_file: String::new(),
            log_config: LogConfig {
                r#type: "json-file",
                config: BTreeMap::from([
                    ("max-file", spec.log.max_files.to_string()),
                    ("max-size", spec.log.max_size.to_string()),
                ]),
            },
            network_mode: network_mode(view.record),
            port_bindings: bindings(view, ""),
            restart_policy: restart(spec.restart),
            auto_remove: false,
            volume_driver: String::new(),
            volumes_from: None,
            console_size: [0, 0],
            cap_add: some(spec.cap_add.clone()),
            cap_drop: some(spec.cap_drop.clone()),
            cgroupns_mode: "private",
            dns: spec.dns.clone(),
            dns_options: Vec::new(),
            dns_search: spec.dns_search.clone(),
            extra_hosts: some(spec.extra_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect()),
            group_add: some(spec.group_add.clone()),
            ipc_mode: "private",
            cgroup: String::new(),
            links: None,
            oom_score_adj: 0,
            pid_mode: String::new(),
            privileged: spec.privileged,
            publish_all_ports: false,
            readonly_rootfs: spec.read_only,
            security_opt: some(security(spec)),
            tmpfs: tmpfs(spec),
            uts_mode: String::new(),
            userns_mode: String::new(),
            shm_size: spec.shm_size.unwrap_or(DEFAULT_SHM),
            sysctls: spec.sysctls.clone(),
            runtime: "hull",
            isolation: String::new(),
            cpu_shares: resources.cpu_shares.unwrap_or(0),
            memory: resources.memory.unwrap_or(0),
            nano_cpus: resources.nano_cpus.unwrap_or(0),
            cgroup_parent: String::new(),
            cpu_period: 0,
            cpu_quota: 0,
            cpuset_cpus: resources.cpuset.clone().unwrap_or_default(),
            cpuset_mems: String::new(),
            devices: Vec::new(),
            device_cgroup_rules: None,
            device_requests: None,
            memory_reservation: resources.memory_reservation.unwrap_or(0),
            memory_swap: resources.memory_swap.map_or(0, |v| i64::try_from(v).unwrap_or(i64::MAX)),
            memory_swappiness: None,
            oom_kill_disable: None,
            pids_limit: resources.pids,
            ulimits: spec.ulimits.iter().map(ulimit).collect(),
            init: spec.init.then_some(true),
        }
    }
}

/// Null for an empty list, as Docker answers it.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

/// The first network's name; `none` without one.
pub(crate) fn network_mode(record: &ContainerRecord) -> String {
    record.spec.networks.keys().next().map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn restart(policy: RestartPolicy) -> Restart {
    let (name, maximum_retry_count) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure { max_retries } => ("on-failure", max_retries.unwrap_or(0)),
    };
    Restart { name, maximum_retry_count }
}

fn binds(view: View<'_>) -> Vec<String> {
    let bind = |m: &hull_model::MountSpec| {
        let source = match &m.kind {
            MountKind::Volume { name } => name.to_string(),
            MountKind::Bind { source, .. } => source.display().to_string(),
            MountKind::Tmpfs { .. } => return None,
        };
        Some(format!("{source}:{}:{}", m.target.display(), if m.read_only { "ro" } else { "rw" }))
    };
    view.record.spec.mounts.iter().filter_map(bind).collect()
}

fn tmpfs(spec: &hull_model::ContainerSpec) -> BTreeMap<String, String> {
    let mount = |m: &hull_model::MountSpec| {
        let MountKind::Tmpfs { size, mode } = &m.kind else { return None };
        let size = size.map(|s| format!("size={s}"));
        let mode = mode.map(|m| format!("mode={m:o}"));
        let options = size.into_iter().chain(mode).collect::<Vec<_>>().join(",");
        Some((m.target.display().to_string(), options))
    };
    spec.mounts.iter().filter_map(mount).collect()
}

fn security(spec: &hull_model::ContainerSpec) -> Vec<String> {
    let mut options = Vec::new();
    if spec.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    if spec.seccomp == SeccompChoice::Unconfined {
        options.push("seccomp=unconfined".to_owned());
    }
    options
}
