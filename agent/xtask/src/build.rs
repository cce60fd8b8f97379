//! Programs and images.

use crate::command::{Step, workspace};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// Where toolbox, caches and logs are.
pub(crate) const WORK: &str = "target/hull";
/// Where images go unless somebody says otherwise.
pub(crate) const IMAGES: &str = "target/hull/out";
/// The programs that go into the OS image.
const BINARIES: &str = "target/hull/bin";
/// The target of the static build; named, so that build scripts and macros are not built statically too.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A program built for release.
pub(crate) fn program(name: &str) -> PathBuf {
    workspace().join("target/release").join(name)
}

/// Builds the agent, its command line, the supervisor (static), and the programs that make and boot images.
pub(crate) fn programs() -> Result<()> {
    let packages = ["hull-agent", "image-builder", "qemu-tests"];
    let packages = packages.iter().flat_map(|p| ["--package", p]);
    Step::cargo("build")
        .args(["--release", "--locked"])
        .args(packages)
        .run("building the agent and the tools")?;
    Step::cargo("build")
        .args([
            "--release",
            "--locked",
            "--package",
            "hull-runtime",
            "--no-default-features",
            "--target",
            TARGET,
        ])
        .args(["--bin", "hull-runtime"])
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .run("building the supervisor")?;
    gather()
}

/// Builds what knows the scenarios, and nothing else.
pub(crate) fn scenarios() -> Result<()> {
    Step::cargo("build")
        .args(["--release", "--locked", "--package", "qemu-tests"])
        .run("building the scenarios")
}

/// Puts what belongs into the image side by side.
fn gather() -> Result<()> {
    let (root, out) = (workspace().join("target"), workspace().join(BINARIES));
    std::fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    for from in ["release/hulld", "release/hull"] {
        copy(&root.join(from), &out)?;
    }
    copy(&root.join(TARGET).join("release/hull-runtime"), &out)
}

fn copy(from: &Path, dir: &Path) -> Result<()> {
    let name = from.file_name().with_context(|| format!("{} has no name", from.display()))?;
    let (to, partial) = (dir.join(name), dir.join(name).with_extension("partial"));
    // Renamed into place: a running program cannot be written to.
    std::fs::copy(from, &partial).with_context(|| format!("copying {}", from.display()))?;
    std::fs::rename(&partial, &to).with_context(|| format!("putting {} in place", to.display()))
}

/// Makes the toolbox unless it is there.
pub(crate) fn toolbox() -> Result<()> {
    Step::root(program("image-builder")).args(["--work", WORK, "tools"]).run("the toolbox")
}

/// Builds OS images from the programs.
pub(crate) fn image(format: &str, out: &Path) -> Result<()> {
    Step::root(program("image-builder"))
        .args(["--work", WORK, "image", "--bin-dir", BINARIES, "--format", format, "--out"])
        .arg(out)
        .run("the OS image")
}

/// Builds the OS commit twice.
pub(crate) fn verify_reproducible() -> Result<()> {
    Step::root(program("image-builder"))
        .args(["--work", WORK, "image", "--bin-dir", BINARIES, "--verify-reproducible"])
        .run("building the OS commit twice")
}
