//! Trees into OSTree commits.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::mmdebstrap;
use crate::progress::StepLog;
use crate::toolbox::Toolbox;
use crate::tree;
use crate::workdir::WorkDir;

/// The branch that releases are committed to.
pub const BRANCH: &str = "hull/x86_64/stable";

/// The branch a prepared tree is kept on.
pub fn base_branch(digest: &str) -> String {
    format!("hull/base/{digest}")
}

fn ostree(tools: &Toolbox, repo: &Path, args: &[&str]) -> Command {
    let mut command = tools.command("ostree");
    command.arg(format!("--repo={}", repo.display())).args(args);
    command
}

/// Creates the repository when there is none.
pub fn ensure_repo(log: &mut StepLog, tools: &Toolbox, repo: &Path) -> Result<()> {
    if repo.join("config").exists() {
        return Ok(());
    }
    log.run(&mut ostree(tools, repo, &["init", "--mode=bare"]))?;
    // A work directory can be thrown away and made again; waiting for the disk on every object is not worth it.
    log.run(&mut ostree(tools, repo, &["config", "set", "core.fsync", "false"]))
}

/// The commit a branch points to, if any.
pub fn resolve(log: &mut StepLog, tools: &Toolbox, repo: &Path, branch: &str) -> Option<String> {
    log.output(&mut ostree(tools, repo, &["rev-parse", branch])).ok().map(|text| text.trim().to_owned())
}

/// Commits a prepared tree to a branch. Returns the checksum.
pub fn commit_tree(
    log: &mut StepLog,
    tools: &Toolbox,
    repo: &Path,
    branch: &str,
    tree: &Path,
    epoch: u64,
) -> Result<String> {
    let mut command = ostree(tools, repo, &["commit", "--no-xattrs", "--no-bindings", "-b", branch]);
    command.arg(format!("--tree=dir={}", tree.display())).arg(format!("--timestamp=@{epoch}"));
    Ok(log.output(&mut command)?.trim().to_owned())
}

/// Removes the prepared trees other than `keep`, and objects that nothing names any more.
pub fn forget_bases(log: &mut StepLog, tools: &Toolbox, repo: &Path, keep: &str) -> Result<()> {
    let listed = log.output(&mut ostree(tools, repo, &["refs", "--list", "hull/base"]))?;
    for branch in listed.lines().filter(|branch| !branch.is_empty() && *branch != keep) {
        log.run(&mut ostree(tools, repo, &["refs", "--delete", branch]))?;
    }
    log.run(&mut ostree(tools, repo, &["prune", "--refs-only"]))
}

/// What makes a release out of a prepared tree.
#[derive(Debug, Clone)]
pub struct Release<'a> {
    /// Branch of the prepared tree.
    pub base: &'a str,
    /// Branch of the release.
    pub branch: &'a str,
    /// Version, as in os-release and in the commit's metadata.
    pub version: &'a str,
    /// Directory of hull's programs.
    pub bin_dir: &'a Path,
    /// Timestamp of the commit, seconds since 1970.
    pub epoch: u64,
}

/// Commits the prepared tree with hull's programs and version on top. Returns the checksum.
pub fn commit_release(
    log: &mut StepLog,
    tools: &Toolbox,
    repo: &Path,
    release: &Release<'_>,
    scratch: &Path,
) -> Result<String> {
    mmdebstrap::remove(scratch)?;
    overlay(release, scratch)?;
    let mut command =
        ostree(tools, repo, &["commit", "--no-xattrs", "--bootable", "--generate-composefs-metadata"]);
    command
        .args(["-b", release.branch])
        .arg(format!("--tree=ref={}", release.base))
        .arg(format!("--tree=dir={}", scratch.display()))
        .arg(format!("--add-metadata-string=version={}", release.version))
        .arg(format!("--timestamp=@{}", release.epoch))
        .arg(format!("--subject=Hull {}", release.version))
        // A release does not depend on what this repository held before.
        .arg("--parent=none");
    let checksum = log.output(&mut command)?.trim().to_owned();
    mmdebstrap::remove(scratch)?;
    Ok(checksum)
}

/// The files that differ from release to release, as a tree of their own.
fn overlay(release: &Release<'_>, dir: &Path) -> Result<()> {
    for (source, target) in tree::programs(release.bin_dir) {
        ensure!(
            source.is_file(),
            "{} is missing: build hull's programs first, or name their directory with --bin-dir",
            source.display()
        );
        let target = dir.join(target);
        fs::create_dir_all(target.parent().unwrap_or(dir))?;
        fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
    }
    let os_release = dir.join("usr/lib/os-release");
    fs::create_dir_all(dir.join("usr/lib"))?;
    fs::write(&os_release, os_release_text(release.version)).context("cannot write os-release")?;
    for path in ["", "usr", "usr/bin", "usr/lib", "usr/libexec", "usr/libexec/hull"] {
        fs::set_permissions(dir.join(path), fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(os_release, fs::Permissions::from_mode(0o644)).context("cannot set permissions")
}

/// os-release(5) of a release.
pub fn os_release_text(version: &str) -> String {
    format!(
        "NAME=\"Hull\"\nID=hull\nID_LIKE=debian\nVERSION=\"{version}\"\nVERSION_ID=\"{version}\"\n\
         PRETTY_NAME=\"Hull {version}\"\nIMAGE_ID=hull\nIMAGE_VERSION=\"{version}\"\nDEFAULT_HOSTNAME=hull\n"
    )
}

/// Refuses versions that could not stand in os-release, a file name or a command line.
pub fn check_version(version: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || ".-_+~".contains(c);
    ensure!(
        !version.is_empty() && version.len() <= 64 && version.chars().all(fine),
        "the version {version:?} may only have letters, digits and . - _ + ~, and at most 64 of them"
    );
    Ok(())
}

/// Publishes a commit into an `archive` repository that can be served over HTTP.
pub fn publish(
    log: &mut StepLog,
    tools: &Toolbox,
    work: &WorkDir,
    branch: &str,
    archive: &Path,
) -> Result<()> {
    let run = |args: &[&str]| {
        let mut command = tools.command_with("ostree", &[archive]);
        command.arg(format!("--repo={}", archive.display())).args(args);
        command
    };
    if !archive.join("config").exists() {
        fs::create_dir_all(archive).with_context(|| format!("cannot create {}", archive.display()))?;
        log.run(&mut run(&["init", "--mode=archive"]))?;
    }
    log.run(run(&["pull-local"]).arg(work.repo()).arg(branch))?;
    log.run(&mut run(&["summary", "-u"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(check_version("0.1.0-rc.1+g12ab").is_ok());
        for bad in ["", "1 2", "a\"b", "a/b", "a\nb"] {
            assert!(check_version(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn os_release_names_the_version() {
        assert!(os_release_text("1.2").lines().any(|line| line == "IMAGE_VERSION=\"1.2\""));
    }
}
