//! Capabilities and security options.

use crate::cli::failure::Failure;
use crate::cli::json::Json;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Options, hidden paths and read-only paths.
pub(super) fn read(texts: &[&str]) -> Result<(Value, Value, Value), Failure> {
    let (mut options, mut paths) = (Vec::new(), Value::Null);
    for text in texts {
        if *text == "systempaths=unconfined" {
            // No path is hidden or kept from being written.
            paths = json!([]);
            continue;
        }
        let split = text.split_once('=').or_else(|| text.split_once(':'));
        match split {
            None if *text != "no-new-privileges" => {
                return Err(Failure::new(format!("Invalid --security-opt: {text:?}")));
            }
            Some(("seccomp", profile)) if !matches!(profile, "unconfined" | "builtin") => {
                options.push(format!("seccomp={}", seccomp(profile)?));
            }
            _ => options.push((*text).to_owned()),
        }
    }
    Ok((if options.is_empty() { Value::Null } else { json!(options) }, paths.clone(), paths))
}

/// The profile in a file of this machine, on one line: the agent may not see the file.
fn seccomp(file: &str) -> Result<String, Failure> {
    let bytes = std::fs::read(file).map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::NotFound {
            "no such file or directory".into()
        } else {
            e.to_string()
        };
        Failure::new(format!("opening seccomp profile ({file}) failed: open {file}: {why}"))
    })?;
    let profile: Json = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::new(format!("compacting json for seccomp profile ({file}) failed: {e}")))?;
    Ok(profile.write(false))
}

/// Capabilities by their full names, sorted; what is added is not dropped.
pub(super) fn capabilities(add: &[&str], drop: &[&str]) -> (Value, Value) {
    let full = |name: &&str| {
        let upper = name.trim().to_uppercase();
        if upper == "ALL" || upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") }
    };
    let mut add: BTreeSet<String> = add.iter().map(full).collect();
    let mut drop: BTreeSet<String> = drop.iter().map(full).collect();
    let all = "ALL".to_owned();
    if drop.contains(&all) {
        drop = BTreeSet::from([all.clone()]);
    }
    if add.contains(&all) {
        add = BTreeSet::from([all]);
    }
    drop.retain(|name| !add.contains(name));
    let list = |set: BTreeSet<String>| if set.is_empty() { Value::Null } else { json!(set) };
    (list(add), list(drop))
}
