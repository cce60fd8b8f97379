//! The project's own commands: `cargo xtask help`.
//!
//! This program decides what is run in which order, and does nothing itself that a crate of the workspace does.

mod architecture;
mod bench;
mod build;
mod command;
mod test;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use command::Step;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Builds, runs and tests Hull.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Start here:
  cargo xtask run          build everything, boot the OS image in QEMU, show what it serves
  cargo xtask test         run every test, as CI does

Both install what they need on a Debian machine. They ask for root through sudo where they are not started by root."
)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build the agent and an OS image, boot it with the demo, and print how to reach it. Ctrl-C ends it.
    Run {
        /// End with success once the demo workload has answered over its published port.
        #[arg(long)]
        check: bool,
    },
    /// Run every test: style, architecture, units, drivers, whole machines.
    Test {
        /// Leave out what boots machines.
        #[arg(long)]
        quick: bool,
    },
    /// Build OS images.
    Image {
        /// Formats: raw, qcow2, raw-zst; several with commas.
        #[arg(long, default_value = "qcow2")]
        format: String,
        /// Where they go.
        #[arg(long, default_value = "target/hull/out")]
        out: PathBuf,
        /// Build the commit twice and compare, instead.
        #[arg(long)]
        verify_reproducible: bool,
    },
    /// Run one whole-system scenario, or `all`; `list` shows them.
    Scenario {
        /// Its name.
        name: String,
    },
    /// Measure us beside our peers, print a table, write JSON to target/hull/bench.
    Bench {
        /// What: `start` (a bare bundle, beside crun), `run` (the whole command, beside docker and podman).
        #[arg(default_value = "start")]
        name: String,
    },
    /// Compare our answers to Docker's API with those of Docker's own engine, field by field.
    Compare,
    /// Check style and architecture only.
    Check,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let begun = Instant::now();
    let (what, done) = match cli.action {
        Action::Run { check } => ("run", run(check)),
        Action::Test { quick } => ("test", test::all(quick)),
        Action::Image { format, out, verify_reproducible } => {
            ("image", image(&format, &out, verify_reproducible))
        }
        Action::Scenario { name } => ("scenario", scenario(&name)),
        Action::Bench { name } => ("bench", bench::run(&name)),
        Action::Compare => ("compare", compare()),
        Action::Check => ("check", test::check()),
    };
    let seconds = begun.elapsed().as_secs_f64();
    match done {
        Ok(()) => {
            println!("xtask {what}: done in {seconds:.0} s");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("xtask {what}: failed after {seconds:.0} s: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<()> {
    build::programs()?;
    build::image("qcow2", build::IMAGES.as_ref())?;
    let mut demo = Step::root(build::program("qemu-tests")).arg("demo");
    if check {
        demo = demo.arg("--check");
    }
    demo.run("the demo")
}

fn image(format: &str, out: &std::path::Path, verify: bool) -> Result<()> {
    build::programs()?;
    if verify { build::verify_reproducible() } else { build::image(format, out) }
}

fn compare() -> Result<()> {
    build::programs()?;
    build::toolbox()?;
    Step::root(build::program("qemu-tests")).arg("compare").run("the comparison")
}

fn scenario(name: &str) -> Result<()> {
    // Before minutes of building: the list needs no image, and neither does a wrong name.
    build::scenarios()?;
    let known = Step::new(build::program("qemu-tests")).arg("list").output("listing the scenarios")?;
    if name == "list" {
        print!("{known}");
        return Ok(());
    }
    if name != "all" && !known.lines().any(|line| line.split_whitespace().next() == Some(name)) {
        bail!("there is no scenario {name:?}; `cargo xtask scenario list` shows them");
    }
    build::programs()?;
    build::image("qcow2", build::IMAGES.as_ref())?;
    Step::root(build::program("qemu-tests")).args(["scenario", name]).run("the scenario")
}
