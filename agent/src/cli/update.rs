//! `hull update`: what containers may use.

use crate::cli::client::name;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, create, report};
use serde_json::Value;
use std::io::Write as _;

/// Changes containers; warnings come last.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    if given.is_bare() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let mut document = Value::Object(create::resources(given));
    if given.changed("restart") {
        document["RestartPolicy"] = create::restart(given.text("restart"))?;
    }
    // Nothing is said about the number of processes unless it was asked for.
    if !given.changed("pids-limit") {
        document.as_object_mut().into_iter().for_each(|d| _ = d.remove("PidsLimit"));
    }
    let (mut failed, mut warnings): (Option<Failure>, Vec<String>) = (None, Vec::new());
    for container in &given.args {
        match context.client.post(&format!("/containers/{}/update", name(container)), Some(&document)).await {
            Ok(answer) => {
                writeln!(std::io::stdout(), "{container}")?;
                let said = answer["Warnings"].as_array().into_iter().flatten();
                warnings.extend(said.filter_map(Value::as_str).map(str::to_owned));
            }
            Err(failure) => report(&mut failed, failure),
        }
    }
    if !warnings.is_empty() {
        writeln!(std::io::stdout(), "{}", warnings.join("\n"))?;
    }
    failed.map_or(Ok(0), Err)
}
