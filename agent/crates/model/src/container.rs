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
    /// AppArmor profile, by its name in the kernel; none if `None` or `unconfined`.
    #[serde(default)]
    pub apparmor: Option<String>,
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
    /// Whose network it uses, if not one of its own.
    #[serde(default)]
    pub network: NetworkMode,
    /// Process ids it sees.
    #[serde(default)]
    pub pid: NamespaceMode,
    /// System V IPC, POSIX message queues and /dev/shm it sees.
    #[serde(default)]
    pub ipc: IpcMode,
    /// Host name it sees; `Container` is refused.
    #[serde(default)]
    pub uts: NamespaceMode,
    /// Control groups it sees; `Container` is refused.
    #[serde(default)]
    pub cgroupns: NamespaceMode,
    /// Control group it is put below; Hull's own otherwise.
    #[serde(default)]
    pub cgroup_parent: Option<String>,
    /// Devices of the host.
    #[serde(default)]
    pub devices: Vec<DeviceSpec>,
    /// Devices it may open beyond its own, as `c 42:* rmw` (cgroup v1, "devices.allow").
    #[serde(default)]
    pub device_cgroup_rules: Vec<String>,
    /// Devices by their names in the Container Device Interface, as `vendor.com/class=name`.
    #[serde(default)]
    pub cdi_devices: Vec<String>,
    /// Paths that cannot be read instead of the default ones.
    #[serde(default)]
    pub masked_paths: Option<Vec<String>>,
    /// Paths that cannot be written instead of the default ones.
    #[serde(default)]
    pub readonly_paths: Option<Vec<String>>,
    /// How early the kernel kills it when memory runs out, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// How it is found out whether it works; the image's check if `None`.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
    /// It is removed, with its anonymous volumes, once it has ended.
    #[serde(default)]
    pub auto_remove: bool,
    /// Standard input is closed for good when the first client that was attached to it goes.
    #[serde(default)]
    pub stdin_once: bool,
    /// Options of the resolver (resolv.conf(5)).
    #[serde(default)]
    pub dns_options: Vec<String>,
    /// Other containers it knows by further names.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Ports it listens on, as `80/tcp`, besides those that the image names.
    #[serde(default)]
    pub exposed: Vec<String>,
    /// Publish every port it says it listens on at a free port of the host.
    #[serde(default)]
    pub publish_all: bool,
    /// Annotations handed to the runtime.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
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
            apparmor: None,
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
            network: NetworkMode::default(),
            pid: NamespaceMode::default(),
            ipc: IpcMode::default(),
            uts: NamespaceMode::default(),
            cgroupns: NamespaceMode::default(),
            cgroup_parent: None,
            devices: Vec::new(),
            device_cgroup_rules: Vec::new(),
            cdi_devices: Vec::new(),
            masked_paths: None,
            readonly_paths: None,
            oom_score_adj: None,
            healthcheck: None,
            auto_remove: false,
            stdin_once: false,
            dns_options: Vec::new(),
            links: Vec::new(),
            exposed: Vec::new(),
            publish_all: false,
            annotations: BTreeMap::new(),
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
    /// What is asked for less often.
    #[serde(default)]
    pub options: MountOptions,
}

/// Options of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// Of a bind or volume: `private`, `rprivate`, `slave`, `rslave`, `shared` or `rshared`; `rprivate` if `None`.
    pub propagation: Option<String>,
    /// Of a bind: do not take along what is mounted below the source.
    pub not_recursive: bool,
    /// Of a read-only bind or volume: a kernel that cannot also protect everything mounted below it is refused. (Where the
    /// kernel can, that is protected in any case.)
    pub recursive_read_only: bool,
    /// Of a read-only bind or volume: what is mounted below it stays writable.
    pub writable_below: bool,
    /// Of a volume: do not fill an empty one with what the image has at the target.
    pub no_copy: bool,
    /// Of a volume: only this directory in it.
    pub subpath: Option<String>,
    /// Of a volume: nobody named it; it goes with its container.
    pub anonymous: bool,
    /// Of a tmpfs: further mount options, as `exec`, `uid=5`.
    pub tmpfs: Vec<String>,
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
    /// Bytes of memory and swap together, as Docker counts; no limit of swap from 2⁶³ on.
    pub memory_swap: Option<u64>,
    /// Bytes below which memory is not reclaimed under pressure.
    pub memory_reservation: Option<u64>,
    /// CPUs, in units of 10⁻⁹.
    pub nano_cpus: Option<u64>,
    /// Microseconds of CPU time in each period; not beside `nano_cpus`.
    pub cpu_quota: Option<i64>,
    /// Length of a period in microseconds, 1000 to 1000000.
    pub cpu_period: Option<u64>,
    /// Relative weight, 2 to 262144; 1024 is the default.
    pub cpu_shares: Option<u64>,
    /// CPUs it may run on, as `0-3,5`.
    pub cpuset: Option<String>,
    /// Memory nodes it may use, as `0-1`.
    pub cpuset_mems: Option<String>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// How readily its memory is swapped out, 0 to 100; cgroup v1 only.
    pub memory_swappiness: Option<u64>,
    /// Processes wait instead of being killed at the memory limit; cgroup v1 only.
    pub oom_kill_disable: bool,
    /// Relative weight of disk access, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Relative weight of disk access by device of the host.
    pub blkio_weight_device: Vec<DeviceRate>,
    /// Bytes read each second, by device of the host.
    pub device_read_bps: Vec<DeviceRate>,
    /// Bytes written each second.
    pub device_write_bps: Vec<DeviceRate>,
    /// Reads each second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Writes each second.
    pub device_write_iops: Vec<DeviceRate>,
}

/// A limit on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Path of the device on the host.
    pub path: PathBuf,
    /// The limit, or the weight.
    pub value: u64,
}

/// A device of the host inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// On the host; a directory stands for every device in it.
    pub host: PathBuf,
    /// Inside.
    pub container: PathBuf,
    /// `r`, `w` and `m` (make).
    pub permissions: String,
}

/// Whose network a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// One of its own, in the networks it names; only loopback if it names none.
    #[default]
    Private,
    /// The host's.
    Host,
    /// That of another container, by name or id.
    Container(String),
}

/// Whose namespace a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    /// One of its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// That of another container, by name or id.
    Container(String),
}

/// Whose inter-process communication a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// Its own, for nobody else.
    #[default]
    Private,
    /// Its own, and other containers may join.
    Shareable,
    /// Its own, without /dev/shm.
    None,
    /// The host's.
    Host,
    /// That of another container, by name or id, which must be shareable.
    Container(String),
}

/// Another container under a further name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other container's name or id.
    pub target: String,
    /// What it is called in this one.
    pub alias: String,
}

/// How it is found out whether a container works. `None` is Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// Empty: as the image says. `NONE`; `CMD` and arguments; `CMD-SHELL` and a line for the image's shell.
    pub test: Vec<String>,
    /// Nanoseconds between checks; 30 s if 0.
    pub interval: i64,
    /// Nanoseconds a check may take; 30 s if 0.
    pub timeout: i64,
    /// Nanoseconds after the start in which failures do not count.
    pub start_period: i64,
    /// Nanoseconds between checks in that time; 5 s if 0.
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy; 3 if 0.
    pub retries: i64,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompChoice {
    /// Hull's default profile.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile in Docker's JSON form, with its conditions on capabilities and architectures.
    Profile(String),
}

/// Where a container's output goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Files with a JSON object for each line, as Docker writes them.
    JsonFile,
    /// Hull's own compact files. The default.
    #[default]
    Local,
    /// The systemd journal.
    Journald,
    /// A syslog server (RFC 5424, RFC 3164).
    Syslog,
    /// Nowhere.
    None,
}

impl LogDriver {
    /// Its name in Docker's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
            Self::None => "none",
        }
    }
}

/// How a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// Where it goes.
    pub driver: LogDriver,
    /// Bytes after which a file is rotated.
    pub max_size: u64,
    /// Number of files kept, the one being written included; at least 1.
    pub max_files: u32,
    /// Compress files that are full.
    pub compress: bool,
    /// Lose output when the reader is slow instead of making the container wait.
    pub non_blocking: bool,
    /// Labels, environment and tag that go with each line (`labels`, `env`, `tag` options, already resolved).
    pub attributes: BTreeMap<String, String>,
    /// Options that only this driver knows (`syslog-address`, `syslog-facility`, `syslog-format`, `tag`, `max-buffer-size`,
    /// `cache-disabled`). Who starts a container adds `container-name` and `image-name`, which the journal is told.
    pub options: BTreeMap<String, String>,
}

impl Default for LogConfig {
    /// 10 MiB in five files: nobody's disk fills because a container talks.
    fn default() -> Self {
        Self {
            driver: LogDriver::default(),
            max_size: 10 << 20,
            max_files: 5,
            compress: true,
            non_blocking: false,
            attributes: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }
}
