//! Version 1 hierarchies beside a version 2 hierarchy without controllers. Enough to run and test on such hosts.

use super::v2::make;
use super::{Cgroup, PARENT, limits, place, write};
use crate::failure::{Doing as _, Failure, Result};
use crate::plan::ContainerPlan;
use oci_spec::runtime::LinuxResources;
use std::path::{Path, PathBuf};

const CONTROLLERS: [&str; 6] = ["memory", "cpu", "cpuset", "blkio", "pids", "devices"];

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

pub(super) fn create(root: &Path, id: &str, plan: &ContainerPlan) -> Result<Cgroup> {
    let wanted = limits::split(&plan.resources)?;
    let place = plan.cgroup_parent.as_deref().unwrap_or(Path::new(PARENT)).join(id);
    let mut made = Vec::new();
    let unified = directory(root, "unified", &place, &mut made)?;
    let mut cgroup = Cgroup { unified, split: Vec::new(), made };
    for (controller, settings) in wanted {
        let result = join(root, controller, &place, &mut cgroup)
            .map_err(|failure| failure.instead_of(|| format!("setting {}", settings[0].file)))
            .and_then(|group| write::settings(&group, &settings, &mut write::Undo::default()));
        if let Err(failure) = result {
            let _ = cgroup.remove();
            return Err(failure);
        }
    }
    Ok(cgroup)
}

/// The directory `place` of a hierarchy, made with those above it.
fn directory(root: &Path, hierarchy: &str, place: &Path, made: &mut Vec<PathBuf>) -> Result<PathBuf> {
    let top = root.join(hierarchy);
    let enter = |parent: &Path, group: &Path| {
        if hierarchy == "cpuset" {
            inherit_cpuset(parent, group);
        }
    };
    let above = place.parent().unwrap_or(Path::new(""));
    let parent = if above == Path::new(PARENT) {
        // Ours for good: containers come and go in it.
        let parent = top.join(PARENT);
        make(&parent)?;
        enter(&top, &parent);
        parent
    } else {
        place::parents(&top, above, made, enter)?
    };
    let group = parent.join(place.file_name().unwrap_or_default());
    make(&group)?;
    enter(&parent, &group);
    Ok(group)
}

/// The container's directory in a controller's hierarchy, made if it is not there yet.
pub(super) fn join(root: &Path, controller: &str, place: &Path, cgroup: &mut Cgroup) -> Result<PathBuf> {
    if let Some((_, directory)) = cgroup.split.iter().find(|(known, _)| known == controller) {
        return Ok(directory.clone());
    }
    if !root.join(controller).join("cgroup.procs").exists() {
        return Err(Failure::permanent(
            format!("using controller {controller}"),
            format!("this host has no {controller} controller"),
        ));
    }
    let directory = directory(root, controller, place, &mut cgroup.made)?;
    cgroup.split.push((controller.to_owned(), directory.clone()));
    Ok(directory)
}

/// Sets limits of a group with processes in it. A controller that it did not use so far gets the processes afterwards.
pub(super) fn update(
    root: &Path,
    before: &Cgroup,
    id: &str,
    resources: &LinuxResources,
    undo: &mut write::Undo,
) -> Result<Cgroup> {
    let place = place_of(root, before, id);
    let mut after = before.clone();
    let mut set = || -> Result<()> {
        for (controller, settings) in limits::split(resources)? {
            let known = before.split.iter().any(|(known, _)| known == controller);
            if !known && settings.iter().all(limits::Setting::is_no_limit) {
                continue;
            }
            let group = join(root, controller, &place, &mut after)
                .map_err(|failure| failure.instead_of(|| format!("setting {}", settings[0].file)))?;
            write::settings(&group, &settings, undo)?;
        }
        Ok(())
    };
    let result = set();
    let new: Vec<PathBuf> =
        after.split.iter().skip(before.split.len()).map(|(_, group)| group.clone()).collect();
    if let Err(failure) = result {
        for group in &new {
            let _ = std::fs::remove_dir(group);
        }
        place::remove_made(&after.made);
        return Err(failure);
    }
    new.iter().try_for_each(|group| move_all(&before.unified, group))?;
    Ok(after)
}

/// Where a container's group is below the root of each hierarchy.
pub(super) fn place_of(root: &Path, cgroup: &Cgroup, id: &str) -> PathBuf {
    let own = || Path::new(PARENT).join(id);
    cgroup.unified.strip_prefix(root.join("unified")).map_or_else(|_| own(), Path::to_owned)
}

/// Moves every process of a group, and of the groups inside it, into another hierarchy's group. Those that are born meanwhile
/// are found by looking again.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    for _ in 0..64 {
        let members = std::fs::read_to_string(to.join("cgroup.procs")).unwrap_or_default();
        let there: Vec<&str> = members.lines().collect();
        let missing: Vec<String> =
            processes(from).into_iter().filter(|p| !there.contains(&p.as_str())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for process in missing {
            match write::raw(&to.join("cgroup.procs"), &process) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                other => other.doing(|| format!("moving process {process} into {}", to.display()))?,
            }
        }
    }
    Err(Failure::new(
        crate::failure::Class::Retryable,
        format!("moving the processes of {}", from.display()),
        "it makes new ones faster than they can be moved",
    ))
}

fn processes(group: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            all.extend(processes(&entry.path()));
        }
    }
    all
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
