//! The toolbox: a Debian root with every program that making and booting images needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::definition::{DEFAULT_EPOCH, TOOL_PACKAGES, bootstrap_digest};
use crate::mmdebstrap::{Format, bootstrap, ensure_installed};
use crate::progress::Progress;
use crate::sandbox::Sandbox;
use crate::workdir::WorkDir;

/// A toolbox that is complete and up to date.
#[derive(Debug, Clone)]
pub struct Toolbox {
    root: PathBuf,
    work: PathBuf,
}

impl Toolbox {
    /// Makes the toolbox, or finds the one that was made from the same definition.
    pub fn ensure(work: &WorkDir, progress: &mut Progress) -> Result<Self> {
        let stamp = stamp_path(work);
        let digest = bootstrap_digest(TOOL_PACKAGES);
        if fs::read_to_string(&stamp).is_ok_and(|text| text == digest) {
            progress.cached("toolbox");
        } else {
            progress.step("install mmdebstrap", ensure_installed)?;
            progress.step("toolbox", |log| {
                bootstrap(log, TOOL_PACKAGES, Format::Directory, &work.tools(), DEFAULT_EPOCH)
            })?;
            fs::write(&stamp, &digest).with_context(|| format!("cannot write {}", stamp.display()))?;
        }
        Ok(Self { root: work.tools(), work: work.root().to_owned() })
    }

    /// The toolbox as it is; an error says how to make it.
    pub fn open(work: &WorkDir) -> Result<Self> {
        if !stamp_path(work).exists() {
            bail!(
                "there is no toolbox in {}; make it with `image-builder tools --work {0}`",
                work.root().display()
            );
        }
        Ok(Self { root: work.tools(), work: work.root().to_owned() })
    }

    /// The toolbox's root file system.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A sandbox that sees the work directory, `/tmp` and the cargo target directory it lies in.
    pub fn sandbox(&self) -> Sandbox {
        Sandbox::new(&self.root).with(Path::new("/tmp")).with(visible_root(&self.work))
    }

    /// A program of the toolbox, started in the work directory.
    pub fn command(&self, program: &str) -> Command {
        self.sandbox().in_dir(&self.work).command(program)
    }

    /// The same, seeing further directories of the host at their own paths.
    pub fn command_with(&self, program: &str, paths: &[&Path]) -> Command {
        let visible = visible_root(&self.work);
        let further = paths.iter().filter(|path| !path.starts_with(visible) && !path.starts_with("/tmp"));
        further.fold(self.sandbox(), |sandbox, path| sandbox.with(path)).in_dir(&self.work).command(program)
    }
}

/// The outermost directory called `target` above the work directory, or the work directory itself.
fn visible_root(work: &Path) -> &Path {
    work.ancestors()
        .filter(|path| path.file_name().is_some_and(|name| name == "target"))
        .last()
        .unwrap_or(work)
}

fn stamp_path(work: &WorkDir) -> PathBuf {
    work.root().join("tools.stamp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_target_directory_is_visible() {
        assert_eq!(visible_root(Path::new("/r/target/hull")), Path::new("/r/target"));
        assert_eq!(visible_root(Path::new("/var/hull")), Path::new("/var/hull"));
    }
}
