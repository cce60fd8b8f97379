//! The agent itself: versions, information, events, the end of it.

use crate::cli::args::{Args, EventsOptions};
use crate::cli::client::{Client, escape, filters};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::human::{self, point_in_time};
use crate::cli::json::Json;
use crate::cli::template::Template;
use clap::CommandFactory as _;
use http_body_util::BodyExt as _;
use hyper::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// A `--format` that may be `json`.
fn template(format: Option<&str>) -> Result<Option<Template>, Failure> {
    match format {
        None | Some("") => Ok(None),
        Some("json") => Template::parse("{{json .}}").map(Some),
        Some(format) => Template::parse(format).map(Some),
    }
}

/// The architecture this program was built for, as images and Docker spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `hull version`
pub(crate) async fn version(client: &Client, format: Option<&str>) -> Outcome {
    let template = template(format)?;
    let us = Json::texts([
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("ApiVersion", hull_api_docker::MAX_API_VERSION.to_owned()),
        ("Os", std::env::consts::OS.to_owned()),
        ("Arch", architecture().to_owned()),
    ]);
    let server: Result<Json, Failure> = client.get("/version").await;
    let mut out = std::io::stdout();
    if let Some(template) = template {
        let fields = [("Client".to_owned(), us), ("Server".to_owned(), server?)];
        writeln!(out, "{}", template.render(&Json::Object(fields.into()))?)?;
        return Ok(0);
    }
    writeln!(out, "Client: Hull\n Version:           {}", us.text("Version"))?;
    writeln!(out, " API version:       {}", us.text("ApiVersion"))?;
    writeln!(out, " OS/Arch:           {}/{}", us.text("Os"), us.text("Arch"))?;
    let server = server?;
    let name = server.get("Platform").map(|p| p.text("Name")).unwrap_or_default();
    writeln!(out, "\nServer: {name}\n Version:           {}", server.text("Version"))?;
    writeln!(
        out,
        " API version:       {} (minimum version {})",
        server.text("ApiVersion"),
        server.text("MinAPIVersion")
    )?;
    writeln!(out, " OS/Arch:           {}/{}", server.text("Os"), server.text("Arch"))?;
    writeln!(out, " Kernel:            {}", server.text("KernelVersion"))?;
    Ok(0)
}

/// `hull info`
pub(crate) async fn info(client: &Client, format: Option<&str>) -> Outcome {
    let template = template(format)?;
    let info: Json = client.get("/info").await?;
    let mut out = std::io::stdout();
    if let Some(template) = template {
        writeln!(out, "{}", template.render(&info)?)?;
        return Ok(0);
    }
    let rows = [
        ("Name", "Name"),
        ("Operating System", "OperatingSystem"),
        ("Kernel Version", "KernelVersion"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Server Version", "ServerVersion"),
        ("Containers", "Containers"),
        (" Running", "ContainersRunning"),
        (" Stopped", "ContainersStopped"),
        ("Images", "Images"),
        ("Storage Driver", "Driver"),
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Default Runtime", "DefaultRuntime"),
    ];
    for (name, key) in rows {
        let value = match info.get(key) {
            Some(Json::Text(text)) => text.clone(),
            Some(value) => value.write(false),
            None => continue,
        };
        writeln!(out, "{name}: {value}")?;
    }
    if let Some(Json::Number(memory)) = info.get("MemTotal") {
        writeln!(out, "Total Memory: {}", human::memory(memory.as_u64().unwrap_or(0)))?;
    }
    Ok(0)
}

/// `hull events`
pub(crate) async fn events(client: &Client, options: &EventsOptions) -> Outcome {
    let template = template(options.format.as_deref())?;
    let mut query = vec![filters(&options.filter)?];
    for (name, time) in [("since", &options.since), ("until", &options.until)] {
        if let Some(time) = time {
            query.push(format!("{name}={}", escape(&point_in_time(time, Timestamp::now())?)));
        }
    }
    query.retain(|part| !part.is_empty());
    let path = format!("/events?{}", query.join("&"));
    let mut body = client.open(Method::GET, &path, None).await?.into_body();
    let mut pending = Vec::new();
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the events broke off: {e}")))?;
        pending.extend(part.data_ref().into_iter().flatten());
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
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
    let at = match event.get("timeNano") {
        Some(Json::Number(nanoseconds)) => {
            Timestamp::from_nanosecond(nanoseconds.as_i64().unwrap_or(0).into()).unwrap_or_default()
        }
        _ => Timestamp::default(),
    };
    let at = at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string();
    let actor = event.get("Actor").cloned().unwrap_or_default();
    let mut attributes: Vec<String> = Vec::new();
    if let Some(Json::Object(fields)) = actor.get("Attributes") {
        attributes.extend(fields.iter().map(|(key, _)| {
            format!("{key}={}", actor.get("Attributes").map(|a| a.text(key)).unwrap_or_default())
        }));
    }
    let head = format!("{at} {} {} {}", event.text("Type"), event.text("Action"), actor.text("ID"));
    if attributes.is_empty() { head } else { format!("{head} ({})", attributes.join(", ")) }
}

/// `hull system reset`
pub(crate) async fn reset(client: &Client, force: bool) -> Outcome {
    if !force {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                "hull system reset ends every container: give --force to do it without being asked",
            ));
        }
        eprint!(
            "WARNING! This ends every container, removes all networks, and ends the agent.\nAre you sure you want to continue? [y/N] "
        );
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::new("Nothing was changed."));
        }
    }
    client.call(Method::POST, "/hull/v1/reset", None).await?;
    writeln!(
        std::io::stdout(),
        "Every container and network was removed; images and volumes are kept. The agent ends."
    )?;
    Ok(0)
}

/// `hull completion`
pub(crate) fn completion(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "hull", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_on_one_line() {
        let event = r#"{"Type":"container","Action":"die","Actor":{"ID":"abc","Attributes":{"exitCode":"3","name":"web"}},"timeNano":1500000000}"#;
        let event: Json = serde_json::from_str(event).unwrap();
        let line = event_line(&event, &TimeZone::UTC);
        assert_eq!(line, "1970-01-01T00:00:01.500000000+00:00 container die abc (exitCode=3, name=web)");
    }
}
