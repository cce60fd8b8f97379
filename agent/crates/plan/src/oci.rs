//! From a container's spec and its image to the OCI runtime configuration, and to the files below /etc that name it.

use hull_model::{ContainerId, ContainerSpec, ImageConfig, MountKind, MountSpec, Name};
use oci_spec::runtime::{LinuxSeccomp, Spec};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Capabilities a container has unless told otherwise: Docker's set.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Every capability of Linux 6.x, in the kernel's order (include/uapi/linux/capability.h).
pub const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SHM: u64 = 64 << 20;

/// Why a container cannot be described to a runtime.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Neither the image nor the spec names a program.
    #[error("no command specified: image {image} names none, and neither does the container")]
    NoCommand {
        /// The image's reference.
        image: String,
    },
    /// A capability that does not exist.
    #[error("unknown capability {0:?}")]
    UnknownCapability(String),
    /// A volume that the caller did not say the place of.
    #[error("volume {0} does not exist")]
    UnknownVolume(Name),
    /// The configuration breaks the specification.
    #[error("describing the container to the runtime")]
    Encode(#[from] serde_json::Error),
}

/// What a configuration is made from, besides the container's spec.
#[derive(Debug)]
pub struct OciInput<'a> {
    /// The container.
    pub id: &'a ContainerId,
    /// What it should be.
    pub spec: &'a ContainerSpec,
    /// What its image says.
    pub image: &'a ImageConfig,
    /// Its network namespace; a new one with only loopback if `None`.
    pub netns: Option<&'a Path>,
    /// Where its volumes are.
    pub volumes: &'a BTreeMap<Name, PathBuf>,
    /// Files to be bind-mounted over those below /etc, by path inside.
    pub etc: &'a BTreeMap<PathBuf, PathBuf>,
    /// System call filter for a given set of capabilities; unused for unconfined containers.
    pub seccomp: Option<LinuxSeccomp>,
}

/// Host name inside the container.
pub fn hostname(id: &ContainerId, spec: &ContainerSpec) -> String {
    spec.hostname.clone().unwrap_or_else(|| id.short().to_owned())
}

/// The program and its arguments, by Docker's rule: an own entrypoint also clears the image's command.
pub fn command(spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let entrypoint = spec.entrypoint.as_ref().unwrap_or(&image.entrypoint);
    let command = match (&spec.command, &spec.entrypoint) {
        (Some(command), _) => command.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => image.cmd.clone(),
    };
    entrypoint.iter().cloned().chain(command).collect()
}

/// The environment: the host's defaults, the image's, the container's, later ones winning.
pub fn environment(id: &ContainerId, spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let mut env: Vec<(String, String)> =
        vec![("PATH".into(), DEFAULT_PATH.into()), ("HOSTNAME".into(), hostname(id, spec))];
    if spec.tty {
        env.push(("TERM".into(), "xterm".into()));
    }
    let from_image =
        image.env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
    let own = spec.env.iter().map(|(k, v)| (k.clone(), v.clone()));
    for (key, value) in from_image.chain(own) {
        match env.iter_mut().find(|(k, _)| *k == key) {
            Some(place) => place.1 = value,
            None => env.push((key, value)),
        }
    }
    env.into_iter().map(|(k, v)| format!("{k}={v}")).collect()
}

/// The capabilities of a container: the default set, less what is dropped, and what is added.
pub fn capabilities(spec: &ContainerSpec) -> Result<BTreeSet<String>, OciError> {
    let all = || ALL_CAPABILITIES.iter().map(|c| (*c).to_owned());
    let known = |list: &[String]| -> Result<BTreeSet<String>, OciError> {
        let mut set = BTreeSet::new();
        for capability in list {
            match capability.as_str() {
                "ALL" | "CAP_ALL" => set.extend(all()),
                c if ALL_CAPABILITIES.contains(&c) => _ = set.insert(c.to_owned()),
                c => return Err(OciError::UnknownCapability(c.to_owned())),
            }
        }
        Ok(set)
    };
    let (add, drop) = (known(&spec.cap_add)?, known(&spec.cap_drop)?);
    if spec.privileged {
        return Ok(all().collect());
    }
    let drops_all = spec.cap_drop.iter().any(|c| c == "ALL" || c == "CAP_ALL");
    let adds_all = spec.cap_add.iter().any(|c| c == "ALL" || c == "CAP_ALL");
    let base: BTreeSet<String> = DEFAULT_CAPABILITIES.iter().map(|c| (*c).to_owned()).collect();
    // As Docker: what is named on one side wins over ALL on the other.
    Ok(match (adds_all, drops_all) {
        (true, true) => BTreeSet::new(),
        (true, false) => all().filter(|c| !drop.contains(c)).collect(),
        (false, true) => add,
        (false, false) => base.difference(&drop).cloned().chain(add.iter().cloned()).collect(),
    })
}

/// Describes the container to an OCI runtime.
pub fn runtime_spec(input: &OciInput<'_>) -> Result<Spec, OciError> {
    let spec = input.spec;
    let args = command(spec, input.image);
    if args.is_empty() || args[0].is_empty() {
        return Err(OciError::NoCommand { image: spec.image.familiar() });
    }
    let mut config = json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs", "readonly": spec.read_only },
        "hostname": hostname(input.id, spec),
        "process": process(input, args)?,
        "mounts": mounts(input)?,
        "linux": linux(input)?,
    });
    if let Some(domainname) = &spec.domainname {
        config["domainname"] = json!(domainname);
    }
    Ok(serde_json::from_value(config)?)
}

fn process(input: &OciInput<'_>, args: Vec<String>) -> Result<Value, OciError> {
    let spec = input.spec;
    let capabilities = capabilities(spec)?;
    let image_dir = Some(&input.image.working_dir).filter(|d| !d.is_empty()).map(PathBuf::from);
    let cwd = spec.working_dir.clone().or(image_dir).unwrap_or_else(|| PathBuf::from("/"));
    let rlimit = |(name, limit): (&String, &hull_model::Ulimit)| json!({ "type": format!("RLIMIT_{}", name.to_uppercase()), "soft": limit.soft, "hard": limit.hard });
    Ok(json!({
        "terminal": spec.tty,
        "user": { "uid": 0, "gid": 0 },
        "args": args,
        "env": environment(input.id, spec, input.image),
        "cwd": cwd,
        // Inheritable and ambient stay empty: a set-user-id program must not find them there.
        "capabilities": { "bounding": capabilities, "permitted": capabilities, "effective": capabilities },
        "noNewPrivileges": spec.no_new_privileges,
        "rlimits": spec.ulimits.iter().map(rlimit).collect::<Vec<_>>(),
    }))
}

fn mounts(input: &OciInput<'_>) -> Result<Vec<Value>, OciError> {
    let spec = input.spec;
    let sys = if spec.privileged { "rw" } else { "ro" };
    // The kernel takes 0 as no limit.
    let shm = spec.shm_size.filter(|size| *size > 0).unwrap_or(DEFAULT_SHM);
    let kernel = |target: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": source, "options": options });
    let mut mounts = vec![
        kernel("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        kernel("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        kernel(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        kernel("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        kernel(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", &format!("size={shm}")],
        ),
        kernel("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", sys]),
        kernel("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", sys]),
    ];
    for (target, source) in input.etc {
        let mode = if spec.read_only { "ro" } else { "rw" };
        mounts.push(
            json!({ "destination": target, "type": "bind", "source": source, "options": ["bind", mode] }),
        );
    }
    for mount in &spec.mounts {
        mounts.push(user_mount(mount, input)?);
    }
    Ok(mounts)
}

fn user_mount(mount: &MountSpec, input: &OciInput<'_>) -> Result<Value, OciError> {
    let mode = if mount.read_only { "ro" } else { "rw" };
    let bind = |source: &Path| json!({ "destination": mount.target, "type": "bind", "source": source, "options": ["rbind", "rprivate", mode] });
    Ok(match &mount.kind {
        MountKind::Bind { source, .. } => bind(source),
        MountKind::Volume { name } => {
            bind(input.volumes.get(name).ok_or_else(|| OciError::UnknownVolume(name.clone()))?)
        }
        MountKind::Tmpfs { size, mode: bits } => {
            let mut options =
                vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned(), mode.to_owned()];
            options.push(format!("mode={:o}", bits.unwrap_or(0o1777)));
            options.extend(size.map(|s| format!("size={s}")));
            json!({ "destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options })
        }
    })
}

fn linux(input: &OciInput<'_>) -> Result<Value, OciError> {
    let spec = input.spec;
    let mut network = json!({ "type": "network" });
    if let Some(path) = input.netns {
        network["path"] = json!(path);
    }
    let kinds = ["mount", "pid", "ipc", "uts", "cgroup"];
    let namespaces: Vec<Value> = kinds.iter().map(|k| json!({ "type": k })).chain([network]).collect();
    let mut linux = json!({
        "namespaces": namespaces,
        "cgroupsPath": format!("/hull/{}", input.id),
        "resources": resources(spec),
        "sysctl": sysctls(spec),
    });
    if !spec.privileged {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
        if let (hull_model::SeccompChoice::Default, Some(profile)) = (&spec.seccomp, &input.seccomp) {
            linux["seccomp"] = serde_json::to_value(profile)?;
        }
    }
    Ok(linux)
}

/// The limits of a container, for one that runs already.
pub fn limits(spec: &ContainerSpec) -> Result<oci_spec::runtime::LinuxResources, OciError> {
    Ok(serde_json::from_value(resources(spec))?)
}

/// A container's own parameters over those that make an unprivileged user able to ping and to bind low ports, as in Docker.
fn sysctls(spec: &ContainerSpec) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::from([
        ("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned()),
        ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()),
    ]);
    sysctls.extend(spec.sysctls.iter().map(|(k, v)| (k.clone(), v.clone())));
    sysctls
}

fn resources(spec: &ContainerSpec) -> Value {
    const PERIOD: u64 = 100_000;
    let r = &spec.resources;
    let mut devices = vec![json!({ "allow": spec.privileged, "access": "rwm" })];
    if !spec.privileged {
        for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)] {
            devices
                .push(json!({ "allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm" }));
        }
        devices.push(json!({ "allow": true, "type": "c", "major": 136, "access": "rwm" }));
    }
    let mut value = json!({ "devices": devices });
    let mut memory = serde_json::Map::new();
    let mut cpu = serde_json::Map::new();
    let set = |map: &mut serde_json::Map<String, Value>, key: &str, limit: Option<Value>| {
        if let Some(limit) = limit {
            map.insert(key.to_owned(), limit);
        }
    };
    set(&mut memory, "limit", r.memory.map(|v| json!(v)));
    set(&mut memory, "reservation", r.memory_reservation.map(|v| json!(v)));
    set(&mut memory, "swap", swap(r).map(|v| json!(v)));
    set(&mut cpu, "quota", r.nano_cpus.map(|n| json!(n.saturating_mul(PERIOD) / 1_000_000_000)));
    set(&mut cpu, "period", r.nano_cpus.map(|_| json!(PERIOD)));
    set(&mut cpu, "shares", r.cpu_shares.map(|v| json!(v)));
    set(&mut cpu, "cpus", r.cpuset.as_ref().map(|v| json!(v)));
    if !memory.is_empty() {
        value["memory"] = Value::Object(memory);
    }
    if !cpu.is_empty() {
        value["cpu"] = Value::Object(cpu);
    }
    if let Some(pids) = r.pids {
        value["pids"] = json!({ "limit": pids });
    }
    value
}

/// Memory and swap together. A memory limit alone allows as much swap again, as in Docker.
fn swap(r: &hull_model::Resources) -> Option<u64> {
    r.memory_swap.or_else(|| r.memory.map(|m| m.saturating_mul(2)))
}

/// Content of /etc/hosts: loopback, the container's own names, then what was asked for.
pub fn hosts_file(
    id: &ContainerId,
    spec: &ContainerSpec,
    addresses: &BTreeMap<Name, Ipv4Addr>,
    gateway: Option<Ipv4Addr>,
) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for (name, address) in &spec.extra_hosts {
        let address = match (address.as_str(), gateway) {
            ("host-gateway", Some(gateway)) => gateway.to_string(),
            ("host-gateway", None) => continue,
            (literal, _) => literal.to_owned(),
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    let hostname = hostname(id, spec);
    let names = match &spec.domainname {
        Some(domain) => format!("{hostname}.{domain} {hostname}"),
        None => hostname,
    };
    for address in addresses.values() {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text
}

/// Content of /etc/resolv.conf: the resolver inside the container's own namespace. `None` without a network.
pub fn resolv_conf(spec: &ContainerSpec) -> Option<String> {
    if spec.networks.is_empty() {
        return None;
    }
    let mut text = String::from("nameserver 127.0.0.11\n");
    if !spec.dns_search.is_empty() {
        text.push_str(&format!("search {}\n", spec.dns_search.join(" ")));
    }
    text.push_str("options ndots:0\n");
    Some(text)
}

/// The signal that asks a container to stop, by name or number; the container's, the image's, or SIGTERM.
pub fn stop_signal(spec: &ContainerSpec, image: &ImageConfig) -> String {
    let from_image = Some(image.stop_signal.clone()).filter(|s| !s.is_empty());
    spec.stop_signal.clone().or(from_image).unwrap_or_else(|| "SIGTERM".to_owned())
}

#[cfg(test)]
mod tests;
