//! Whole machines: the demo that people see, and the scenarios that must hold before a change lands.
//!
//! Everything runs from the toolbox that `image-builder` makes, on loopback and QEMU's user networking.

mod bench;
mod compare;
mod demo;
mod engines;
mod guest;
mod http;
mod registry;
mod scenarios;
mod seed;
mod session;
mod wait;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use session::Session;
use std::path::PathBuf;
use std::process::ExitCode;

/// Boots Hull's OS image and looks at what it does.
#[derive(Debug, Parser)]
#[command(name = "qemu-tests", version)]
struct Cli {
    /// Where the toolbox is kept, and what machines leave behind.
    #[arg(long, global = true, default_value = "target/hull")]
    work: PathBuf,
    /// The OS image to boot.
    #[arg(long, global = true, default_value = "target/hull/out/hull.qcow2")]
    image: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Boot the demo: a web server and a client of it, from a registry on this machine. Stays up until Ctrl-C.
    Demo {
        /// End successfully once the demo has answered and the host says it is ready.
        #[arg(long)]
        check: bool,
    },
    /// Run one scenario, or all of them.
    Scenario {
        /// Its name, or `all`.
        name: String,
    },
    /// List the scenarios.
    List,
    /// Measure: `start`, `run`.
    Bench {
        /// What.
        name: String,
    },
    /// Compare our answers with those of Docker's own engine, field by field.
    Compare,
    /// Run a command once for each line read, and print how many nanoseconds it took.
    #[command(hide = true)]
    BenchWorker {
        /// The command.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let session = || Session::open(&cli.work, &cli.image);
    match cli.action {
        Action::Demo { check } => demo::run(&session()?, check),
        Action::Scenario { name } => scenarios::run(&session()?, &name),
        Action::Bench { name } => match name.as_str() {
            "start" => bench::start(&session()?),
            "run" => bench::run(&session()?, &cli.work),
            _ => bail!("there is no benchmark {name:?}; there are: start, run"),
        },
        Action::Compare => compare::run(&session()?, &cli.work),
        Action::BenchWorker { command } => bench::worker(&command),
        Action::List => {
            scenarios::list();
            Ok(())
        }
    }
}
