//! Values of single keys about a process: its image, words, place, user, names and signals, and what it waits for.

use super::shell_words;
use crate::cloud_config::is_hostname;
use crate::node::{Node, Read};
use hull_model::{Reference, parse_duration};

pub(super) fn image(node: &Node<'_>) -> Read<Reference> {
    let text = node.text("image: registry.example.org/team/app:1")?;
    Reference::parse(text).map_err(|e| {
        let cause = std::error::Error::source(&e).map_or(String::new(), |cause| format!(": {cause}"));
        node.issue(format!("{e}{cause}"), "write it like registry.example.org/team/app:1")
    })
}

pub(super) fn command(node: &Node<'_>) -> Read<Vec<String>> {
    let example = "[\"httpd\", \"-f\"] or \"httpd -f\"";
    match node.value() {
        serde_yaml::Value::Sequence(_) => {
            let words: Vec<String> =
                node.items(example)?.iter().map(|item| item.scalar(example)).collect::<Read<_>>()?;
            match words.iter().any(|word| word.contains('\0')) {
                true => Err(node.issue("a word holds a NUL byte", "remove it")),
                false => Ok(words),
            }
        }
        _ => {
            let words = shell_words::split(node.text(example)?);
            words.map_err(|reason| node.issue(reason, format!("write it like {example}")))
        }
    }
}

pub(super) fn working_dir(node: &Node<'_>) -> Read<std::path::PathBuf> {
    let text = node.text("/srv")?;
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(text.into());
    }
    Err(node.issue(format!("{text:?} is not an absolute path"), "write it like /srv"))
}

pub(super) fn user(node: &Node<'_>) -> Read<String> {
    let text = node.scalar("\"1000:1000\"")?;
    let (user, group) = text.split_once(':').unwrap_or((&text, "0"));
    let plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b":/".contains(&b));
    if plain(user) && plain(group) {
        return Ok(text);
    }
    Err(node.issue(format!("{text:?} is not a user"), "write it like \"1000:1000\" or www-data"))
}

pub(super) fn hostname(node: &Node<'_>) -> Read<String> {
    let text = node.text("web")?;
    if is_hostname(text) {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not a host name"), "use letters, digits and '-'"))
}

/// Signals by name or number (signal(7)).
pub(super) fn signal(node: &Node<'_>) -> Read<String> {
    const SIGNALS: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let text = node.scalar("SIGTERM")?.to_ascii_uppercase();
    let bare = text.strip_prefix("SIG").unwrap_or(&text);
    let real_time = |text: &str| text.starts_with("RTMIN") || text.starts_with("RTMAX");
    if bare.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n)) {
        return Ok(bare.to_owned());
    }
    if SIGNALS.contains(&bare) || real_time(bare) {
        return Ok(format!("SIG{bare}"));
    }
    Err(node.issue(format!("there is no signal {text:?}"), "write it like SIGTERM"))
}

/// A duration in whole seconds, rounded up.
pub(super) fn seconds(node: &Node<'_>) -> Read<u64> {
    let duration = parse_duration(node.text("\"1m30s\"")?);
    let duration = duration.map_err(|e| node.issue(e.to_string(), "write it like \"30s\""))?;
    Ok(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

/// Services, each with its place. Only the order of starting is honoured.
pub(super) fn depends_on(node: &Node<'_>) -> Read<Vec<(String, String)>> {
    if !node.value().is_mapping() {
        let service = |item: &Node<'_>| Ok((item.text("db")?.to_owned(), item.path().to_owned()));
        return node.items("depends_on: [db]")?.iter().map(service).collect();
    }
    let mut services = Vec::new();
    for (service, conditions) in node.entries("depends_on: {db: {condition: service_started}}")? {
        let entries = if conditions.is_null() {
            Vec::new()
        } else {
            conditions.entries("{condition: service_started}")?
        };
        for (key, value) in entries {
            match (key, value.value().as_str()) {
                ("condition", Some("service_started")) => {}
                ("condition", _) => {
                    let reason = "only the condition service_started is supported yet";
                    return Err(value
                        .issue(reason, "write condition: service_started, and let the process try again"));
                }
                ("required", _) if value.boolean()? => {}
                ("restart", _) if !value.boolean()? => {}
                ("required" | "restart", _) => {
                    return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
                }
                _ => return Err(conditions.unknown(key, ["condition", "required", "restart"])),
            }
        }
        services.push((service.to_owned(), conditions.path().to_owned()));
    }
    Ok(services)
}
