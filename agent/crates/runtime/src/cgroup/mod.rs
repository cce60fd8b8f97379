//! Control groups: where a container's processes are counted, limited and, all at once, killed.

mod devices;
mod limits;
mod place;
mod read;
mod v1;
mod v2;
mod write;

pub use devices::Programs;
pub(crate) use read::MemoryEvents;

use crate::failure::Result;
use crate::plan::ContainerPlan;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// How this host's control groups are mounted, and where in them containers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// One hierarchy with all controllers.
    Unified {
        /// Where it is mounted (`/sys/fs/cgroup`).
        root: PathBuf,
        /// Directory below which each container gets one of its own.
        parent: PathBuf,
    },
    /// Controllers in hierarchies of their own, with version 2 beside them for killing.
    Hybrid {
        /// Where all hierarchies are mounted (`/sys/fs/cgroup`).
        root: PathBuf,
    },
}

/// A container's control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The directory of version 2.
    pub unified: PathBuf,
    /// Directories of other hierarchies, by controller. Empty on a unified host.
    #[serde(default)]
    pub split: Vec<(String, PathBuf)>,
    /// Groups above it that were made for it, the uppermost first. They go with it unless others use them.
    #[serde(default)]
    pub made: Vec<PathBuf>,
}

/// Where container groups are made below the root of a hierarchy.
const PARENT: &str = "hull";

impl Cgroups {
    /// Finds out how they are mounted below `root` (`/sys/fs/cgroup`). `own` is the content of `/proc/self/cgroup`. With
    /// `delegated`, this process's own group is ours to divide, as systemd's `Delegate=yes` says.
    ///
    /// # Errors
    /// No hierarchy of version 2 is mounted, or the groups cannot be made.
    pub fn discover(root: &Path, own: &str, delegated: bool) -> Result<Self> {
        if root.join("cgroup.controllers").exists() {
            return v2::discover(root, own, delegated)
                .map(|parent| Self::Unified { root: root.to_owned(), parent });
        }
        v1::discover(root).map(|()| Self::Hybrid { root: root.to_owned() })
    }

    /// Makes a container's group with its limits and its rules for devices. One that is there already gets them.
    ///
    /// # Errors
    /// Names the limit that could not be set. Then there is no group.
    pub fn create(&self, id: &str, plan: &ContainerPlan, programs: &mut Programs) -> Result<Cgroup> {
        let mut cgroup = match self {
            Self::Unified { root, parent } => v2::create(root, parent, id, plan)?,
            Self::Hybrid { root } => v1::create(root, id, plan)?,
        };
        if let Err(failure) = devices::restrict(self, &mut cgroup, id, &plan.device_access, programs) {
            let _ = cgroup.remove();
            return Err(failure);
        }
        Ok(cgroup)
    }

    /// Changes the limits of a running container's group, all or none. What is not named stays. The answer is the group, which has
    /// further directories if a controller of version 1 is needed that was not before.
    ///
    /// # Errors
    /// Names the limit that could not be set.
    pub fn update(&self, cgroup: &Cgroup, id: &str, resources: &LinuxResources) -> Result<Cgroup> {
        let mut undo = write::Undo::wanted();
        let result = match self {
            Self::Unified { .. } => limits::unified(resources)
                .and_then(|all| write::settings(&cgroup.unified, &all, &mut undo))
                .map(|()| cgroup.clone()),
            Self::Hybrid { root } => v1::update(root, cgroup, id, resources, &mut undo),
        };
        if result.is_err() {
            undo.put_back();
        }
        result
    }

    /// Removes the directory all containers' groups are in, if it is empty.
    pub fn remove_parent(&self) {
        let parents = match self {
            Self::Unified { parent, .. } => vec![parent.clone()],
            Self::Hybrid { root } => v1::parents(root),
        };
        for parent in parents {
            // Not empty: another supervisor's containers are in it.
            let _ = std::fs::remove_dir(parent);
        }
    }
}

impl Cgroup {
    /// Opens the directory for clone3.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.unified)
    }

    /// Files a process writes itself into to join what clone3 cannot join.
    pub fn join_files(&self) -> Vec<PathBuf> {
        self.split.iter().map(|(_, directory)| directory.join("cgroup.procs")).collect()
    }

    /// Kills every process in it (Linux 5.14).
    pub fn kill(&self) -> io::Result<()> {
        std::fs::write(self.unified.join("cgroup.kill"), "1")
    }

    /// Whether a process is in it.
    pub fn populated(&self) -> bool {
        std::fs::read_to_string(self.unified.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
    }

    /// Removes it. `EBUSY` while a process is in it.
    pub fn remove(&self) -> io::Result<()> {
        for directory in self.split.iter().map(|(_, directory)| directory).chain([&self.unified]) {
            remove_tree(directory)?;
        }
        place::remove_made(&self.made);
        Ok(())
    }
}

/// Removes a group with the groups that were made inside it.
fn remove_tree(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Groups inside it, or files in a directory that is none.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => {}
        Err(error) => return Err(error),
    }
    for entry in std::fs::read_dir(directory)?.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(directory)
}

#[cfg(test)]
mod tests;
