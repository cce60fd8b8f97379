//! `hull events`: what happens, as it happens.

use crate::cli::Context;
use crate::cli::client::{filter_pair, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::human::point_in_time;
use crate::cli::json::Json;
use crate::cli::template::Template;
use http_body_util::BodyExt as _;
use hyper::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::Write as _;

/// Shows events until they end.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let template = match given.some("format") {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let mut pairs = Vec::new();
    for flag in ["since", "until"] {
        if let Some(time) = given.some(flag) {
            pairs.push((flag, point_in_time(time, Timestamp::now())?));
        }
    }
    pairs.extend(filter_pair(&given.list("filter")));
    let mut body =
        context.client.open(Method::GET, &format!("/events{}", query(pairs)), None).await?.into_body();
    let mut pending = Vec::new();
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the events broke off: {e}")))?;
        pending.extend(part.data_ref().into_iter().flatten());
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event: Json = serde_json::from_slice(&line)
                .map_err(|e| Failure::new(format!("an event cannot be understood: {e}")))?;
            let text = match &template {
                Some(template) => template.render(&event)?,
                None => event_line(&event, &TimeZone::system()),
            };
            writeln!(std::io::stdout(), "{text}")?;
        }
    }
    Ok(0)
}

/// `2026-01-31T12:00:00.000000000Z container start ID (image=web, name=web)`
fn event_line(event: &Json, zone: &TimeZone) -> String {
    let number = |key: &str| match event.get(key) {
        Some(Json::Number(number)) => number.as_i64(),
        _ => None,
    };
    let at = match (number("timeNano"), number("time")) {
        (Some(nanoseconds), _) => Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default(),
        (None, seconds) => Timestamp::from_second(seconds.unwrap_or(0)).unwrap_or_default(),
    };
    let at = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string();
    let at = at.replace("+00:00", "Z");
    let actor = event.get("Actor").cloned().unwrap_or_default();
    let mut attributes: Vec<String> = Vec::new();
    if let Some(Json::Object(fields)) = actor.get("Attributes") {
        let text =
            |value: &Json| if let Json::Text(text) = value { text.clone() } else { value.write(false) };
        attributes.extend(fields.iter().map(|(key, value)| format!("{key}={}", text(value))));
    }
    attributes.sort();
    let head = format!("{at} {} {} {}", event.text("Type"), event.text("Action"), actor.text("ID"));
    if attributes.is_empty() { head } else { format!("{head} ({})", attributes.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_on_one_line() {
        let event = r#"{"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"name":"web","exitCode":"3"}},"timeNano":1500000000}"#;
        let event: Json = serde_json::from_str(event).unwrap();
        let line = event_line(&event, &TimeZone::UTC);
        assert_eq!(line, "1970-01-01T00:00:01.500000000Z container die abc (exitCode=3, name=web)");
    }
}
