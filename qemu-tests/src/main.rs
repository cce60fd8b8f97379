//! Whole machines: the demo that people see, and the scenarios that must hold before a change lands.
//!
//! Everything runs from the toolbox that `image-builder` makes, on loopback and QEMU's user networking.

mod demo;
mod guest;
mod http;
mod registry;
mod scenarios;
mod seed;
mod session;
mod wait;

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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = Session::open(&cli.work, &cli.image).and_then(|session| match cli.action {
        Action::Demo { check } => demo::run(&session, check),
        Action::Scenario { name } => scenarios::run(&session, &name),
        Action::List => {
            scenarios::list();
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
