//! Writing limits into the files of one control group.

use super::limits::Setting;
use crate::failure::{Failure, Result};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Files that were changed, and what was in them.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// Whether it is worth reading files before they are changed.
    wanted: bool,
    changes: Vec<(PathBuf, String)>,
}

/// Writes all settings. What was there before is added to `undo`. A value that the kernel refuses beside another one that is
/// still to come is tried again after that.
pub(super) fn settings(directory: &Path, settings: &[Setting], undo: &mut Undo) -> Result<()> {
    let mut again = Vec::new();
    for setting in settings {
        match one(directory, setting, undo) {
            Err((_, error)) if error.raw_os_error() == Some(libc::EINVAL) => again.push(setting),
            other => other.map_err(|(file, error)| failure(directory, file, setting, &error))?,
        }
    }
    for setting in again {
        one(directory, setting, undo).map_err(|(file, error)| failure(directory, file, setting, &error))?;
    }
    Ok(())
}

fn failure(directory: &Path, file: &str, setting: &Setting, error: &io::Error) -> Failure {
    let doing = format!("setting {file} of {} to {}", directory.display(), setting.value);
    match error.kind() {
        io::ErrorKind::NotFound => Failure::permanent(doing, "this kernel does not have it")
            .remedy("leave the limit out, or start the host with the controller"),
        _ => Failure::from_io(doing, error),
    }
}

fn one<'a>(
    directory: &Path,
    setting: &'a Setting,
    undo: &mut Undo,
) -> std::result::Result<(), (&'a str, io::Error)> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match put(&directory.join(setting.file), &setting.value, undo) {
        Ok(()) => Ok(()),
        // A limit of what is not there always holds: hosts without swap, or without its accounting.
        Err(error) if missing(&error) && setting.derived => Ok(()),
        Err(error) if missing(&error) => match &setting.instead {
            Some((file, value)) => put(&directory.join(file), value, undo).map_err(|error| (*file, error)),
            None => Err((setting.file, error)),
        },
        Err(error) => Err((setting.file, error)),
    }
}

/// Writes one file, which must exist.
pub(super) fn put(path: &Path, value: &str, undo: &mut Undo) -> io::Result<()> {
    let before = undo.wanted.then(|| std::fs::read_to_string(path).unwrap_or_default());
    raw(path, value)?;
    undo.changes.extend(before.map(|before| (path.to_owned(), before)));
    Ok(())
}

/// Writes one file that can only be written.
pub(super) fn raw(path: &Path, value: &str) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

impl Undo {
    /// One that keeps what was there.
    pub(super) fn wanted() -> Self {
        Self { wanted: true, changes: Vec::new() }
    }

    /// Puts everything back, as far as the kernel takes it: the last change first.
    pub(super) fn put_back(&self) {
        for (path, before) in self.changes.iter().rev() {
            // Limits of devices have a line each.
            for line in before.lines().filter(|line| !line.is_empty()) {
                let _ = raw(path, line);
            }
        }
    }
}
