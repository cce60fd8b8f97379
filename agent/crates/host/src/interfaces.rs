//! The host's own interfaces: files of systemd-networkd.

use crate::files::{Access, Root};
use crate::problem;
use crate::system::System;
use hull_model::{HostNetwork, Problem};
use std::io;
use std::path::Path;

const DIRECTORY: &str = "/run/systemd/network";
/// Files of ours are called so, after a number that orders them.
const OURS: &str = "-hull-";

/// Makes the files what the settings say, removes those that are no longer wanted, and has them read again if anything
/// changed.
pub(crate) async fn apply(root: &Root, network: Option<&HostNetwork>, system: &dyn System) -> Vec<Problem> {
    let none = HostNetwork::default();
    let wanted = network.unwrap_or(&none);
    let mut problems = Vec::new();
    let changed = match write(root, wanted, &mut problems) {
        Ok(changed) => changed,
        Err(e) => {
            let remedy = "interfaces keep the setting they have";
            problems.push(problem("network", format!("writing to {DIRECTORY}: {e}"), remedy));
            false
        }
    };
    if changed {
        if wanted.files.keys().any(|name| name.ends_with(".link")) {
            rename_links(root);
        }
        if let Err(e) = system.reload_network().await {
            let remedy = "check systemd-networkd.service; interfaces keep the setting they have";
            problems.push(problem("network", format!("having the files read again: {e}"), remedy));
        }
    }
    problems
}

fn is_ours(name: &str) -> bool {
    let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < name.len() && rest.starts_with(OURS)
}

fn write(root: &Root, wanted: &HostNetwork, problems: &mut Vec<Problem>) -> io::Result<bool> {
    let mut changed = false;
    for (name, text) in &wanted.files {
        if !is_ours(name) || name.contains('/') {
            problems.push(problem(
                format!("network {name}"),
                "the file's name is not one of ours",
                "use NN-hull-NAME",
            ));
            continue;
        }
        changed |= root.write(Path::new(DIRECTORY).join(name), text.as_bytes(), Access::root(0o644))?;
    }
    let entries = match std::fs::read_dir(root.at(DIRECTORY)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(changed),
        other => other?,
    };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if is_ours(&name) && !wanted.files.contains_key(&name) {
            changed |= root.remove(Path::new(DIRECTORY).join(&name))?;
        }
    }
    Ok(changed)
}

/// Names are given by udev when a device appears: it is told that those which are there appear again. One that keeps its
/// name is no failure, since .network files match by what does not change.
fn rename_links(root: &Root) {
    let links = std::fs::read_dir(root.at("/sys/class/net")).into_iter().flatten().flatten();
    for link in links.map(|entry| entry.path()).filter(|path| path.join("device").exists()) {
        if let Err(error) = std::fs::write(link.join("uevent"), "add") {
            tracing::warn!(link = %link.display(), %error, "asking udev to name an interface");
        }
    }
}
