//! A container that no client asked for, told as if one had: its HostConfig.

use super::View;
use super::container::bindings;
use crate::create::fill;
use crate::request::{
    DeviceMapping, HostConfig, LogConfig, Resources, RestartPolicy as Policy, ThrottleDevice, Ulimit, Words,
};
use hull_model::{
    ContainerRecord, ContainerSpec, IpcMode, MountKind, NamespaceMode, NetworkMode, RestartPolicy,
    SeccompChoice,
};
use std::collections::BTreeMap;

/// What a container was asked to be.
pub(crate) fn host_config(view: View<'_>) -> HostConfig {
    let spec = &view.record.spec;
    let lines = spec.extra_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect();
    let mut host = HostConfig {
        binds: some(binds(spec)),
        log_config: LogConfig { kind: String::new(), config: Some(log_options(spec)) },
        network_mode: network_mode(view.record),
        port_bindings: Some(bindings(&spec.ports, "")),
        restart_policy: restart(spec.restart),
        auto_remove: spec.auto_remove,
        cap_add: some(spec.cap_add.clone()).map(Words),
        cap_drop: some(spec.cap_drop.clone()).map(Words),
        cgroupns_mode: namespace(&spec.cgroupns),
        dns: Some(spec.dns.clone()),
        dns_options: Some(spec.dns_options.clone()),
        dns_search: Some(spec.dns_search.clone()),
        extra_hosts: some(lines),
        group_add: some(spec.group_add.clone()),
        ipc_mode: ipc(&spec.ipc),
        oom_score_adj: spec.oom_score_adj.and_then(|s| isize::try_from(s).ok()).unwrap_or(0),
        pid_mode: namespace(&spec.pid),
        privileged: spec.privileged,
        publish_all_ports: spec.publish_all,
        readonly_rootfs: spec.read_only,
        security_opt: some(security(spec)),
        tmpfs: Some(tmpfs(spec)),
        uts_mode: namespace(&spec.uts),
        shm_size: spec.shm_size.and_then(|s| i64::try_from(s).ok()).unwrap_or(0),
        sysctls: Some(spec.sysctls.clone()),
        resources: resources(spec),
        masked_paths: spec.masked_paths.clone(),
        readonly_paths: spec.readonly_paths.clone(),
        init: spec.init.then_some(true),
        ..HostConfig::default()
    };
    fill(&mut host, spec);
    host
}

/// Null for an empty list, as Docker answers it.
fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn log_options(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mut options = spec.log.options.clone();
    options.insert("max-file".to_owned(), spec.log.max_files.to_string());
    options.insert("max-size".to_owned(), spec.log.max_size.to_string());
    options
}

/// The mode as it was asked for; the first network's name, or `none`, for one that no client asked for.
pub(crate) fn network_mode(record: &ContainerRecord) -> String {
    let asked = record.request.as_ref().and_then(|r| r["HostConfig"]["NetworkMode"].as_str());
    match (&record.spec.network, asked) {
        (NetworkMode::Host, _) => "host".to_owned(),
        (NetworkMode::Container(id), _) => format!("container:{id}"),
        (NetworkMode::Private, Some(asked)) => asked.to_owned(),
        (NetworkMode::Private, None) => {
            record.spec.networks.keys().next().map_or_else(|| "none".to_owned(), ToString::to_string)
        }
    }
}

fn namespace(mode: &NamespaceMode) -> String {
    match mode {
        NamespaceMode::Private => String::new(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container(id) => format!("container:{id}"),
    }
}

fn ipc(mode: &IpcMode) -> String {
    match mode {
        IpcMode::Private => "private".to_owned(),
        IpcMode::Shareable => "shareable".to_owned(),
        IpcMode::None => "none".to_owned(),
        IpcMode::Host => "host".to_owned(),
        IpcMode::Container(id) => format!("container:{id}"),
    }
}

fn restart(policy: RestartPolicy) -> Policy {
    let (name, retries) = match policy {
        RestartPolicy::No => ("no", None),
        RestartPolicy::Always => ("always", None),
        RestartPolicy::UnlessStopped => ("unless-stopped", None),
        RestartPolicy::OnFailure { max_retries } => ("on-failure", max_retries),
    };
    let maximum_retry_count = retries.and_then(|r| isize::try_from(r).ok()).unwrap_or(0);
    Policy { name: name.to_owned(), maximum_retry_count }
}

fn binds(spec: &ContainerSpec) -> Vec<String> {
    let bind = |m: &hull_model::MountSpec| {
        let source = match &m.kind {
            MountKind::Volume { name } => name.to_string(),
            MountKind::Bind { source, .. } => source.display().to_string(),
            MountKind::Tmpfs { .. } => return None,
        };
        Some(format!("{source}:{}:{}", m.target.display(), if m.read_only { "ro" } else { "rw" }))
    };
    spec.mounts.iter().filter_map(bind).collect()
}

fn tmpfs(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mount = |m: &hull_model::MountSpec| {
        let MountKind::Tmpfs { size, mode } = &m.kind else { return None };
        let size = size.map(|s| format!("size={s}"));
        let mode = mode.map(|m| format!("mode={m:o}"));
        let words = size.into_iter().chain(mode).chain(m.options.tmpfs.iter().cloned());
        Some((m.target.display().to_string(), words.collect::<Vec<_>>().join(",")))
    };
    spec.mounts.iter().filter_map(mount).collect()
}

fn security(spec: &ContainerSpec) -> Vec<String> {
    let mut options = Vec::new();
    if spec.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &spec.seccomp {
        SeccompChoice::Default => {}
        SeccompChoice::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompChoice::Profile(profile) => options.push(format!("seccomp={profile}")),
    }
    options
}

fn resources(spec: &ContainerSpec) -> Resources {
    let limits = &spec.resources;
    let number = |value: Option<u64>| value.map_or(0, |v| i64::try_from(v).unwrap_or(-1));
    let rates = |list: &[hull_model::DeviceRate]| {
        let rate =
            |d: &hull_model::DeviceRate| ThrottleDevice { path: d.path.display().to_string(), rate: d.value };
        Some(list.iter().map(rate).collect())
    };
    let limit = |(name, u): (&String, &hull_model::Ulimit)| Ulimit {
        name: name.clone(),
        hard: i64::try_from(u.hard).unwrap_or(-1),
        soft: i64::try_from(u.soft).unwrap_or(-1),
    };
    let device = |d: &hull_model::DeviceSpec| DeviceMapping {
        path_on_host: d.host.display().to_string(),
        path_in_container: d.container.display().to_string(),
        cgroup_permissions: d.permissions.clone(),
    };
    Resources {
        cpu_shares: number(limits.cpu_shares),
        memory: number(limits.memory),
        nano_cpus: number(limits.nano_cpus),
        cgroup_parent: spec.cgroup_parent.clone().unwrap_or_default(),
        blkio_weight: limits.blkio_weight.unwrap_or(0),
        blkio_device_read_bps: rates(&limits.device_read_bps),
        blkio_device_write_bps: rates(&limits.device_write_bps),
        blkio_device_read_iops: rates(&limits.device_read_iops),
        blkio_device_write_iops: rates(&limits.device_write_iops),
        cpu_period: number(limits.cpu_period),
        cpu_quota: limits.cpu_quota.unwrap_or(0),
        cpuset_cpus: limits.cpuset.clone().unwrap_or_default(),
        cpuset_mems: limits.cpuset_mems.clone().unwrap_or_default(),
        devices: Some(spec.devices.iter().map(device).collect()),
        device_cgroup_rules: some(spec.device_cgroup_rules.clone()),
        memory_reservation: number(limits.memory_reservation),
        memory_swap: number(limits.memory_swap),
        memory_swappiness: limits.memory_swappiness.and_then(|s| i64::try_from(s).ok()),
        oom_kill_disable: limits.oom_kill_disable.then_some(true),
        pids_limit: limits.pids.and_then(|p| i64::try_from(p).ok()),
        ulimits: Some(spec.ulimits.iter().map(limit).collect()),
        ..Resources::default()
    }
}
