//! Which crate may know which: the walls of the house, checked.

use crate::command::Step;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Crates of ours that a crate may depend on, tests aside. What is not listed must not be used.
const ALLOWED: &[(&str, &[&str])] = &[
    ("hull-model", &[]),
    ("hull-plan", &["hull-model"]),
    ("hull-ports", &["hull-model"]),
    ("hull-sys", &[]),
    ("hull-tar", &[]),
    ("hull-images", &["hull-model", "hull-ports", "hull-sys", "hull-tar"]),
    ("hull-archive", &["hull-model", "hull-ports", "hull-sys", "hull-tar"]),
    ("hull-runtime", &["hull-model", "hull-ports", "hull-sys"]),
    ("hull-network", &["hull-model", "hull-ports", "hull-sys"]),
    ("hull-volumes", &["hull-model", "hull-ports", "hull-sys"]),
    ("hull-host", &["hull-model", "hull-ports", "hull-sys"]),
    ("hull-engine", &["hull-model", "hull-plan", "hull-ports"]),
    ("hull-reconcile", &["hull-model", "hull-plan", "hull-ports", "hull-engine"]),
    // It shows what a container would run, which only the plan knows, and sizes the terminals it is handed.
    ("hull-api-docker", &["hull-model", "hull-plan", "hull-ports", "hull-sys", "hull-engine"]),
    ("hull-testkit", &["hull-model", "hull-ports"]),
    // Of the ports only the classes of errors: whether a datasource is worth another try.
    ("cloud-init", &["hull-model", "hull-ports"]),
    ("image-builder", &[]),
    ("qemu-tests", &["image-builder"]),
    ("xtask", &[]),
];
/// What decides must not be able to act: no clock, socket or runtime within reach.
const PURE: &[&str] = &["hull-model", "hull-plan"];
const EFFECTS: &[&str] =
    &["tokio", "nix", "libc", "reqwest", "rusqlite", "zbus", "rtnetlink", "axum", "hyper"];

/// Checks every manifest of the workspace.
pub(crate) fn check() -> Result<()> {
    let metadata =
        Step::cargo("metadata").args(["--no-deps", "--format-version", "1"]).output("reading manifests")?;
    let metadata: Value = serde_json::from_str(&metadata).context("reading cargo's metadata")?;
    let packages = metadata["packages"].as_array().context("cargo's metadata has no packages")?;
    let ours: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut broken = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] != "dev" && !may_use(name, used, ours.contains(&used)) {
                broken.push(format!("{name} must not depend on {used}"));
            }
        }
    }
    if broken.is_empty() {
        println!("xtask: architecture: {} crates know only what they may", packages.len());
        return Ok(());
    }
    bail!("architecture: {}", broken.join("; "))
}

fn may_use(name: &str, used: &str, is_ours: bool) -> bool {
    if PURE.contains(&name) && EFFECTS.contains(&used) {
        return false;
    }
    // The agent composes everything, and is the only crate that may.
    !is_ours
        || name == "hull-agent"
        || ALLOWED.iter().any(|(n, allowed)| *n == name && allowed.contains(&used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_hold() {
        assert!(may_use("hull-plan", "hull-model", true));
        assert!(may_use("hull-images", "reqwest", false));
        assert!(may_use("hull-agent", "hull-images", true));
        assert!(!may_use("hull-plan", "tokio", false));
        assert!(!may_use("hull-images", "hull-network", true));
        assert!(!may_use("hull-unlisted", "hull-model", true));
    }
}
