//! What a container should be, independent of whether a Compose file, the Docker API or a kubelet asked for it.

use crate::{Name, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Everything that decides how a container runs. Two equal specs give interchangeable containers.
///
/// `None` and empty mean "as the image says" for what an image can say, and the documented default otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The container's name, unique on the host.
    pub name: Name,
    /// The image to run.
    pub image: Reference,
    /// Replaces the image's entrypoint. An empty list clears it.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Environment on top of the image's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// `user`, `uid`, `user:group`, `uid:gid`.
    #[serde(default)]
    pub user: Option<String>,
    /// Supplementary groups, by name or number.
    #[serde(default)]
    pub group_add: Vec<String>,
    /// Host name inside; the short container id otherwise.
    #[serde(default)]
    pub hostname: Option<String>,
    /// NIS domain name inside.
    #[serde(default)]
    pub domainname: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Volumes, host directories and tmpfs, in the order they are mounted.
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
    /// Networks by name; empty means no network but loopback.
    #[serde(default)]
    pub networks: BTreeMap<Name, EndpointSpec>,
    /// Ports published on the host.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// What happens after the process ends.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Limits.
    #[serde(default)]
    pub resources: Resources,
    /// Capabilities beyond the default set, as `CAP_NET_ADMIN` or `ALL`.
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default set, as `CAP_CHOWN` or `ALL`.
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// All capabilities and devices, no seccomp, nothing masked.
    #[serde(default)]
    pub privileged: bool,
    /// The root file system cannot be written.
    #[serde(default)]
    pub read_only: bool,
    /// Set-user-id programs gain nothing.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// System call filter.
    #[serde(default)]
    pub seccomp: SeccompChoice,
    /// Signal that asks it to stop; the image's or SIGTERM otherwise.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL; 10 otherwise.
    #[serde(default)]
    pub stop_grace_seconds: Option<u64>,
    /// Run a minimal init as process 1.
    #[serde(default)]
    pub init: bool,
    /// Give it a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Keep standard input open.
    #[serde(default)]
    pub stdin_open: bool,
    /// Kernel parameters of its namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits by name (`nofile`).
    #[serde(default)]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Lines for /etc/hosts: name to address, or to `host-gateway`.
    #[serde(default)]
    pub extra_hosts: BTreeMap<String, String>,
    /// Upstream DNS servers; the host's otherwise.
    #[serde(default)]
    pub dns: Vec<String>,
    /// DNS search domains.
    #[serde(default)]
    pub dns_search: Vec<String>,
    /// Bytes of /dev/shm; 64 MiB otherwise.
    #[serde(default)]
    pub shm_size: Option<u64>,
    /// How its output is kept.
    #[serde(default)]
    pub log: LogConfig,
    /// Names of containers that must have been started before this one.
    #[serde(default)]
    pub depends_on: Vec<Name>,
}

impl ContainerSpec {
    /// A container of an image with everything else at its default.
    pub fn new(name: Name, image: Reference) -> Self {
        Self {
            name,
            image,
            entrypoint: None,
            command: None,
            env: BTreeMap::new(),
            working_dir: None,
            user: None,
            group_add: Vec::new(),
            hostname: None,
            domainname: None,
            labels: BTreeMap::new(),
            mounts: Vec::new(),
            networks: BTreeMap::new(),
            ports: Vec::new(),
            restart: RestartPolicy::default(),
            resources: Resources::default(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            privileged: false,
            read_only: false,
            no_new_privileges: false,
            seccomp: SeccompChoice::default(),
            stop_signal: None,
            stop_grace_seconds: None,
            init: false,
            tty: false,
            stdin_open: false,
            sysctls: BTreeMap::new(),
            ulimits: BTreeMap::new(),
            extra_hosts: BTreeMap::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            shm_size: None,
            log: LogConfig::default(),
            depends_on: Vec::new(),
        }
    }

    /// Names of the volumes it mounts.
    pub fn volumes(&self) -> impl Iterator<Item = &Name> {
        self.mounts.iter().filter_map(|m| match &m.kind {
            MountKind::Volume { name } => Some(name),
            _ => None,
        })
    }
}

/// One mount inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What is mounted.
    #[serde(flatten)]
    pub kind: MountKind,
    /// Absolute path inside the container.
    pub target: PathBuf,
    /// Cannot be written through this mount.
    #[serde(default)]
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountKind {
    /// A named volume.
    Volume {
        /// The volume's name.
        name: Name,
    },
    /// A directory or file of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// Make the directory if it is missing, as `-v` does.
        #[serde(default)]
        create: bool,
    },
    /// Memory.
    Tmpfs {
        /// Bytes it may hold; half of the memory otherwise.
        #[serde(default)]
        size: Option<u64>,
        /// Permission bits; 1777 otherwise.
        #[serde(default)]
        mode: Option<u32>,
    },
}

/// How a container is attached to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSpec {
    /// Names it answers to besides its own.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// A fixed address; the next free one otherwise.
    #[serde(default)]
    pub ipv4: Option<Ipv4Addr>,
}

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As written after the slash: `80/tcp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a container that the host answers for. One port: ranges are expanded by whoever parses them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortSpec {
    /// Host address to answer on; all if `None`.
    #[serde(default)]
    pub host_ip: Option<Ipv4Addr>,
    /// Host port.
    pub host_port: u16,
    /// Port inside the container.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// The part of a published port that only one container can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// Host address; all if `None`.
    pub ip: Option<Ipv4Addr>,
    /// Host port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl HostPort {
    /// Whether both cannot be published at once: same port and protocol on the same address, or either on all.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip.is_none() || other.ip.is_none() || self.ip == other.ip)
    }
}

impl PortSpec {
    /// What it takes from the host.
    pub fn host(&self) -> HostPort {
        HostPort { ip: self.host_ip, port: self.host_port, protocol: self.protocol }
    }
}

/// What happens after a container's process ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "policy", rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// It stays stopped.
    #[default]
    No,
    /// It is started again, whatever the exit code, also after a reboot.
    Always,
    /// As `Always`, unless a person stopped it.
    UnlessStopped,
    /// It is started again after a non-zero exit code.
    OnFailure {
        /// How many times in a row; without end if `None`.
        #[serde(default)]
        max_retries: Option<u32>,
    },
}

/// Limits of a container. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together, as Docker counts.
    pub memory_swap: Option<u64>,
    /// Bytes below which memory is not reclaimed under pressure.
    pub memory_reservation: Option<u64>,
    /// CPUs, in units of 10⁻⁹.
    pub nano_cpus: Option<u64>,
    /// Relative weight, 2 to 262144; 1024 is the default.
    pub cpu_shares: Option<u64>,
    /// CPUs it may run on, as `0-3,5`.
    pub cpuset: Option<String>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
}

/// A resource limit (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The limit in force.
    pub soft: u64,
    /// The ceiling for the limit in force.
    pub hard: u64,
}

/// System call filter of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompChoice {
    /// Hull's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
}

/// How a container's output is kept: in files that are rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// Bytes after which a file is rotated.
    pub max_size: u64,
    /// Number of files kept, the one being written included; at least 1.
    pub max_files: u32,
}

impl Default for LogConfig {
    /// 10 MiB in five files: nobody's disk fills because a container talks.
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 5 }
    }
}
