//! Debian packages into a root file system.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::definition::{
    DEFAULT_EPOCH, EXCLUDED_PATHS, PEER_PACKAGES, PEER_SUITE, PREFERENCES, SUITE, sources,
};
use crate::mirror::Mirrors;
use crate::progress::StepLog;

/// What mmdebstrap writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A directory, for the toolbox.
    Directory,
    /// A tar with clamped timestamps, for the image.
    Tar,
}

/// Kernel packages insist on an initramfs generator, and that on its hook; ours has nothing to do.
const NO_INITRAMFS: &str = r#"mkdir -p "$1/etc/kernel/postinst.d" && printf '#!/bin/sh\n' >"$1/etc/kernel/postinst.d/dracut" && chmod 755 "$1/etc/kernel/postinst.d/dracut""#;

/// mmdebstrap's arguments. `sources` and `preferences` are files on the host.
pub fn arguments(
    suite: &str,
    packages: &[&str],
    format: Format,
    target: &Path,
    sources: &Path,
    preferences: &Path,
) -> Vec<String> {
    let mut args: Vec<String> = ["--mode=root", "--variant=minbase"].map(str::to_owned).to_vec();
    args.push(format!("--format={}", if format == Format::Tar { "tar" } else { "directory" }));
    for option in [
        r#"APT::Install-Recommends "false""#,
        r#"Acquire::Languages "none""#,
        r#"Acquire::Check-Date "false""#,
    ] {
        args.push(format!("--aptopt={option}"));
    }
    args.extend(EXCLUDED_PATHS.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    args.push(format!(
        r#"--setup-hook=mkdir -p "$1/etc/apt/preferences.d" && cp '{}' "$1/etc/apt/preferences.d/hull""#,
        preferences.display()
    ));
    args.push(format!("--setup-hook={NO_INITRAMFS}"));
    args.push(format!("--include={}", packages.join(",")));
    args.extend([suite.to_owned(), target.display().to_string(), sources.display().to_string()]);
    args
}

/// Runs mmdebstrap. The target appears under its name only when it is complete.
pub fn bootstrap(
    log: &mut StepLog,
    packages: &[&str],
    format: Format,
    target: &Path,
    epoch: u64,
) -> Result<()> {
    let mirrors = Mirrors::of_host()?;
    let origin = (SUITE, sources(&mirrors.debian, &mirrors.security), PREFERENCES);
    bootstrap_from(origin, log, packages, format, target, epoch)
}

/// The same with Debian's testing alone, whose engines are the ones to be compared with.
pub fn bootstrap_peers(log: &mut StepLog, target: &Path) -> Result<()> {
    let list = format!("deb [check-valid-until=no] {} {PEER_SUITE} main\n", Mirrors::of_host()?.debian);
    bootstrap_from((PEER_SUITE, list, ""), log, PEER_PACKAGES, Format::Directory, target, DEFAULT_EPOCH)
}

/// `origin` is the suite, where its packages come from, and which are preferred.
fn bootstrap_from(
    origin: (&str, String, &str),
    log: &mut StepLog,
    packages: &[&str],
    format: Format,
    target: &Path,
    epoch: u64,
) -> Result<()> {
    let (suite, from, preferred) = origin;
    let dir = target.parent().context("the target has no parent directory")?;
    let (list, preferences) = (dir.join("sources.list"), dir.join("preferences"));
    fs::write(&list, from).with_context(|| format!("cannot write {}", list.display()))?;
    fs::write(&preferences, preferred).with_context(|| format!("cannot write {}", preferences.display()))?;
    let partial = target.with_extension("partial");
    remove(&partial)?;
    log.run(
        Command::new("mmdebstrap")
            .args(arguments(suite, packages, format, &partial, &list, &preferences))
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .env_remove("TMPDIR"),
    )?;
    remove(target)?;
    fs::rename(&partial, target).with_context(|| format!("cannot put {} in place", target.display()))
}

/// Installs mmdebstrap on this machine when it is missing: the one program that cannot come out of the toolbox.
pub fn ensure_installed(log: &mut StepLog) -> Result<()> {
    if Command::new("mmdebstrap").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return log.note("mmdebstrap is installed");
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    if let Err(error) = log.run(&mut apt(&["update"])) {
        log.note(&format!("going on without a fresh index: {error:#}"))?;
    }
    let install = log.run(&mut apt(&["install", "-y", "--no-install-recommends", "mmdebstrap"]));
    if install.is_err() {
        bail!("mmdebstrap is missing and apt-get could not install it; install it by hand and try again");
    }
    Ok(())
}

/// Removes a file or a tree, also one that OSTree made immutable.
pub fn remove(path: &Path) -> Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    let done = if meta.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    done.with_context(|| format!("cannot remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_end_with_suite_target_and_sources() {
        let args = arguments(
            "trixie",
            &["a", "b"],
            Format::Tar,
            Path::new("/t.tar"),
            Path::new("/s.list"),
            Path::new("/pref"),
        );
        assert!(args.contains(&"--include=a,b".to_owned()));
        assert!(args.contains(&"--format=tar".to_owned()));
        assert_eq!(args[args.len() - 3..], ["trixie", "/t.tar", "/s.list"]);
    }
}
