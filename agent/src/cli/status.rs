//! `hull status`: what the host should be, what it is, and what is being done about it, on one screen.

use crate::cli::Context;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::human::{ago, until};
use crate::cli::table;
use hull_model::{Condition, ContainerSummary, HostStatus, Phase, Severity};
use hyper::Method;
use jiff::Timestamp;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often the agent is asked again.
const INTERVAL: Duration = Duration::from_millis(500);
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows the status.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    if !matches!(given.text("format"), "text" | "json") {
        return Err(Failure::new(format!(
            "invalid value {:?} for --format: it is text or json",
            given.text("format")
        )));
    }
    if given.on("watch") && (given.on("check") || given.changed("wait")) {
        return Err(Failure::new(
            "conflicting options: --watch never ends, so it goes neither with --check nor with --wait",
        ));
    }
    if given.on("watch") {
        return watch(client, given).await;
    }
    let mut in_time = true;
    if given.changed("wait") {
        let limit = match given.text("wait") {
            "" => None,
            text => Some(
                hull_model::parse_duration(text)
                    .map_err(|e| Failure::new(format!("invalid value for --wait: {e}")))?,
            ),
        };
        in_time = wait(client, limit).await?;
    }
    let (status, text) = read(client, given).await?;
    std::io::stdout().write_all(text.as_bytes())?;
    if !in_time {
        return Err(Failure::new("The host did not become ready in time."));
    }
    Ok(i32::from(given.on("check") && status.phase != Phase::Ready))
}

/// The status and how it is shown.
async fn read(client: &Client, given: &Given) -> Result<(HostStatus, String), Failure> {
    let bytes = client.call(Method::GET, "/hull/v1/status", None).await?;
    let status: HostStatus = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::new(format!("the status cannot be understood: {e}")))?;
    let text = match given.text("format") {
        "json" => serde_json::to_string_pretty(&status).unwrap_or_default() + "\n",
        _ => screen(&printable(&bytes)?, Timestamp::now(), colours()),
    };
    Ok((status, text))
}

/// The status without anything that a terminal would take for an order: images and documents put words into it.
fn printable(bytes: &[u8]) -> Result<HostStatus, Failure> {
    fn clean(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) if text.contains(char::is_control) => {
                *text =
                    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(clean),
            serde_json::Value::Object(values) => values.values_mut().for_each(clean),
            _ => {}
        }
    }
    let understood = serde_json::from_slice(bytes).and_then(|mut value| {
        clean(&mut value);
        serde_json::from_value(value)
    });
    understood.map_err(|e| Failure::new(format!("the status cannot be understood: {e}")))
}

fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Waits until the host is ready. An agent that is not there yet is waited for too. `false` if the time is over.
async fn wait(client: &Client, limit: Option<Duration>) -> Result<bool, Failure> {
    let begun = Instant::now();
    loop {
        let asked = client.get::<HostStatus>("/hull/v1/status").await;
        if asked.as_ref().is_ok_and(|status| status.phase == Phase::Ready) {
            return Ok(true);
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            return asked.map(|_| false);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn watch(client: &Client, given: &Given) -> Outcome {
    let (mut shown, mut known) = (String::new(), None);
    let on_screen = std::io::stdout().is_terminal();
    loop {
        let (mut status, text) = read(client, given).await?;
        status.at = None;
        let known_before = known.replace(status);
        // On a screen ages grow; in a file only what changed is worth another page.
        let changed = if on_screen { text != shown } else { known != known_before };
        if changed {
            let before = match (on_screen, &known_before) {
                (true, _) => CLEAR,
                (false, Some(_)) => "\n",
                (false, None) => "",
            };
            let mut out = std::io::stdout();
            write!(out, "{before}{text}")?;
            out.flush()?;
            shown = text;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Text in a colour, if there are any.
fn paint(text: &str, code: &str, colours: bool) -> String {
    if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn phase(phase: Phase, colours: bool) -> String {
    let (word, code) = match phase {
        Phase::Starting => ("Starting", "1;36"),
        Phase::Progressing => ("Progressing", "1;33"),
        Phase::Ready => ("Ready", "1;32"),
        Phase::Degraded => ("Degraded", "1;31"),
    };
    paint(word, code, colours)
}

/// The whole screen.
fn screen(status: &HostStatus, now: Timestamp, colours: bool) -> String {
    let host = &status.host;
    let mut lines = vec![format!("{}  {}", name(status), phase(status.phase, colours))];
    let generation = match status.generation == status.observed_generation {
        true => status.generation.to_string(),
        false => format!("{} (the host is still at {})", status.generation, status.observed_generation),
    };
    let deployment = host.deployment.as_ref().map(|d| {
        let commit: String = d.commit.chars().take(12).collect();
        if d.slot.is_empty() { commit } else { format!("{commit} (slot {})", d.slot) }
    });
    let os = if host.os.contains(&host.os_version) || host.os_version.is_empty() {
        host.os.clone()
    } else {
        format!("{} {}", host.os, host.os_version)
    };
    let facts = [
        ("OS", os),
        ("Kernel", host.kernel.clone()),
        ("Deployment", deployment.unwrap_or_default()),
        ("Generation", generation),
        ("Source", status.datasource.clone()),
        ("Agent", status.agent_version.clone()),
    ];
    lines.extend(facts.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("  {k:<11} {v}")));
    let mut text = lines.join("\n") + "\n";
    text += &containers(&status.containers, now, colours);
    text += &section(
        "Being done",
        status.in_progress.iter().map(|step| {
            let detail = if step.detail.is_empty() { String::new() } else { format!("  {}", step.detail) };
            format!(
                "  {}{detail}  (since {})",
                step.key,
                hull_api_docker::human::duration(now.duration_since(step.since)).to_lowercase()
            )
        }),
    );
    text += &section("Not as it should be", status.conditions.iter().map(|c| condition(c, now, colours)));
    text += &section(
        "Problems with the inputs",
        status.problems.iter().map(|problem| {
            let (word, code) = match problem.severity {
                Severity::Error => ("error", "31"),
                Severity::Warning => ("warning", "33"),
            };
            format!("  {} {problem}", paint(word, code, colours))
        }),
    );
    text
}

fn name(status: &HostStatus) -> String {
    match status.host.hostname.as_str() {
        "" => "this host".to_owned(),
        name => name.to_owned(),
    }
}

fn section(title: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { String::new() } else { format!("\n{title}\n{}\n", lines.join("\n")) }
}

fn containers(containers: &[ContainerSummary], now: Timestamp, colours: bool) -> String {
    if containers.is_empty() {
        return "\nNo containers are declared.\n".to_owned();
    }
    let row = |c: &ContainerSummary| {
        let since = c.since.map(|t| ago(t, now)).unwrap_or_default();
        let addresses: Vec<String> =
            c.addresses.iter().map(|(network, ip)| format!("{network} {ip}")).collect();
        [
            c.name.clone(),
            c.state.clone(),
            since,
            c.restarts.to_string(),
            c.image.clone(),
            c.ports.join(", "),
            addresses.join(", "),
        ]
        .join("\t")
    };
    let head = ["CONTAINER", "STATE", "SINCE", "RESTARTS", "IMAGE", "PORTS", "ADDRESSES"].join("\t");
    let aligned = table::align(&std::iter::once(head).chain(containers.iter().map(row)).collect::<Vec<_>>());
    let mut lines = aligned.lines();
    let mut text = format!("\n{}\n", lines.next().unwrap_or_default().trim_end());
    for (line, container) in lines.zip(containers) {
        let code = if container.ready { "32" } else { "31" };
        // Coloured after aligning: colours have no width.
        text += &line.trim_end().replacen(&container.state, &paint(&container.state, code, colours), 1);
        text.push('\n');
    }
    text
}

fn condition(condition: &Condition, now: Timestamp, colours: bool) -> String {
    let mut text = format!("  {}: {}", paint(&condition.object, "1", colours), condition.reason);
    text += &format!(
        " (since {})",
        hull_api_docker::human::duration(now.duration_since(condition.since)).to_lowercase()
    );
    if !condition.remedy.is_empty() {
        text += &format!("\n    what to do: {}", condition.remedy);
    }
    text += &match condition.retry {
        Some(retry) if retry > now => format!("\n    tried again in {}", until(retry, now)),
        Some(_) => "\n    being tried again now".to_owned(),
        None => "\n    not tried again until the input changes".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{DeploymentRecord, Generation, HostFacts, InProgress, Problem, StepKey};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn degraded() -> HostStatus {
        let summary = |name: &str, state: &str, ready| ContainerSummary {
            name: name.into(),
            image: format!("{name}:1"),
            state: state.into(),
            ready,
            since: Some(at(880)),
            restarts: u32::from(!ready),
            ports: if ready { vec!["8080->80/tcp".into()] } else { vec![] },
            addresses: if ready {
                [("front".to_owned(), "10.89.0.2".to_owned())].into()
            } else {
                Default::default()
            },
        };
        let condition = |retry| Condition {
            object: "image db:1".into(),
            reason: "pulling: connection refused".into(),
            remedy: "start the registry".into(),
            retry,
            since: at(940),
        };
        HostStatus {
            phase: Phase::Degraded,
            generation: Generation(4),
            observed_generation: Generation(3),
            datasource: "nocloud (label cidata)".into(),
            host: HostFacts {
                hostname: "edge-1".into(),
                os: "Hull OS 1".into(),
                os_version: "1".into(),
                kernel: "6.18".into(),
                deployment: Some(DeploymentRecord { commit: "0123456789abcdef".into(), slot: "a".into() }),
                ..HostFacts::default()
            },
            agent_version: "0.1.0".into(),
            containers: vec![summary("web", "running", true), summary("db", "missing", false)],
            in_progress: vec![InProgress {
                key: StepKey { action: "pull".into(), object: "image job:1".into() },
                since: at(970),
                detail: "12.3 MB of 40.1 MB".into(),
            }],
            conditions: vec![condition(Some(at(1_008))), condition(None)],
            problems: vec![Problem {
                severity: Severity::Warning,
                source: "user-data".into(),
                object: "packages".into(),
                reason: "packages cannot be installed".into(),
                remedy: "run them in a container".into(),
            }],
            at: Some(at(1_000)),
        }
    }

    #[test]
    fn one_screen_says_it_all() {
        let golden = "\
edge-1  Degraded
  OS          Hull OS 1
  Kernel      6.18
  Deployment  0123456789ab (slot a)
  Generation  4 (the host is still at 3)
  Source      nocloud (label cidata)
  Agent       0.1.0

CONTAINER   STATE     SINCE           RESTARTS   IMAGE     PORTS          ADDRESSES
web         running   2 minutes ago   0          web:1     8080->80/tcp   front 10.89.0.2
db          missing   2 minutes ago   1          db:1

Being done
  pull image job:1  12.3 MB of 40.1 MB  (since 30 seconds)

Not as it should be
  image db:1: pulling: connection refused (since about a minute)
    what to do: start the registry
    tried again in 8 seconds
  image db:1: pulling: connection refused (since about a minute)
    what to do: start the registry
    not tried again until the input changes

Problems with the inputs
  warning user-data: packages: packages cannot be installed (run them in a container)
";
        assert_eq!(screen(&degraded(), at(1_000), false), golden);
    }

    #[test]
    fn what_others_wrote_gives_a_terminal_no_orders() {
        let mut status = degraded();
        status.conditions[0].reason = "\u{1b}[2Jgone\u{9b}31m\ttab".into();
        let shown = printable(&serde_json::to_vec(&status).unwrap()).unwrap();
        assert_eq!(shown.conditions[0].reason, "\u{fffd}[2Jgone\u{fffd}31m\u{fffd}tab");
    }

    #[test]
    fn colours_add_no_text() {
        let plain = screen(&degraded(), at(1_000), false);
        let mut coloured = screen(&degraded(), at(1_000), true);
        assert!(coloured.contains("\x1b[1;31mDegraded\x1b[0m"));
        while let Some(start) = coloured.find('\x1b') {
            let end = coloured[start..].find('m').unwrap();
            coloured.replace_range(start..=start + end, "");
        }
        assert_eq!(coloured, plain);
    }

    #[test]
    fn an_agent_that_has_not_looked_yet_is_shown() {
        let text = screen(&HostStatus::default(), at(0), false);
        assert!(
            text.starts_with("this host  Starting\n") && text.contains("No containers are declared."),
            "{text}"
        );
    }
}
