//! Resources, restarts, ulimits, logging: what bounds a container.

use super::mounts::bytes;
use crate::node::{Node, Read};
use hull_model::{LogConfig, LogDriver, Resources, RestartPolicy, Ulimit, parse_duration};
use std::collections::BTreeMap;

/// Resource limits by the names that Compose and setrlimit(2) use.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What `deploy` says.
#[derive(Debug, Default)]
pub(super) struct Deploy {
    pub(super) replicas: Option<u32>,
    pub(super) restart: Option<RestartPolicy>,
    pub(super) resources: Resources,
}

/// Reads `deploy`.
pub(super) fn deploy(node: &Node<'_>) -> Read<Deploy> {
    let mut deploy = Deploy::default();
    for (key, value) in node.entries("deploy: {resources: {limits: {memory: 256m}}}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "replicas" => deploy.replicas = Some(replicas(&value)?),
            "resources" => deploy.resources = resources(&value)?,
            "restart_policy" => deploy.restart = Some(restart_policy(&value)?),
            "mode" if value.value().as_str() == Some("replicated") => {}
            "mode" | "endpoint_mode" | "labels" | "placement" | "rollback_config" | "update_config" => {
                return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
            }
            _ => return Err(node.unknown(key, ["replicas", "resources", "restart_policy"])),
        }
    }
    Ok(deploy)
}

/// Number of containers of one service.
pub(super) fn replicas(node: &Node<'_>) -> Read<u32> {
    Ok(node.integer(0..=1000)? as u32)
}

fn resources(node: &Node<'_>) -> Read<Resources> {
    let mut resources = Resources::default();
    for (part, section) in node.entries("{limits: {memory: 256m, cpus: \"0.5\"}}")? {
        if section.is_null() || part.starts_with("x-") {
            continue;
        }
        for (key, value) in section.entries("{memory: 256m}")? {
            match (part, key) {
                _ if value.is_null() || key.starts_with("x-") => {}
                ("limits", "memory") => resources.memory = Some(bytes(&value)?),
                ("limits", "cpus") => resources.nano_cpus = Some(nano_cpus(&value)?),
                ("limits", "pids") => resources.pids = Some(value.integer(1..=u64::MAX)?),
                ("reservations", "memory") => resources.memory_reservation = Some(bytes(&value)?),
                // A reserved CPU is the weight of one: 1024 shares.
                ("reservations", "cpus") => {
                    let shares = u128::from(nano_cpus(&value)?) * 1024 / 1_000_000_000;
                    resources.cpu_shares = Some((shares as u64).clamp(2, 262_144));
                }
                ("reservations", "devices" | "generic_resources") => {
                    return Err(value.issue(format!("{key} is not supported yet"), "remove it"));
                }
                ("limits" | "reservations", _) => {
                    return Err(section.unknown(key, ["memory", "cpus", "pids"]));
                }
                _ => return Err(node.unknown(part, ["limits", "reservations"])),
            }
        }
    }
    Ok(resources)
}

/// A number of CPUs, in units of 10⁻⁹.
pub(super) fn nano_cpus(node: &Node<'_>) -> Read<u64> {
    let text = node.scalar("\"0.5\"")?;
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && (0.001..=100_000.0).contains(n));
    let number = number.ok_or_else(|| node.expected("a number of CPUs of at least 0.001", "\"0.5\""))?;
    Ok((number * 1e9).round() as u64)
}

/// Memory and swap together; -1 is no limit of swap.
pub(super) fn memory_and_swap(node: &Node<'_>) -> Read<u64> {
    if node.scalar("1g")? == "-1" {
        return Ok(u64::MAX);
    }
    bytes(node)
}

/// Microseconds, or a duration; -1 is no limit.
pub(super) fn cpu_quota(node: &Node<'_>) -> Read<i64> {
    if node.scalar("50000")? == "-1" {
        return Ok(-1);
    }
    Ok(i64::try_from(microseconds(node)?).unwrap_or(i64::MAX))
}

/// Microseconds, or a duration, from 1 ms to 1 s.
pub(super) fn cpu_period(node: &Node<'_>) -> Read<u64> {
    let period = microseconds(node)?;
    let good = (1000..=1_000_000).contains(&period);
    if good { Ok(period) } else { Err(node.expected("a period from 1ms to 1s", "100000")) }
}

fn microseconds(node: &Node<'_>) -> Read<u64> {
    let text = node.scalar("50000")?;
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return node.integer(1000..=u64::MAX);
    }
    let duration =
        parse_duration(&text).map_err(|e| node.issue(e.to_string(), "write it like 50000 or 50ms"))?;
    Ok(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// Number of processes; -1 is no limit.
pub(super) fn pids(node: &Node<'_>) -> Read<Option<u64>> {
    match node.scalar("100")?.as_str() {
        "-1" | "0" => Ok(None),
        _ => node.integer(1..=u64::MAX).map(Some),
    }
}

/// CPUs it may run on, as `0-3,5`.
pub(super) fn cpuset(node: &Node<'_>) -> Read<String> {
    let text = node.scalar("\"0-3,5\"")?;
    let cpu = |text: &str| text.parse::<u16>().ok();
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((cpu(first), cpu(last)), (Some(first), Some(last)) if first <= last)
    };
    if text.split(',').all(part) { Ok(text) } else { Err(node.expected("a list of CPUs", "\"0-3,5\"")) }
}

/// Reads `restart`.
pub(super) fn restart(node: &Node<'_>) -> Read<RestartPolicy> {
    if node.value().as_bool() == Some(false) {
        return Ok(RestartPolicy::No);
    }
    let text = node.text("restart: unless-stopped")?;
    match text.split_once(':').unwrap_or((text, "")) {
        ("no", "") => Ok(RestartPolicy::No),
        ("always", "") => Ok(RestartPolicy::Always),
        ("unless-stopped", "") => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", "") if !text.ends_with(':') => Ok(RestartPolicy::OnFailure { max_retries: None }),
        ("on-failure", count) if count.parse::<u32>().is_ok() => {
            Ok(RestartPolicy::OnFailure { max_retries: count.parse().ok().filter(|n| *n > 0) })
        }
        _ => {
            let remedy = "use \"no\", always, unless-stopped, on-failure or on-failure:5";
            Err(node.issue(format!("unknown restart policy {text:?}"), remedy))
        }
    }
}

fn restart_policy(node: &Node<'_>) -> Read<RestartPolicy> {
    let (mut condition, mut attempts) = ("any", None);
    for (key, value) in node.entries("restart_policy: {condition: on-failure}")? {
        match key {
            _ if value.is_null() || key.starts_with("x-") => {}
            "condition" => condition = value.text("on-failure")?,
            "max_attempts" => attempts = Some(value.integer(1..=u64::from(u32::MAX))? as u32),
            "delay" | "window" => {
                let remedy = "remove it; the time between restarts grows by itself";
                return Err(value.issue(format!("{key} is not supported yet"), remedy));
            }
            _ => return Err(node.unknown(key, ["condition", "max_attempts"])),
        }
    }
    match condition {
        "none" => Ok(RestartPolicy::No),
        "on-failure" => Ok(RestartPolicy::OnFailure { max_retries: attempts }),
        "any" if attempts.is_none() => Ok(RestartPolicy::Always),
        "any" => Err(node.issue("max_attempts counts failures", "add condition: on-failure, or remove it")),
        other => Err(node.issue(format!("unknown condition {other:?}"), "use none, on-failure or any")),
    }
}

/// Reads `ulimits`: a number, or `soft` and `hard`; -1 is no limit.
pub(super) fn ulimits(node: &Node<'_>) -> Read<BTreeMap<String, Ulimit>> {
    let mut all = BTreeMap::new();
    for (name, value) in node.entries("ulimits: {nofile: 65536}")? {
        if name.starts_with("x-") {
            continue;
        }
        if !ULIMITS.contains(&name) {
            return Err(node.unknown(name, ULIMITS));
        }
        all.insert(name.to_owned(), ulimit(&value)?);
    }
    Ok(all)
}

fn ulimit(node: &Node<'_>) -> Read<Ulimit> {
    let limit = |node: &Node<'_>| match node.scalar("65536")?.as_str() {
        "-1" => Ok(u64::MAX),
        _ => node.integer(0..=u64::MAX),
    };
    if !node.value().is_mapping() {
        let both = limit(node)?;
        return Ok(Ulimit { soft: both, hard: both });
    }
    let (mut soft, mut hard) = (None, None);
    for (key, value) in node.entries("{soft: 1024, hard: 65536}")? {
        match key {
            "soft" => soft = Some(limit(&value)?),
            "hard" => hard = Some(limit(&value)?),
            _ if key.starts_with("x-") => {}
            _ => return Err(node.unknown(key, ["soft", "hard"])),
        }
    }
    match (soft, hard) {
        (Some(soft), Some(hard)) if soft <= hard => Ok(Ulimit { soft, hard }),
        (Some(_), Some(_)) => Err(node.issue("soft is above hard", "lower soft, or raise hard")),
        _ => Err(node.issue("soft and hard belong together", "write it like {soft: 1024, hard: 65536}")),
    }
}

/// Reads `logging`. Rotation is on unless it is told otherwise.
pub(super) fn logging(node: &Node<'_>) -> Read<LogConfig> {
    let mut log = LogConfig::default();
    let entries = node.entries("logging: {options: {max-size: 10m, max-file: \"3\"}}")?;
    for (key, value) in entries.iter().filter(|(key, value)| !value.is_null() && !key.starts_with("x-")) {
        match *key {
            "driver" => {
                let name = value.text("json-file")?;
                log.driver = log_driver(name).ok_or_else(|| {
                    let remedy = "use json-file, local, journald, syslog or none, or remove it";
                    value.issue(format!("the log driver {name:?} is not supported"), remedy)
                })?;
            }
            "options" => {}
            _ => return Err(node.unknown(key, ["driver", "options"])),
        }
    }
    for (_, options) in entries.iter().filter(|(key, value)| *key == "options" && !value.is_null()) {
        for (option, value) in options.entries("{max-size: 10m}")? {
            log_option(option, &value, options, &mut log)?;
        }
    }
    Ok(log)
}

fn log_driver(name: &str) -> Option<LogDriver> {
    use LogDriver::{Journald, JsonFile, Local, None, Syslog};
    [JsonFile, Local, Journald, Syslog, None].into_iter().find(|driver| driver.as_str() == name)
}

fn log_option(option: &str, value: &Node<'_>, options: &Node<'_>, log: &mut LogConfig) -> Read<()> {
    let files = matches!(log.driver, LogDriver::JsonFile | LogDriver::Local);
    match (option, log.driver) {
        ("mode", _) => match value.text("non-blocking")? {
            "blocking" => log.non_blocking = false,
            "non-blocking" => log.non_blocking = true,
            _ => return Err(value.expected("a mode", "blocking or non-blocking")),
        },
        ("max-size", _) if files => {
            log.max_size = Some(bytes(value)?).filter(|n| *n > 0).unwrap_or(log.max_size)
        }
        ("max-file", _) if files => log.max_files = value.integer(1..=1000)? as u32,
        ("compress", _) if files => log.compress = value.boolean()?,
        ("syslog-address" | "syslog-facility" | "syslog-format" | "tag", LogDriver::Syslog)
        | ("tag", LogDriver::Journald) => {
            log.options.insert(option.to_owned(), value.scalar("udp://192.0.2.1:514")?);
        }
        _ => {
            let driver = log.driver.as_str();
            let known = ["max-size", "max-file", "compress", "mode", "tag", "syslog-address"];
            let issue = options.unknown(option, known);
            let reason = format!("{option:?} is not an option of the log driver {driver}");
            return Err(crate::node::Issue { reason, ..issue });
        }
    }
    Ok(())
}
