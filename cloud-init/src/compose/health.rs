//! `healthcheck`.

use super::shell_words;
use crate::node::{Node, Read};
use hull_model::{Healthcheck, parse_duration};

/// Reads `healthcheck`.
pub(super) fn healthcheck(node: &Node<'_>) -> Read<Healthcheck> {
    let mut check = Healthcheck::default();
    for (key, value) in node.entries("healthcheck: {test: curl -f http://localhost}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "test" => check.test = test(&value)?,
            "interval" => check.interval = nanoseconds(&value)?,
            "timeout" => check.timeout = nanoseconds(&value)?,
            "start_period" => check.start_period = nanoseconds(&value)?,
            "start_interval" => check.start_interval = nanoseconds(&value)?,
            "retries" => check.retries = value.integer(0..=1_000_000)? as i64,
            "disable" if value.boolean()? => check.test = vec!["NONE".to_owned()],
            "disable" => {}
            _ => return Err(node.unknown(key, KEYS)),
        }
    }
    Ok(check)
}

const KEYS: [&str; 7] =
    ["test", "interval", "timeout", "start_period", "start_interval", "retries", "disable"];

/// A line for the image's shell, or a list that begins with what it is.
fn test(node: &Node<'_>) -> Read<Vec<String>> {
    let example = "[\"CMD\", \"true\"]";
    if !node.value().is_sequence() {
        let line = node.text("curl -f http://localhost")?;
        // What a shell would not understand either.
        shell_words::split(line).map_err(|reason| node.issue(reason, "close the quotes"))?;
        return Ok(vec!["CMD-SHELL".to_owned(), line.to_owned()]);
    }
    let words = node.items(example)?.iter().map(|item| item.scalar(example)).collect::<Read<Vec<_>>>()?;
    match (words.first().map(String::as_str), words.len()) {
        (Some("NONE"), 1) | (Some("CMD-SHELL"), 2) | (Some("CMD"), 2..) => Ok(words),
        _ => Err(node
            .issue("a test is NONE, CMD with words, or CMD-SHELL with one line", "begin the list with CMD")),
    }
}

fn nanoseconds(node: &Node<'_>) -> Read<i64> {
    let duration =
        parse_duration(node.text("30s")?).map_err(|e| node.issue(e.to_string(), "write it like 30s"))?;
    i64::try_from(duration.as_nanos()).map_err(|_| node.issue("it is too long", "write it like 30s"))
}
