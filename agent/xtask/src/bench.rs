//! Us beside our peers, in one run.

use crate::build;
use crate::command::Step;
use anyhow::{Result, bail};

/// Runs one benchmark.
pub(crate) fn run(name: &str) -> Result<()> {
    let what = match name {
        "start" => "starting one container, us beside crun",
        "run" => "running one container, us beside docker and podman",
        _ => bail!("there is no benchmark {name:?}; there are: start, run"),
    };
    build::programs()?;
    build::toolbox()?;
    Step::root(build::program("qemu-tests")).args(["--work", build::WORK, "bench", name]).run(what)
}
