//! From a container's spec and its image to the OCI runtime configuration, and to the files below /etc that name it.

mod capabilities;
mod cdi;
mod conflicts;
mod devices;
mod etc;
mod mounts;
mod namespaces;
mod process;
mod resources;
mod seccomp;
mod sysctls;

pub use capabilities::{ALL_CAPABILITIES, DEFAULT_CAPABILITIES, capabilities};
pub use cdi::{CdiSpec, EditedMount, Edits, NodeStat, resolve as resolve_cdi};
pub use conflicts::conflicts;
pub use devices::HostDevice;
pub use etc::{hosts_file, resolv_conf};
pub use namespaces::Joined;
pub use process::{command, environment, stop_signal};
pub use resources::{DeviceNumbers, limited_devices, linux_resources};
pub use seccomp::{SeccompTarget, kernel_version, seccomp_profile};

use hull_model::{ContainerId, ContainerSpec, ImageConfig, Name, NamespaceMode, SeccompChoice};
use oci_spec::runtime::{LinuxSeccomp, Spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Paths that cannot be read unless the container is privileged or says otherwise.
pub const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Paths that cannot be written unless the container is privileged or says otherwise.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

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
    #[error("unknown capability: {0:?}")]
    UnknownCapability(String),
    /// A volume that the caller did not say the place of.
    #[error("volume {0} does not exist")]
    UnknownVolume(Name),
    /// Options that exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// A namespace of another container that the caller did not say the place of.
    #[error("the {0} namespace of the other container is not known")]
    NotJoined(&'static str),
    /// A device, named by a limit, that the caller found no numbers for.
    #[error("stat {0}: no such file or directory")]
    NoDevice(PathBuf),
    /// A rule for devices in a form that cannot be read.
    #[error("invalid device cgroup rule format: '{0}'")]
    DeviceRule(String),
    /// A place for control groups that cannot be one.
    #[error("invalid cgroup parent {0:?}: write the path of a group without '..', or the name of a slice")]
    CgroupParent(String),
    /// A way of propagation that does not exist.
    #[error("invalid propagation mode: {0}")]
    Propagation(String),
    /// A path in a volume that leads out of it.
    #[error("invalid volume subpath {0:?}: it must be a relative path inside the volume")]
    Subpath(String),
    /// An option that tmpfs does not have.
    #[error("invalid tmpfs option {0:?}")]
    TmpfsOption(String),
    /// A device that no file of the Container Device Interface has, or that asks for what is not supported.
    #[error("CDI device injection failed: {0}")]
    Cdi(String),
    /// A system call filter that cannot be read.
    #[error("loading seccomp profile failed: {0}")]
    Seccomp(String),
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
    /// Its network namespace, or that of the container whose network it uses; a new one with only loopback if `None`.
    pub netns: Option<&'a Path>,
    /// Namespaces of other containers that it uses.
    pub joined: Joined,
    /// Where its volumes are.
    pub volumes: &'a BTreeMap<Name, PathBuf>,
    /// Files to be bind-mounted over those below /etc, by path inside.
    pub etc: &'a BTreeMap<PathBuf, PathBuf>,
    /// What its devices are on this host; every device of the host for a privileged container.
    pub devices: &'a [HostDevice],
    /// Device numbers of the paths that [`limited_devices`] names.
    pub numbers: &'a DeviceNumbers,
    /// What its devices of the Container Device Interface bring along.
    pub cdi: &'a Edits,
    /// System call filter for its capabilities: the default one, or its own ([`seccomp_profile`]); unused for unconfined
    /// containers, and for privileged ones without a filter of their own.
    pub seccomp: Option<LinuxSeccomp>,
}

/// Host name inside the container.
pub fn hostname(id: &ContainerId, spec: &ContainerSpec) -> String {
    spec.hostname.clone().unwrap_or_else(|| id.short().to_owned())
}

/// Describes the container to an OCI runtime.
///
/// # Errors
/// The first thing in the spec that contradicts itself, or that the caller did not look up.
pub fn runtime_spec(input: &OciInput<'_>) -> Result<Spec, OciError> {
    let spec = input.spec;
    conflicts(spec)?;
    let args = command(spec, input.image);
    if args.is_empty() || args[0].is_empty() {
        return Err(OciError::NoCommand { image: spec.image.familiar() });
    }
    let mut config = json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs", "readonly": spec.read_only },
        "process": process::process(input, args)?,
        "mounts": mounts::mounts(input)?,
        "linux": linux(input)?,
        "annotations": spec.annotations,
    });
    if spec.uts == NamespaceMode::Private {
        config["hostname"] = json!(hostname(input.id, spec));
        if let Some(domainname) = &spec.domainname {
            config["domainname"] = json!(domainname);
        }
    }
    Ok(serde_json::from_value(config)?)
}

fn linux(input: &OciInput<'_>) -> Result<Value, OciError> {
    let spec = input.spec;
    let mut resources = resources::limits(&spec.resources, input.numbers)?;
    resources["devices"] = json!(devices::rules(input)?);
    let mut linux = json!({
        "namespaces": namespaces::namespaces(input)?,
        "cgroupsPath": resources::cgroup_path(spec.cgroup_parent.as_deref(), input.id.as_str())?,
        "resources": resources,
        "sysctl": sysctls::sysctls(spec),
        "devices": devices::nodes(input),
    });
    // What is said goes before what being privileged means.
    let paths = |own: &Option<Vec<String>>, default: &[&str]| match own {
        Some(own) => json!(own),
        None if spec.privileged => json!([]),
        None => json!(default),
    };
    linux["maskedPaths"] = paths(&spec.masked_paths, &MASKED_PATHS);
    linux["readonlyPaths"] = paths(&spec.readonly_paths, &READONLY_PATHS);
    let filtered = match &spec.seccomp {
        SeccompChoice::Default => !spec.privileged,
        SeccompChoice::Unconfined => false,
        SeccompChoice::Profile(_) => true,
    };
    if let Some(profile) = input.seccomp.as_ref().filter(|_| filtered) {
        linux["seccomp"] = serde_json::to_value(profile)?;
    }
    Ok(linux)
}

#[cfg(test)]
mod tests;
