//! One service.

use super::declared::Declared;
use super::{Variables, endpoints, environment, keys, limits, mounts, ports, security, shell_words};
use crate::cloud_config::is_hostname;
use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::{ContainerSpec, MountSpec, Name, Reference, RestartPolicy, parse_duration};

/// A service, before its replicas become containers.
#[derive(Debug)]
pub(super) struct Service {
    /// The key it is declared under.
    pub(super) key: String,
    /// What each of its containers is, but for the name and what it depends on.
    pub(super) spec: ContainerSpec,
    /// Services it depends on, each with the place that says so.
    pub(super) depends_on: Vec<(String, String)>,
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
        Some((_, value)) => self::image(value),
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
    };
    for (name, value) in &entries {
        if value.is_null() || name.starts_with("x-") {
            continue;
        }
        let read = read_process(name, value, &mut draft, variables, report)
            .and_then(|known| {
                if known { Ok(true) } else { read_surroundings(name, value, key, &mut draft, declared) }
            })
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
        "command" => spec.command = Some(command(node)?),
        "entrypoint" => spec.entrypoint = Some(command(node)?),
        "environment" => spec.env = environment::environment(node, variables, report)?,
        "labels" => spec.labels = environment::labels(node)?,
        "working_dir" => spec.working_dir = Some(working_dir(node)?),
        "user" => spec.user = Some(user(node)?),
        "group_add" => {
            let items = node.items("group_add: [audio]")?;
            spec.group_add = items.iter().map(|item| item.scalar("audio")).collect::<Read<_>>()?;
        }
        "cap_add" => spec.cap_add = security::capabilities(node)?,
        "cap_drop" => spec.cap_drop = security::capabilities(node)?,
        "privileged" => spec.privileged = node.boolean()?,
        "read_only" => spec.read_only = node.boolean()?,
        "security_opt" => security::security_opt(node, spec)?,
        "stop_signal" => spec.stop_signal = Some(signal(node)?),
        "stop_grace_period" => spec.stop_grace_seconds = Some(seconds(node)?),
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
        "cpuset" => spec.resources.cpuset = Some(limits::cpuset(node)?),
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
        "network_mode" => draft.has_networks = endpoints::has_networks(node)?,
        "hostname" => spec.hostname = Some(hostname(node)?),
        "domainname" => spec.domainname = Some(hostname(node)?),
        "extra_hosts" => spec.extra_hosts = endpoints::extra_hosts(node)?,
        "dns" => spec.dns = endpoints::dns(node)?,
        "dns_search" => spec.dns_search = endpoints::dns_search(node)?,
        "shm_size" => spec.shm_size = Some(mounts::bytes(node)?),
        "container_name" => {
            let name = Name::new(node.text("container_name: web")?);
            draft.container_name = Some(name.map_err(|e| node.issue(e.to_string(), "choose another name"))?);
        }
        "depends_on" => draft.depends_on = depends_on(node)?,
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

fn settle(key: &str, draft: Draft, node: &Node<'_>, declared: &mut Declared) -> Read<Service> {
    let Draft { mut spec, container_name, depends_on, scale, deploy, volumes, tmpfs, networks, has_networks } =
        draft;
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
            return Err(
                node.issue("network_mode: none and networks contradict each other", "keep one of them")
            );
        }
    };
    if spec.networks.is_empty() && !spec.ports.is_empty() {
        return Err(
            node.issue("ports are published, but there is no network", "join a network, or remove ports")
        );
    }
    merge_deploy(&mut spec, deploy);
    Ok(Service { key: key.to_owned(), spec, depends_on, replicas })
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

fn image(node: &Node<'_>) -> Read<Reference> {
    let text = node.text("image: registry.example.org/team/app:1")?;
    Reference::parse(text).map_err(|e| {
        let cause = std::error::Error::source(&e).map_or(String::new(), |cause| format!(": {cause}"));
        node.issue(format!("{e}{cause}"), "write it like registry.example.org/team/app:1")
    })
}

fn command(node: &Node<'_>) -> Read<Vec<String>> {
    let example = "[\"httpd\", \"-f\"] or \"httpd -f\"";
    match node.value() {
        serde_yaml::Value::Sequence(_) => {
            let words: Vec<String> =
                node.items(example)?.iter().map(|item| item.scalar(example)).collect::<Read<_>>()?;
            match words.iter().any(|word| word.contains('\0')) {
                true => Err(node.issue("a word holds a NUL byte", "remove it")),
                false => Ok(words),
            }
        }
        _ => {
            let words = shell_words::split(node.text(example)?);
            words.map_err(|reason| node.issue(reason, format!("write it like {example}")))
        }
    }
}

fn working_dir(node: &Node<'_>) -> Read<std::path::PathBuf> {
    let text = node.text("/srv")?;
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(text.into());
    }
    Err(node.issue(format!("{text:?} is not an absolute path"), "write it like /srv"))
}

fn user(node: &Node<'_>) -> Read<String> {
    let text = node.scalar("\"1000:1000\"")?;
    let (user, group) = text.split_once(':').unwrap_or((&text, "0"));
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b":/".contains(&b));
    if plain(user) && plain(group) {
        return Ok(text);
    }
    Err(node.issue(format!("{text:?} is not a user"), "write it like \"1000:1000\" or www-data"))
}

fn hostname(node: &Node<'_>) -> Read<String> {
    let text = node.text("web")?;
    if is_hostname(text) {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not a host name"), "use letters, digits and '-'"))
}

/// Signals by name or number (signal(7)).
fn signal(node: &Node<'_>) -> Read<String> {
    const SIGNALS: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let text = node.scalar("SIGTERM")?.to_ascii_uppercase();
    let bare = text.strip_prefix("SIG").unwrap_or(&text);
    let real_time = |text: &str| text.starts_with("RTMIN") || text.starts_with("RTMAX");
    if bare.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n)) {
        return Ok(bare.to_owned());
    }
    if SIGNALS.contains(&bare) || real_time(bare) {
        return Ok(format!("SIG{bare}"));
    }
    Err(node.issue(format!("there is no signal {text:?}"), "write it like SIGTERM"))
}

/// A duration in whole seconds, rounded up.
fn seconds(node: &Node<'_>) -> Read<u64> {
    let duration = parse_duration(node.text("\"1m30s\"")?);
    let duration = duration.map_err(|e| node.issue(e.to_string(), "write it like \"30s\""))?;
    Ok(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

/// Services, each with its place. Only the order of starting is honoured.
fn depends_on(node: &Node<'_>) -> Read<Vec<(String, String)>> {
    if !node.value().is_mapping() {
        let service = |item: &Node<'_>| Ok((item.text("db")?.to_owned(), item.path().to_owned()));
        return node.items("depends_on: [db]")?.iter().map(service).collect();
    }
    let mut services = Vec::new();
    for (service, conditions) in node.entries("depends_on: {db: {condition: service_started}}")? {
        let entries = if conditions.is_null() {
            Vec::new()
        } else {
            conditions.entries("{condition: service_started}")?
        };
        for (key, value) in entries {
            match (key, value.value().as_str()) {
                ("condition", Some("service_started")) => {}
                ("condition", _) => {
                    let reason = "only the condition service_started is supported yet";
                    return Err(value
                        .issue(reason, "write condition: service_started, and let the process try again"));
                }
                ("required", _) if value.boolean()? => {}
                ("restart", _) if !value.boolean()? => {}
                ("required" | "restart", _) => {
                    return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
                }
                _ => return Err(conditions.unknown(key, ["condition", "required", "restart"])),
            }
        }
        services.push((service.to_owned(), conditions.path().to_owned()));
    }
    Ok(services)
}
