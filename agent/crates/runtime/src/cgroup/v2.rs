//! Version 2.

use super::{Cgroup, PARENT, limits, place, write};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::ContainerPlan;
use std::path::{Path, PathBuf};

/// Controllers that limits are set with.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

pub(super) fn discover(root: &Path, own: &str, delegated: bool) -> Result<PathBuf> {
    if !delegated {
        enable(root);
        let parent = root.join(PARENT);
        make(&parent)?;
        enable(&parent);
        return Ok(parent);
    }
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let mut group = root.join(own.trim_start_matches('/'));
    // After a restart we begin in the group that was divided before, or still in its leaf.
    if group.ends_with("supervisor") {
        group.pop();
    }
    // A group with processes of its own cannot give controllers to groups inside it.
    let leaf = group.join("supervisor");
    make(&leaf)?;
    std::fs::write(leaf.join("cgroup.procs"), "0").doing(|| format!("moving into {}", leaf.display()))?;
    enable(&group);
    Ok(group)
}

/// Gives groups inside `group` whatever controllers there are.
fn enable(group: &Path) {
    let available = std::fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    let enabled = std::fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    for controller in CONTROLLERS.iter().filter(|c| available.split_whitespace().any(|a| a == **c)) {
        if enabled.split_whitespace().all(|e| e != *controller) {
            // One by one: what cannot be had is missed, by name, when a limit needs it.
            let _ = std::fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

pub(super) fn make(directory: &Path) -> Result<()> {
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.doing(|| format!("making cgroup {}", directory.display())),
    }
}

pub(super) fn create(root: &Path, own: &Path, id: &str, plan: &ContainerPlan) -> Result<Cgroup> {
    let settings = limits::unified(&plan.resources)?;
    let mut made = Vec::new();
    let parent = match &plan.cgroup_parent {
        None => own.to_owned(),
        Some(path) => {
            enable(root);
            place::parents(root, path, &mut made, |_, group| enable(group))?
        }
    };
    let unified = parent.join(id);
    let cgroup = Cgroup { unified: unified.clone(), split: Vec::new(), made };
    let result = make(&unified).and_then(|()| fill(&unified, &settings, plan));
    if let Err(failure) = result {
        let _ = cgroup.remove();
        return Err(failure);
    }
    Ok(cgroup)
}

fn fill(directory: &Path, settings: &[limits::Setting], plan: &ContainerPlan) -> Result<()> {
    write::settings(directory, settings, &mut write::Undo::default())?;
    for (file, value) in plan.resources.unified().iter().flatten() {
        if file.contains('/') {
            return Err(Failure::permanent(
                "reading linux.resources.unified",
                format!("{file:?} is not a file of a cgroup"),
            ));
        }
        write::raw(&directory.join(file), value)
            .doing(|| format!("setting {file} of {} to {value}", directory.display()))?;
    }
    Ok(())
}
