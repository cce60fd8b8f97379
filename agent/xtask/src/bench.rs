//! Us beside our peers, in one run.

use crate::build;
use crate::command::Step;
use anyhow::{Result, bail};

/// Runs one benchmark.
pub(crate) fn run(name: &str) -> Result<()> {
    if name != "start" {
        bail!("there is no benchmark {name:?}; there is: start");
    }
    build::programs()?;
    build::toolbox()?;
    Step::root(build::program("qemu-tests"))
        .args(["--work", build::WORK, "bench", name])
        .run("starting one container, us beside crun")
}
