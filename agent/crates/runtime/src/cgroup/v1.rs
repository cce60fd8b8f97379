//! Version 1 hierarchies beside a version 2 hierarchy without controllers. Enough to run and test on such hosts.

use super::v2::{make, set};
use super::{Cgroup, PARENT, limits};
use crate::failure::{Failure, Result};
use oci_spec::runtime::LinuxResources;
use std::path::{Path, PathBuf};

const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuset", "pids"];

pub(super) fn discover(root: &Path) -> Result<()> {
    if root.join("unified/cgroup.procs").exists() {
        return make(&root.join("unified").join(PARENT));
    }
    Err(Failure::permanent(
        format!("looking for control groups in {}", root.display()),
        "no version 2 hierarchy is mounted",
    )
    .remedy("mount cgroup2 on /sys/fs/cgroup, or on /sys/fs/cgroup/unified beside version 1"))
}

/// Every directory that containers' groups may be in.
pub(super) fn parents(root: &Path) -> Vec<PathBuf> {
    std::iter::once("unified").chain(CONTROLLERS).map(|h| root.join(h).join(PARENT)).collect()
}

pub(super) fn create(root: &Path, id: &str, resources: &LinuxResources) -> Result<Cgroup> {
    let wanted = limits::split(resources)?;
    let unified = root.join("unified").join(PARENT);
    make(&unified)?;
    let mut cgroup = Cgroup { unified: unified.join(id), split: Vec::new() };
    make(&cgroup.unified)?;
    for (controller, settings) in wanted {
        if let Err(failure) = create_in(root, controller, id, &settings, &mut cgroup) {
            let _ = cgroup.remove();
            return Err(failure);
        }
    }
    Ok(cgroup)
}

fn create_in(
    root: &Path,
    controller: &str,
    id: &str,
    settings: &[limits::Setting],
    cgroup: &mut Cgroup,
) -> Result<()> {
    let hierarchy = root.join(controller);
    if !hierarchy.join("cgroup.procs").exists() {
        return Err(Failure::permanent(
            format!("setting {} of the container", settings[0].0),
            format!("this host has no {controller} controller"),
        ));
    }
    let parent = hierarchy.join(PARENT);
    let directory = parent.join(id);
    make(&parent)?;
    if controller == "cpuset" {
        inherit_cpuset(&hierarchy, &parent);
    }
    make(&directory)?;
    cgroup.split.push((controller.to_owned(), directory.clone()));
    if controller == "cpuset" {
        inherit_cpuset(&parent, &directory);
    }
    settings.iter().try_for_each(|(file, value)| set(&directory, file, value))
}

/// A new group of version 1 may run on no CPU until it is told which.
fn inherit_cpuset(parent: &Path, child: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let current = std::fs::read_to_string(child.join(file)).unwrap_or_default();
        if current.trim().is_empty()
            && let Ok(value) = std::fs::read_to_string(parent.join(file))
        {
            let _ = std::fs::write(child.join(file), value.trim());
        }
    }
}
