//! From an OCI configuration to exactly what a start does. Pure: everything wrong with a configuration is found here, before
//! anything is touched.

mod devices;
mod mounts;
mod process;
mod sysctl;

pub use devices::{DeviceAccess, DevicePlan, DeviceRule, MAKE, READ, WRITE};
pub use mounts::{MountKind, MountPlan, Propagation};
pub(crate) use process::check_texts;
pub use process::{ProcessPlan, Rlimit, UserChoice};

use crate::failure::{Failure, Result};
use hull_sys::process::flags;
use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, LinuxSeccomp, Spec};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootSource {
    /// An overlay of directories, mounted in the container's own mount namespace.
    Overlay {
        /// Read-only layers, topmost first.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlayfs's work directory.
        work: PathBuf,
    },
    /// A directory as it is.
    Directory(PathBuf),
}

/// A range of a user namespace's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Everything a start does, decided.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerPlan {
    /// `CLONE_NEW*` bits of the namespaces to make.
    pub new_namespaces: u64,
    /// Namespaces to join: bit and path.
    pub join_namespaces: Vec<(u64, PathBuf)>,
    /// Ranges of the user namespace: users and groups. Empty without one.
    pub uid_ranges: Vec<IdRange>,
    /// See `uid_ranges`.
    pub gid_ranges: Vec<IdRange>,
    /// The root file system.
    pub root: RootSource,
    /// The root file system cannot be written.
    pub readonly_root: bool,
    /// What it may do with devices.
    pub device_access: DeviceAccess,
    /// Mounts in order.
    pub mounts: Vec<MountPlan>,
    /// Whether /dev is ours to fill: a tmpfs of its own.
    pub fill_dev: bool,
    /// Nodes beyond the standard ones.
    pub devices: Vec<DevicePlan>,
    /// Paths that are hidden.
    pub masked_paths: Vec<PathBuf>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<PathBuf>,
    /// Kernel parameters as file names below /proc/sys, and values.
    pub sysctls: Vec<(String, String)>,
    /// Host name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Limits.
    pub resources: LinuxResources,
    /// Control group its own is put below, relative to the root of the hierarchy; Hull's own if `None`.
    pub cgroup_parent: Option<PathBuf>,
    /// System call filter.
    pub seccomp: Option<LinuxSeccomp>,
    /// The main process.
    pub process: ProcessPlan,
    /// Run a minimal init as process 1.
    pub init: bool,
}

/// What comes beside the OCI configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extras {
    /// The root file system.
    pub root: RootSource,
    /// The user, if it replaces the configuration's.
    pub user: Option<(String, Vec<String>)>,
    /// Run a minimal init as process 1.
    pub init: bool,
}

impl ContainerPlan {
    /// Decides what a start of `spec` does.
    ///
    /// # Errors
    /// Names the first field that cannot be done, or that asks for what is not supported.
    pub fn new(spec: &Spec, extras: Extras) -> Result<Self> {
        let linux = spec.linux().clone().unwrap_or_default();
        let (new_namespaces, join_namespaces) =
            namespaces(linux.namespaces().as_deref().unwrap_or_default())?;
        let resources = linux.resources().clone().unwrap_or_default();
        let devices = devices::nodes(&linux)?;
        let mut device_access = devices::access(&resources, &devices)?;
        let listed = spec.mounts().as_deref().unwrap_or_default();
        let mounts = mounts::plan(listed, device_access.own_nodes)?;
        device_access.required |= device_access.rules.is_some() && mounts.iter().any(|m| m.shows_devices);
        let fill_dev = mounts.iter().any(|m| {
            m.target == Path::new("/dev")
                && matches!(&m.kind, MountKind::New { fstype, .. } if fstype == "tmpfs")
        });
        let paths = |list: &Option<Vec<String>>| -> Result<Vec<PathBuf>> {
            list.iter()
                .flatten()
                .map(|p| container_path(Path::new(p), "linux.maskedPaths or readonlyPaths"))
                .collect()
        };
        let ranges = |list: &Option<Vec<oci_spec::runtime::LinuxIdMapping>>| -> Vec<IdRange> {
            list.iter()
                .flatten()
                .map(|m| IdRange { inside: m.container_id(), outside: m.host_id(), count: m.size() })
                .collect()
        };
        let sysctls =
            sysctl::plan(linux.sysctl().clone().unwrap_or_default(), new_namespaces, &join_namespaces)?;
        let plan = Self {
            uid_ranges: ranges(linux.uid_mappings()),
            gid_ranges: ranges(linux.gid_mappings()),
            root: extras.root,
            readonly_root: spec.root().as_ref().and_then(|r| r.readonly()).unwrap_or(false),
            device_access,
            mounts,
            fill_dev,
            devices,
            cgroup_parent: cgroup_parent(linux.cgroups_path().as_deref())?,
            masked_paths: paths(linux.masked_paths())?,
            readonly_paths: paths(linux.readonly_paths())?,
            sysctls,
            hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
            domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
            resources,
            seccomp: linux.seccomp().clone(),
            process: process::plan(spec, extras.user)?,
            init: extras.init,
            new_namespaces,
            join_namespaces,
        };
        plan.check()?;
        Ok(plan)
    }

    /// What one field alone does not show.
    fn check(&self) -> Result<()> {
        let has = |bit| self.new_namespaces & bit != 0 || self.join_namespaces.iter().any(|(b, _)| *b == bit);
        if self.new_namespaces & flags::NEWNS == 0 {
            return Err(refused("linux.namespaces", "a container needs a mount namespace of its own"));
        }
        if self.new_namespaces & flags::NEWUSER != 0
            && (self.uid_ranges.is_empty() || self.gid_ranges.is_empty())
        {
            return Err(refused("linux.uidMappings", "a user namespace needs mappings of users and groups"));
        }
        if (self.hostname.is_some() || self.domainname.is_some()) && !has(flags::NEWUTS) {
            return Err(refused(
                "hostname",
                "the host's own name would be changed: there is no UTS namespace",
            ));
        }
        if self.init && self.new_namespaces & flags::NEWPID == 0 {
            return Err(refused("init", "it needs a PID namespace of its own"));
        }
        Ok(())
    }
}

/// A configuration that asks for what cannot be.
pub(crate) fn refused(field: &str, reason: impl Into<String>) -> Failure {
    Failure::permanent(format!("reading {field}"), reason)
}

/// An absolute path without `..` or `.`.
fn container_path(path: &Path, field: &str) -> Result<PathBuf> {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            _ => return Err(refused(field, format!("{} must not contain '..'", path.display()))),
        }
    }
    if path.is_relative() {
        return Err(refused(field, format!("{} must be absolute", path.display())));
    }
    Ok(clean)
}

fn namespaces(list: &[oci_spec::runtime::LinuxNamespace]) -> Result<(u64, Vec<(u64, PathBuf)>)> {
    let (mut new, mut join) = (0, Vec::new());
    for namespace in list {
        let bit = match namespace.typ() {
            LinuxNamespaceType::Mount => flags::NEWNS,
            LinuxNamespaceType::Cgroup => flags::NEWCGROUP,
            LinuxNamespaceType::Uts => flags::NEWUTS,
            LinuxNamespaceType::Ipc => flags::NEWIPC,
            LinuxNamespaceType::User => flags::NEWUSER,
            LinuxNamespaceType::Pid => flags::NEWPID,
            LinuxNamespaceType::Network => flags::NEWNET,
            LinuxNamespaceType::Time => {
                return Err(refused("linux.namespaces", "time namespaces are not supported"));
            }
        };
        if new & bit != 0 || join.iter().any(|(b, _)| *b == bit) {
            return Err(refused("linux.namespaces", format!("{:?} is named twice", namespace.typ())));
        }
        match namespace.path() {
            Some(_) if matches!(bit, flags::NEWNS | flags::NEWUSER) => {
                return Err(refused(
                    "linux.namespaces",
                    format!("joining a {:?} namespace is not supported", namespace.typ()),
                ));
            }
            Some(path) => join.push((bit, path.clone())),
            None => new |= bit,
        }
    }
    Ok((new, join))
}

/// The group above the container's. Hull's own, and what a service manager would have to find, are `None`.
fn cgroup_parent(path: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some(path) = path.filter(|path| path.is_absolute()) else { return Ok(None) };
    let path = container_path(path, "linux.cgroupsPath")?;
    let parent = path.parent().and_then(|parent| parent.strip_prefix("/").ok()).unwrap_or(Path::new(""));
    Ok(Some(parent.to_owned()).filter(|parent| parent != Path::new("hull")))
}

#[cfg(test)]
mod tests;
