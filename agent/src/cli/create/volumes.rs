//! `-v` and `--tmpfs`.

use crate::cli::failure::Failure;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Anonymous volumes and binds.
pub(super) fn read(volumes: &[&str]) -> Result<(Map<String, Value>, Vec<String>), Failure> {
    let (mut anonymous, mut binds) = (Map::new(), Vec::new());
    for text in volumes {
        let Some((source, rest)) = text.split_once(':') else {
            if text.is_empty() {
                return Err(Failure::new("invalid spec: : empty volume name"));
            }
            anonymous.insert((*text).to_owned(), json!({}));
            continue;
        };
        if source.is_empty() || rest.is_empty() {
            return Err(Failure::new(format!("invalid spec: {text}: empty section between colons")));
        }
        binds.push(format!("{}:{rest}", absolute(source)));
    }
    Ok((anonymous, binds))
}

/// A path that begins where we are, from the root. Names of volumes and other paths are as they are.
pub(super) fn absolute(source: &str) -> String {
    if source != "." && !source.starts_with("./") && source != ".." && !source.starts_with("../") {
        return source.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    clean(&here.join(source)).to_string_lossy().into_owned()
}

/// Without `.` and `..`, by the text alone.
pub(super) fn clean(path: &Path) -> std::path::PathBuf {
    use std::path::Component;
    let mut clean = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = clean.pop(),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

/// `path:options` as an object.
pub(super) fn tmpfs(texts: &[&str]) -> Map<String, Value> {
    let split = |text: &&str| {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        (path.to_owned(), json!(options))
    };
    texts.iter().map(split).collect()
}
