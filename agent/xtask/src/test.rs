//! Every test, cheapest first.

use crate::build;
use crate::command::{Step, is_root, workspace};
use anyhow::Result;

/// Runs everything; `quick` leaves out what boots machines.
pub(crate) fn all(quick: bool) -> Result<()> {
    check()?;
    build::programs()?;
    build::toolbox()?;
    units_and_drivers()?;
    if quick {
        return Ok(());
    }
    build::image("qcow2", build::IMAGES.as_ref())?;
    build::verify_reproducible()?;
    Step::root(build::program("qemu-tests")).args(["scenario", "all"]).run("whole machines")
}

/// Style and architecture.
pub(crate) fn check() -> Result<()> {
    Step::cargo("fmt").args(["--all", "--check"]).run("formatting")?;
    crate::architecture::check()?;
    Step::cargo("clippy")
        .args(["--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        .run("lints")
}

/// Tests that need no machine of their own. Drivers are tried for real, which takes root; what they need comes from the
/// toolbox.
fn units_and_drivers() -> Result<()> {
    let tools = workspace().join(build::WORK).join("tools");
    let mut tests = Step::cargo("test")
        .args(["--workspace", "--locked", "--no-fail-fast"])
        .env("HULL_TEST_BUSYBOX", tools.join("usr/bin/busybox"))
        .env("HULL_TOOLS_ROOT", tools);
    if !is_root() {
        tests = tests.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo -E --");
    }
    tests.run("units and drivers")
}
