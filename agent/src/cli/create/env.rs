//! Variables and labels, also from files.

use crate::cli::failure::Failure;
use serde_json::{Map, Value};

/// Lines of files, then those that were given; a name alone takes its value from here, if it has one.
pub(crate) fn variables(files: &[&str], given: &[&str]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for file in files {
        for line in lines(file)? {
            match line.split_once('=') {
                Some(_) => all.push(line),
                None => all.extend(from_here(&line)),
            }
        }
    }
    for text in given {
        if text.contains('=') {
            all.push((*text).to_owned());
        } else {
            // A variable that is not set here is taken away there.
            all.push(from_here(text).unwrap_or_else(|| (*text).to_owned()));
        }
    }
    Ok(all)
}

fn from_here(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| format!("{name}={value}"))
}

/// Lines of files, then those that were given.
pub(super) fn labels(files: &[&str], given: &[&str]) -> Result<Map<String, Value>, Failure> {
    let mut all = Vec::new();
    for file in files {
        all.extend(lines(file)?);
    }
    all.extend(given.iter().map(|text| (*text).to_owned()));
    Ok(super::pairs(&all))
}

/// The lines of a file that say something.
fn lines(file: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            std::io::ErrorKind::InvalidData => "invalid utf8 bytes".to_owned(),
            _ => e.to_string(),
        };
        Failure::new(format!("open {file}: {why}"))
    })?;
    let mut said = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_start) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or_default();
        if key.is_empty() {
            return Err(Failure::new(format!("no variable name on line '{line}'")));
        }
        if key.contains(char::is_whitespace) {
            return Err(Failure::new(format!("variable '{key}' contains whitespaces")));
        }
        said.push(line.to_owned());
    }
    Ok(said)
}
