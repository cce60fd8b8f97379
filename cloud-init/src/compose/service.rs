//! One service.

use super::declared::Declared;
use super::{
    Variables, block, endpoints, environment, health, isolation, keys, limits, mounts, ports, process,
    security,
};
use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::{ContainerSpec, MountSpec, Name, RestartPolicy};

/// A service, before its replicas become containers.
#[derive(Debug)]
pub(super) struct Service {
    /// The key it is declared under.
    pub(super) key: String,
    /// What each of its containers is, but for the name and what it depends on.
    pub(super) spec: ContainerSpec,
    /// Services it depends on, each with the place that says so.
    pub(super) depends_on: Vec<(String, String)>,
    /// What it shares with other services.
    pub(super) joins: Vec<isolation::Join>,
    replicas: Option<u32>,
}

impl Service {
    /// `web`, or `web-1`, `web-2`, … where a number of replicas was asked for.
    pub(super) fn container_names(&self) -> Vec<Name> {
        match self.replicas {
            None | Some(1) => vec![self.spec.name.clone()],
            Some(count) => {
                (1..=count).filter_map(|n| Name::new(format!("{}-{n}", self.spec.name)).ok()).collect()
            }
        }
    }
}

/// What several keys say together.
struct Draft {
    spec: ContainerSpec,
    container_name: Option<Name>,
    depends_on: Vec<(String, String)>,
    scale: Option<u32>,
    deploy: limits::Deploy,
    volumes: Vec<MountSpec>,
    tmpfs: Vec<MountSpec>,
    networks: Option<endpoints::Endpoints>,
    has_networks: bool,
    joins: Vec<isolation::Join>,
}

/// Reads a service; every mistake in it is reported. `None` if there was one.
pub(super) fn read(
    key: &str,
    node: &Node<'_>,
    declared: &mut Declared,
    variables: &Variables,
    report: &mut Report,
) -> Option<Service> {
    let before = report.errors();
    let entries = report.take(node.entries("web: {image: \"nginx:1\"}"))?;
    let name = report.take(Name::new(key).map_err(|e| node.issue(e.to_string(), "choose another name")))?;
    let image = entries.iter().find(|(key, value)| *key == "image" && !value.is_null());
    let image = match image {
        Some((_, value)) => process::image(value),
        None if entries.iter().any(|(key, _)| *key == "build") => return unsupported_build(&entries, report),
        None => Err(node.issue("image is missing", "add image: registry.example.org/team/app:1")),
    };
    let mut draft = Draft {
        spec: ContainerSpec::new(name, report.take(image)?),
        container_name: None,
        depends_on: Vec::new(),
        scale: None,
        deploy: limits::Deploy::default(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        networks: None,
        has_networks: true,
        joins: Vec::new(),
    };
    for (name, value) in &entries {
        if value.is_null() || name.starts_with("x-") {
            continue;
        }
        let read = read_process(name, value, &mut draft, variables, report)
            .and_then(|known| {
                if known { Ok(true) } else { read_surroundings(name, value, key, &mut draft, declared) }
            })
            .and_then(|known| if known { Ok(true) } else { read_isolation(name, value, &mut draft) })
            .and_then(|known| if known { Ok(()) } else { Err(refuse(name, value, node)) });
        if let Err(issue) = read {
            report.error(issue);
        }
    }
    let service = report.take(settle(key, draft, node, declared))?;
    (report.errors() == before).then_some(service)
}

fn unsupported_build(entries: &[(&str, Node<'_>)], report: &mut Report) -> Option<Service> {
    for (key, value) in entries {
        if let Some(remedy) = keys::not_supported(key) {
            report.error(value.issue(format!("{key} is not supported yet"), remedy));
        }
    }
    None
}

fn refuse(key: &str, value: &Node<'_>, service: &Node<'_>) -> crate::node::Issue {
    match keys::not_supported(key) {
        Some(remedy) => value.issue(format!("{key} is not supported yet"), remedy),
        None => service.unknown(key, keys::all()),
    }
}

/// Keys about the process. Whether the key is one of them.
fn read_process(
    key: &str,
    node: &Node<'_>,
    draft: &mut Draft,
    variables: &Variables,
    report: &mut Report,
) -> Read<bool> {
    let spec = &mut draft.spec;
    match key {
        // Read first.
        "image" => {}
        "command" => spec.command = Some(process::command(node)?),
        "entrypoint" => spec.entrypoint = Some(process::command(node)?),
        "environment" => spec.env = environment::environment(node, variables, report)?,
        "labels" => spec.labels = environment::labels(node)?,
        "working_dir" => spec.working_dir = Some(process::working_dir(node)?),
        "user" => spec.user = Some(process::user(node)?),
        "group_add" => {
            let items = node.items("group_add: [audio]")?;
            spec.group_add = items.iter().map(|item| item.scalar("audio")).collect::<Read<_>>()?;
        }
        "cap_add" => spec.cap_add = security::capabilities(node)?,
        "cap_drop" => spec.cap_drop = security::capabilities(node)?,
        "privileged" => spec.privileged = node.boolean()?,
        "read_only" => spec.read_only = node.boolean()?,
        "security_opt" => security::security_opt(node, spec)?,
        "stop_signal" => spec.stop_signal = Some(process::signal(node)?),
        "stop_grace_period" => spec.stop_grace_seconds = Some(process::seconds(node)?),
        "init" => spec.init = node.boolean()?,
        "tty" => spec.tty = node.boolean()?,
        "stdin_open" => spec.stdin_open = node.boolean()?,
        "sysctls" => spec.sysctls = environment::sysctls(node)?,
        "ulimits" => spec.ulimits = limits::ulimits(node)?,
        "restart" => spec.restart = limits::restart(node)?,
        "logging" => spec.log = limits::logging(node)?,
        "mem_limit" => spec.resources.memory = Some(mounts::bytes(node)?),
        "mem_reservation" => spec.resources.memory_reservation = Some(mounts::bytes(node)?),
        "memswap_limit" => spec.resources.memory_swap = Some(limits::memory_and_swap(node)?),
        "cpus" => spec.resources.nano_cpus = Some(limits::nano_cpus(node)?),
        "cpu_shares" => spec.resources.cpu_shares = Some(node.integer(2..=262_144)?),
        "cpu_quota" => spec.resources.cpu_quota = Some(limits::cpu_quota(node)?),
        "cpu_period" => spec.resources.cpu_period = Some(limits::cpu_period(node)?),
        "cpuset" => spec.resources.cpuset = Some(limits::cpuset(node)?),
        "mem_swappiness" => spec.resources.memory_swappiness = Some(node.integer(0..=100)?),
        "oom_kill_disable" => spec.resources.oom_kill_disable = node.boolean()?,
        "blkio_config" => block::blkio_config(node, &mut spec.resources)?,
        "healthcheck" => spec.healthcheck = Some(health::healthcheck(node)?),
        "annotations" => spec.annotations = environment::labels(node)?,
        "pids_limit" => spec.resources.pids = limits::pids(node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Keys about what is around the process. Whether the key is one of them.
fn read_surroundings(
    key: &str,
    node: &Node<'_>,
    service: &str,
    draft: &mut Draft,
    declared: &mut Declared,
) -> Read<bool> {
    let spec = &mut draft.spec;
    match key {
        "ports" => spec.ports = ports::read(node)?,
        "expose" => ports::expose(node)?,
        "volumes" => draft.volumes = mounts::volumes(node, declared)?,
        "tmpfs" => draft.tmpfs = mounts::tmpfs(node)?,
        "networks" => draft.networks = Some(endpoints::networks(service, node, declared)?),
        "dns_opt" => spec.dns_options = endpoints::dns_options(node)?,
        "hostname" => spec.hostname = Some(process::hostname(node)?),
        "domainname" => spec.domainname = Some(process::hostname(node)?),
        "extra_hosts" => spec.extra_hosts = endpoints::extra_hosts(node)?,
        "dns" => spec.dns = endpoints::dns(node)?,
        "dns_search" => spec.dns_search = endpoints::dns_search(node)?,
        "shm_size" => spec.shm_size = Some(mounts::bytes(node)?),
        "container_name" => {
            let name = Name::new(node.text("container_name: web")?);
            draft.container_name = Some(name.map_err(|e| node.issue(e.to_string(), "choose another name"))?);
        }
        "depends_on" => draft.depends_on = process::depends_on(node)?,
        "deploy" => draft.deploy = limits::deploy(node)?,
        "scale" => draft.scale = Some(limits::replicas(node)?),
        "pull_policy" => match node.text("missing")? {
            "missing" | "if_not_present" => {}
            other => {
                let reason = format!("the pull policy {other:?} is not supported yet");
                return Err(node.issue(reason, "remove it; an image is pulled when it is missing"));
            }
        },
        _ => return Ok(false),
    }
    Ok(true)
}

/// Keys about what it shares with others. Whether the key is one of them.
fn read_isolation(key: &str, node: &Node<'_>, draft: &mut Draft) -> Read<bool> {
    let spec = &mut draft.spec;
    match key {
        "network_mode" => draft.has_networks = isolation::network_mode(node, spec, &mut draft.joins)?,
        "pid" => isolation::pid(node, spec, &mut draft.joins)?,
        "ipc" => isolation::ipc(node, spec, &mut draft.joins)?,
        "uts" => spec.uts = isolation::namespace(node, false)?,
        "cgroup" => spec.cgroupns = isolation::namespace(node, true)?,
        "cgroup_parent" => spec.cgroup_parent = Some(node.text("cgroup_parent: work.slice")?.to_owned()),
        "devices" => isolation::devices(node, spec)?,
        "device_cgroup_rules" => spec.device_cgroup_rules = isolation::device_rules(node)?,
        "oom_score_adj" => spec.oom_score_adj = Some(isolation::oom_score_adj(node)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn settle(key: &str, draft: Draft, node: &Node<'_>, declared: &mut Declared) -> Read<Service> {
    let Draft {
        mut spec,
        container_name,
        depends_on,
        scale,
        deploy,
        volumes,
        tmpfs,
        networks,
        has_networks,
        joins,
    } = draft;
    let replicas = deploy.replicas.or(scale);
    if let Some(name) = container_name {
        if replicas.is_some_and(|count| count > 1) {
            let reason = "a container_name is for one container, and there are several replicas";
            return Err(node.issue(reason, "remove container_name, or have one replica"));
        }
        spec.name = name;
    }
    spec.mounts = volumes;
    spec.mounts.extend(tmpfs);
    mounts::check_targets(&spec.mounts, node)?;
    spec.networks = match (has_networks, networks) {
        (true, Some(networks)) => networks,
        (true, None) => endpoints::default_network(key, node, declared)?,
        (false, None) => endpoints::Endpoints::new(),
        (false, Some(_)) => {
            return Err(node.issue("network_mode and networks contradict each other", "keep one of them"));
        }
    };
    if spec.networks.is_empty() && !spec.ports.is_empty() {
        return Err(
            node.issue("ports are published, but there is no network", "join a network, or remove ports")
        );
    }
    merge_deploy(&mut spec, deploy);
    if spec.resources.nano_cpus.is_some()
        && (spec.resources.cpu_quota.or(spec.resources.cpu_period.map(|_| 0))).is_some()
    {
        return Err(node.issue("cpus and cpu_quota or cpu_period contradict each other", "keep cpus"));
    }
    Ok(Service { key: key.to_owned(), spec, depends_on, joins, replicas })
}

/// `deploy` comes before the older keys that say the same.
fn merge_deploy(spec: &mut ContainerSpec, deploy: limits::Deploy) {
    let (old, new) = (std::mem::take(&mut spec.resources), deploy.resources);
    spec.resources = hull_model::Resources {
        memory: new.memory.or(old.memory),
        memory_swap: old.memory_swap,
        memory_reservation: new.memory_reservation.or(old.memory_reservation),
        nano_cpus: new.nano_cpus.or(old.nano_cpus),
        cpu_shares: old.cpu_shares.or(new.cpu_shares),
        cpuset: old.cpuset,
        pids: new.pids.or(old.pids),
        ..old
    };
    let restart: Option<RestartPolicy> = deploy.restart;
    spec.restart = restart.unwrap_or(spec.restart);
}
