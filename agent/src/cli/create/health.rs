//! How a container's health is checked.

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use serde_json::{Value, json};

/// The check; `None` if nothing is said about it.
pub(super) fn read(given: &Given) -> Result<Option<Value>, Failure> {
    let times = [
        ("health-interval", "Interval"),
        ("health-timeout", "Timeout"),
        ("health-start-period", "StartPeriod"),
        ("health-start-interval", "StartInterval"),
    ];
    let said = times.iter().any(|(flag, _)| given.nanoseconds(flag) != 0)
        || given.number("health-retries") != 0
        || given.some("health-cmd").is_some();
    if given.on("no-healthcheck") {
        return match said {
            true => Err(Failure::new("--no-healthcheck conflicts with --health-* options")),
            false => Ok(Some(json!({ "Test": ["NONE"] }))),
        };
    }
    if !said {
        return Ok(None);
    }
    let mut check = json!({ "Retries": given.number("health-retries") });
    if let Some(command) = given.some("health-cmd") {
        check["Test"] = json!(["CMD-SHELL", command]);
    }
    for (flag, key) in times {
        if given.nanoseconds(flag) < 0 {
            return Err(Failure::new(format!("--{flag} cannot be negative")));
        }
        check[key] = json!(given.nanoseconds(flag));
    }
    if given.number("health-retries") < 0 {
        return Err(Failure::new("--health-retries cannot be negative"));
    }
    Ok(Some(check))
}
