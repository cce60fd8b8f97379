//! `HEALTHCHECK [--interval=…] CMD …` and `HEALTHCHECK NONE`.

use super::words::{self, Line};
use super::{Config, SOME, required};
use crate::moment;
use serde_json::{Value, json};

/// The shortest time a check can be given, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

pub(super) fn healthcheck(config: &mut Config, line: &Line) -> Result<(), String> {
    let rest = required(line, SOME)?;
    let mut check = options(&line.flags)?;
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    let test = match kind.to_ascii_uppercase().as_str() {
        "NONE" if !command.is_empty() => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "NONE" => vec!["NONE".to_owned()],
        "CMD" if command.is_empty() => return Err("Missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => match words::json_list(command) {
            Some(list) => ["CMD".to_owned()].into_iter().chain(list?).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        other => return Err(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")),
    };
    check.insert("Test".to_owned(), json!(test));
    config.insert("Healthcheck".to_owned(), Value::Object(check));
    Ok(())
}

fn options(flags: &[(String, String)]) -> Result<Config, String> {
    let mut check = Config::new();
    for (name, value) in flags {
        let key = match name.as_str() {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                check.insert("Retries".to_owned(), json!(retries(value)?));
                continue;
            }
            _ => return Err(format!("unknown flag: --{name}")),
        };
        check.insert(key.to_owned(), json!(nanoseconds(name, value)?));
    }
    check.retain(|_, value| *value != json!(0));
    Ok(check)
}

fn nanoseconds(name: &str, text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let duration = moment::duration(text).ok_or_else(|| format!("time: invalid duration {text:?}"))?;
    match i64::try_from(duration.as_nanos()) {
        Ok(0) => Ok(0),
        Ok(short) if short < SHORTEST => Err(format!("Interval {name:?} cannot be less than 1ms")),
        Ok(good) => Ok(good),
        Err(_) => Err(format!("time: invalid duration {text:?}")),
    }
}

fn retries(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: i32 =
        text.parse().map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))?;
    u32::try_from(number).map_err(|_| format!("--retries cannot be negative ({number})"))
}
