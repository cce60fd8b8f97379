//! A checked request as what the engine makes containers of.

use super::logging::{Subject, log};
use super::machine::Machine;
use super::mounts::mounts;
use super::networks::networking;
use super::{devices, merge, normal, ports, resources, security, validate};
use crate::error::ApiError;
use crate::request::{Config, CreateRequest, HostConfig};
use crate::version::Spoken;
use hull_model::{
    ContainerSpec, Healthcheck, HostPort, Image, ImageConfig, Name, NetworkMode, NetworkRecord, Reference,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What a request is read with.
pub(crate) struct Surroundings<'a> {
    pub(crate) spoken: Spoken,
    pub(crate) machine: &'a Machine,
    pub(crate) networks: &'a [NetworkRecord],
    /// Ports of the host that containers have.
    pub(crate) taken: &'a [HostPort],
    /// Whether the host has a path.
    pub(crate) exists: &'a dyn Fn(&Path) -> bool,
}

/// A container to be made.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) spec: ContainerSpec,
    pub(crate) volumes_from: Vec<(String, bool)>,
    /// The request, filled in.
    pub(crate) request: Value,
    pub(crate) warnings: Vec<String>,
}

/// What does not need the image: most mistakes are found before it is looked for.
pub(crate) fn check(request: &CreateRequest) -> Result<(), ApiError> {
    let Some(config) = &request.config else {
        return Err(ApiError::bad_request("config cannot be empty in order to create a container"));
    };
    validate::config(config)?;
    validate::host(&request.host_config)?;
    security::namespaces(request).map(drop)
}

/// Reads a request. `names` makes names for volumes that have none.
pub(crate) fn translate(
    mut request: CreateRequest,
    name: Name,
    reference: Reference,
    image: &Image,
    around: &Surroundings<'_>,
    names: impl FnMut() -> Name,
) -> Result<Translated, ApiError> {
    check(&request)?;
    older(&mut request, around.spoken);
    let (limits, mut warnings) =
        resources::limits(&mut request.host_config.resources, around.machine, false)?;
    let mut network = networking(&request, around.networks, around.spoken)?;
    warnings.append(&mut network.warnings);
    let spaces = security::namespaces(&request)?;
    let asked = request.config.clone().unwrap_or_default();
    let mut merged = asked.clone();
    merge::merge(&mut merged, &image.config)?;
    let mounted = mounts(&asked, &request.host_config, names, around.exists)?;
    let mut spec = ContainerSpec::new(name, reference);
    spec.resources = limits;
    (spec.network, spec.networks, spec.links) = (network.mode, network.networks, network.links);
    (spec.pid, spec.ipc, spec.uts, spec.cgroupns) = (spaces.pid, spaces.ipc, spaces.uts, spaces.cgroupns);
    spec.mounts = mounted.mounts;
    own(&mut spec, &asked, &merged, &image.config)?;
    host(&mut spec, &request.host_config)?;
    publish(&mut spec, &asked, &request.host_config, around)?;
    let image_id = image.id.to_string();
    let subject =
        Subject { name: spec.name.as_str(), image_name: &asked.image, image_id: &image_id, config: &merged };
    spec.log = log(&request.host_config.log_config, subject)?;
    normal::fill(&mut request.host_config, &spec);
    let document = json!({
        "Config": merged,
        "HostConfig": request.host_config,
        "NetworkingConfig": request.networking_config,
    });
    Ok(Translated { spec, volumes_from: mounted.volumes_from, request: document, warnings })
}

/// What older clients cannot mean: fields that came later, and defaults that changed.
fn older(request: &mut CreateRequest, spoken: Spoken) {
    let host = &mut request.host_config;
    if spoken < Spoken(1, 40) {
        // Before that, containers could be joined by default.
        if host.ipc_mode.is_empty() {
            host.ipc_mode = "shareable".to_owned();
        }
        (host.masked_paths, host.readonly_paths) = (None, None);
    }
    if spoken < Spoken(1, 41) && host.cgroupns_mode.is_empty() {
        host.cgroupns_mode = "host".to_owned();
    }
    if spoken < Spoken(1, 44)
        && let Some(check) = request.config.as_mut().and_then(|c| c.healthcheck.as_mut())
    {
        check.start_interval.0 = 0;
    }
    for mount in host.mounts.iter_mut().flatten() {
        if spoken < Spoken(1, 40)
            && let Some(bind) = &mut mount.bind_options
        {
            bind.non_recursive = false;
        }
        if spoken < Spoken(1, 44)
            && let Some(bind) = &mut mount.bind_options
        {
            // Read-only was not recursive then.
            (bind.read_only_non_recursive, bind.read_only_force_recursive) = (true, false);
        }
        if spoken < Spoken(1, 45)
            && let Some(volume) = &mut mount.volume_options
        {
            volume.subpath.clear();
        }
    }
    if spoken < Spoken(1, 43) {
        host.annotations = None;
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|t| !t.is_empty())
}

/// What runs, as the container asks for it itself.
fn own(
    spec: &mut ContainerSpec,
    asked: &Config,
    merged: &Config,
    image: &ImageConfig,
) -> Result<(), ApiError> {
    spec.entrypoint = asked.entrypoint.is_some().then(|| words(&merged.entrypoint));
    let inherits = words(&merged.cmd) == image.cmd && asked.cmd.is_none() && spec.entrypoint.is_none();
    spec.command = (!inherits && merged.cmd.is_some()).then(|| words(&merged.cmd));
    spec.env = merge::variables(asked.env.as_deref().unwrap_or_default());
    spec.working_dir = text(&asked.working_dir).map(PathBuf::from);
    spec.user = text(&asked.user);
    spec.hostname = text(&asked.hostname);
    spec.domainname = text(&asked.domainname);
    spec.labels = merged.labels.clone().unwrap_or_default();
    (spec.tty, spec.stdin_open, spec.stdin_once) = (asked.tty, asked.open_stdin, asked.stdin_once);
    spec.stop_signal = text(&asked.stop_signal);
    spec.stop_grace_seconds = match asked.stop_timeout {
        // Without end.
        Some(seconds @ ..0) if seconds < 0 => Some(u64::from(u32::MAX)),
        other => other.and_then(|s| u64::try_from(s).ok()),
    };
    if asked.healthcheck.is_some() {
        spec.healthcheck = merged.healthcheck.as_ref().map(|h| Healthcheck {
            test: h.test.clone().unwrap_or_default(),
            interval: h.interval.0,
            timeout: h.timeout.0,
            start_period: h.start_period.0,
            start_interval: h.start_interval.0,
            retries: i64::try_from(h.retries).unwrap_or(i64::MAX),
        });
    }
    Ok(())
}

fn words(words: &Option<crate::request::Words>) -> Vec<String> {
    words.as_ref().map(|w| w.0.clone()).unwrap_or_default()
}

/// How it is tied to the host.
fn host(spec: &mut ContainerSpec, host: &HostConfig) -> Result<(), ApiError> {
    let secured = security::options(host)?;
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    (spec.seccomp, spec.no_new_privileges) = (secured.seccomp, secured.no_new_privileges);
    spec.cap_add = security::capabilities("CapAdd", &words(&host.cap_add))?;
    spec.cap_drop = security::capabilities("CapDrop", &words(&host.cap_drop))?;
    spec.restart = resources::restart(&host.restart_policy)?;
    spec.auto_remove = host.auto_remove;
    spec.privileged = host.privileged;
    spec.read_only = host.readonly_rootfs;
    spec.init = host.init.unwrap_or(false);
    spec.group_add = list(&host.group_add);
    spec.sysctls = host.sysctls.clone().unwrap_or_default();
    spec.ulimits = devices::ulimits(&host.resources)?;
    spec.devices = devices::devices(&host.resources)?;
    spec.device_cgroup_rules = devices::rules(&host.resources)?;
    spec.cdi_devices = devices::vendors(&host.resources)?;
    spec.cgroup_parent = text(&host.resources.cgroup_parent);
    let lines = host.extra_hosts.iter().flatten().map(|line| validate::extra_host(line));
    spec.extra_hosts = lines.collect::<Result<_, _>>()?;
    (spec.dns, spec.dns_options, spec.dns_search) =
        (list(&host.dns), list(&host.dns_options), list(&host.dns_search));
    if let Some(bad) = spec.dns.iter().find(|d| d.parse::<std::net::IpAddr>().is_err()) {
        return Err(ApiError::bad_request(format!("invalid DNS server {bad:?}: it must be an address")));
    }
    spec.shm_size = u64::try_from(host.shm_size).ok().filter(|s| *s > 0);
    spec.oom_score_adj = i32::try_from(host.oom_score_adj).ok().filter(|s| *s != 0);
    spec.masked_paths = host.masked_paths.clone();
    spec.readonly_paths = host.readonly_paths.clone();
    spec.annotations = host.annotations.clone().unwrap_or_default();
    Ok(())
}

fn publish(
    spec: &mut ContainerSpec,
    asked: &Config,
    host: &HostConfig,
    around: &Surroundings<'_>,
) -> Result<(), ApiError> {
    spec.exposed = ports::exposed(asked.exposed_ports.iter().flatten().map(|(key, _)| key))?;
    let empty = Default::default();
    let ports = ports::published(host.port_bindings.as_ref().unwrap_or(&empty), around.taken)?;
    // Only a network of its own has ports to publish.
    if spec.network == NetworkMode::Private && !spec.networks.is_empty() {
        spec.ports = ports;
        spec.publish_all = host.publish_all_ports;
    }
    Ok(())
}
