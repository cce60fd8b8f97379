//! What must hold for a whole machine. One boot each, more where the scenario is about booting.

mod bad_input;
mod boot;
mod everyday;
mod no_network;

use crate::session::Session;
use anyhow::{Context as _, Result, bail};
use std::time::Instant;

/// A scenario: its name, what it shows, and how.
type Scenario = (&'static str, &'static str, fn(&Session) -> Result<()>);

const SCENARIOS: &[Scenario] = &[
    ("boot", "the demo comes up, survives kill -9 of the agent and a reboot, and keeps its data", boot::run),
    (
        "everyday",
        "containers, images, volumes and networks by docker and by hull, as people type it",
        everyday::run,
    ),
    ("bad-input", "a broken document leaves a host that is reachable and says what is wrong", bad_input::run),
    ("no-network", "without a network the host boots, and catches up when there is one", no_network::run),
];

/// Prints the scenarios.
pub(crate) fn list() {
    for (name, shows, _) in SCENARIOS {
        println!("{name:12} {shows}");
    }
}

/// Runs one scenario, or all.
pub(crate) fn run(session: &Session, name: &str) -> Result<()> {
    let chosen: Vec<_> = SCENARIOS.iter().filter(|(n, ..)| name == "all" || name == *n).collect();
    if chosen.is_empty() {
        bail!("there is no scenario {name:?}; `cargo xtask scenario list` shows them");
    }
    for (name, shows, scenario) in chosen {
        println!("scenario {name}: {shows}");
        let begun = Instant::now();
        scenario(session).with_context(|| format!("scenario {name}"))?;
        println!("scenario {name}: passed in {:.0} s", begun.elapsed().as_secs_f64());
    }
    Ok(())
}
