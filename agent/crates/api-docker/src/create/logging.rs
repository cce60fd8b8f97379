//! Where output goes.

use crate::error::ApiError;
use crate::query::go_bool;
use crate::request::{Config, LogConfig};
use hull_model::LogDriver;
use std::collections::BTreeMap;

const COMMON: &[&str] = &["mode", "max-buffer-size", "env", "env-regex", "labels", "labels-regex", "tag"];
const FILES: &[&str] = &["max-size", "max-file", "compress"];
const CACHE: &[&str] = &["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const SYSLOG: &[&str] = &["syslog-address", "syslog-facility", "syslog-format"];
const TLS: &[&str] = &["syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"];
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// What a log line can be told with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) image_name: &'a str,
    pub(crate) image_id: &'a str,
    /// Labels and environment of the container, with the image's.
    pub(crate) config: &'a Config,
}

fn bad(why: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(why.to_string())
}

/// Checks a driver and its options. No driver is the host's default one.
pub(crate) fn log(asked: &LogConfig, subject: Subject<'_>) -> Result<hull_model::LogConfig, ApiError> {
    let empty = BTreeMap::new();
    let options = asked.config.as_ref().unwrap_or(&empty);
    let driver = match asked.kind.as_str() {
        "" => LogDriver::default(),
        "json-file" => LogDriver::JsonFile,
        "local" => LogDriver::Local,
        "journald" => LogDriver::Journald,
        "syslog" => LogDriver::Syslog,
        "none" => LogDriver::None,
        other => {
            return Err(bad(format!(
                "error looking up logging plugin {other}: plugin \"{other}\" not found"
            )));
        }
    };
    let mut log = hull_model::LogConfig { driver, ..hull_model::LogConfig::default() };
    if driver == LogDriver::None {
        return Ok(log);
    }
    known(driver, options)?;
    mode(&mut log, options)?;
    files(&mut log, options)?;
    if driver == LogDriver::Syslog {
        syslog(options)?;
    }
    attributes(&mut log, options, subject)?;
    let kept = options.iter().filter(|(key, value)| {
        let key = key.as_str();
        !value.is_empty() && (SYSLOG.contains(&key) || CACHE.contains(&key) || key == "max-buffer-size")
    });
    log.options.extend(kept.map(|(k, v)| (k.clone(), v.clone())));
    Ok(log)
}

fn known(driver: LogDriver, options: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let own = match driver {
        LogDriver::Syslog => SYSLOG,
        LogDriver::Journald | LogDriver::None => &[],
        LogDriver::JsonFile | LogDriver::Local => FILES,
    };
    let remote = matches!(driver, LogDriver::Syslog | LogDriver::Journald);
    for key in options.keys().map(String::as_str) {
        if driver == LogDriver::Syslog && TLS.contains(&key) {
            return Err(ApiError::unsupported("TLS to a syslog server"));
        }
        let known = COMMON.contains(&key) || own.contains(&key) || remote && CACHE.contains(&key);
        if !known {
            let name = driver.as_str();
            return Err(bad(match driver {
                LogDriver::Local => format!("unknown log opt '{key}' for log driver local"),
                _ => format!("unknown log opt '{key}' for {name} log driver"),
            }));
        }
    }
    Ok(())
}

fn mode(log: &mut hull_model::LogConfig, options: &BTreeMap<String, String>) -> Result<(), ApiError> {
    log.non_blocking = match options.get("mode").map(String::as_str) {
        None | Some("" | "blocking") => false,
        Some("non-blocking") => true,
        Some(other) => return Err(bad(format!("logger: logging mode not supported: {other}"))),
    };
    if let Some(text) = options.get("max-buffer-size") {
        if !log.non_blocking {
            let why = "logger: max-buffer-size option is only supported with 'mode=non-blocking'";
            return Err(bad(why));
        }
        if size(text).is_none() {
            return Err(bad(format!("error parsing option max-buffer-size: invalid size: '{text}'")));
        }
    }
    Ok(())
}

fn files(log: &mut hull_model::LogConfig, options: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let failed = |why: String| bad(format!("failed to initialize logging driver: {why}"));
    let there = |key: &str| options.get(key).filter(|text| !text.is_empty());
    if let Some(text) = there("max-size") {
        match size(text) {
            // -1 is Docker's word for no limit; nobody's disk is to fill.
            None if text.starts_with('-') => {}
            Some(bytes) if bytes > 0 => log.max_size = bytes,
            _ => return Err(failed(format!("invalid size: '{text}'"))),
        }
    }
    if let Some(text) = there("max-file") {
        let number = text.parse::<i64>();
        let number = number.map_err(|_| failed(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))?;
        let files = u32::try_from(number).ok().filter(|n| *n > 0);
        log.max_files = files.ok_or_else(|| failed("max-file cannot be less than 1".to_owned()))?;
    }
    if let Some(text) = there("compress") {
        let why = || failed(format!("strconv.ParseBool: parsing {text:?}: invalid syntax"));
        log.compress = go_bool(text).ok_or_else(why)?;
    }
    Ok(())
}

/// `10m`, `1.5g`, `512kb`: powers of ten, as Docker reads sizes of logs.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[number.len()..] {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        _ => return None,
    };
    let number: f64 = number.trim_end().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
    let bytes = number * factor;
    // Beyond that, neighbouring whole numbers are not told apart; no disk is so large.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to fit")]
    (bytes < 9e15).then_some(bytes as u64)
}

fn syslog(options: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let there = |key: &str| options.get(key).map(String::as_str).filter(|t| !t.is_empty());
    if let Some(address) = there("syslog-address") {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        match scheme {
            "udp" | "tcp" if !rest.is_empty() => {}
            "unix" | "unixgram" if rest.starts_with('/') => {}
            "tcp+tls" => return Err(ApiError::unsupported("TLS to a syslog server")),
            "udp" | "tcp" | "unix" | "unixgram" => {
                return Err(bad(format!("invalid syslog-address: {address:?}")));
            }
            other => return Err(bad(format!("unsupported scheme: '{other}'"))),
        }
    }
    if let Some(facility) = there("syslog-facility") {
        let number = facility.parse::<u8>().is_ok_and(|n| n <= 23);
        if !number && !FACILITIES.contains(&facility) {
            return Err(bad("invalid syslog facility"));
        }
    }
    match there("syslog-format") {
        None | Some("rfc3164" | "rfc5424" | "rfc5424micro") => Ok(()),
        Some(_) => Err(bad("Invalid syslog format")),
    }
}

fn attributes(
    log: &mut hull_model::LogConfig,
    options: &BTreeMap<String, String>,
    subject: Subject<'_>,
) -> Result<(), ApiError> {
    let there = |key: &str| options.get(key).map(String::as_str).filter(|t| !t.is_empty());
    let pattern = |key: &str| {
        let compile =
            |text| regex_lite::Regex::new(text).map_err(|e| bad(format!("invalid log option {key}: {e}")));
        there(key).map(compile).transpose()
    };
    let (labels, env) = (pattern("labels-regex")?, pattern("env-regex")?);
    let listed =
        |key: &str, name: &str| there(key).is_some_and(|list| list.split(',').any(|n| n.trim() == name));
    for (name, value) in subject.config.labels.iter().flatten() {
        if listed("labels", name) || labels.as_ref().is_some_and(|p| p.is_match(name)) {
            log.attributes.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in subject.config.env.iter().flatten().filter_map(|e| e.split_once('=')) {
        if listed("env", name) || env.as_ref().is_some_and(|p| p.is_match(name)) {
            log.attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(template) = there("tag") {
        let tag = tag(template, subject)?;
        match log.driver {
            LogDriver::JsonFile | LogDriver::Local => _ = log.attributes.insert("tag".to_owned(), tag),
            _ => _ = log.options.insert("tag".to_owned(), tag),
        }
    }
    Ok(())
}

/// Fills in `{{.Name}}` and the like. A container has no id before it is made: a tag cannot say it.
fn tag(template: &str, subject: Subject<'_>) -> Result<String, ApiError> {
    let id = subject.image_id.trim_start_matches("sha256:");
    let mut text = template.to_owned();
    for (word, value) in [
        ("{{.Name}}", subject.name),
        ("{{.ImageName}}", subject.image_name),
        ("{{.ImageID}}", id.get(..12).unwrap_or(id)),
        ("{{.ImageFullID}}", subject.image_id),
        ("{{.DaemonName}}", "hull"),
    ] {
        text = text.replace(word, value);
    }
    if text.contains("{{") {
        return Err(ApiError::unsupported(format!(
            "the log tag {template:?} (use plain text, {{{{.Name}}}}, {{{{.ImageName}}}}, {{{{.ImageID}}}}, {{{{.ImageFullID}}}} or {{{{.DaemonName}}}})"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, options: &[(&str, &str)]) -> Result<hull_model::LogConfig, String> {
        let config = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let asked = LogConfig { kind: kind.to_owned(), config: Some(config) };
        let labels = Some(BTreeMap::from([("tier".to_owned(), "front".to_owned())]));
        let config = Config { labels, env: Some(vec!["A=b".into()]), ..Config::default() };
        let subject = Subject {
            name: "web",
            image_name: "web:1",
            image_id: "sha256:0123456789abcdef",
            config: &config,
        };
        log(&asked, subject).map_err(|e| e.message)
    }

    #[test]
    fn drivers_and_options_are_read() {
        assert_eq!(read("", &[]).unwrap(), hull_model::LogConfig::default());
        let files =
            read("json-file", &[("max-size", "10m"), ("max-file", "3"), ("compress", "false")]).unwrap();
        assert_eq!((files.max_size, files.max_files, files.compress), (10_000_000, 3, false));
        let told =
            read("json-file", &[("labels", "tier"), ("env-regex", "^A$"), ("tag", "x-{{.Name}}")]).unwrap();
        let pairs: Vec<_> = told.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "b"), ("tag", "x-web"), ("tier", "front")]);
        let syslog = read("syslog", &[("syslog-address", "udp://h:514"), ("tag", "{{.ImageID}}")]).unwrap();
        assert_eq!(syslog.options["tag"], "0123456789ab");
    }

    #[test]
    fn what_a_driver_does_not_know_is_refused() {
        for (kind, option, words) in [
            ("bogus", ("", ""), "error looking up logging plugin bogus: plugin \"bogus\" not found"),
            ("json-file", ("bogus", "1"), "unknown log opt 'bogus' for json-file log driver"),
            ("local", ("bogus", "1"), "unknown log opt 'bogus' for log driver local"),
            ("syslog", ("bogus", "1"), "unknown log opt 'bogus' for syslog log driver"),
            ("json-file", ("mode", "x"), "logger: logging mode not supported: x"),
            ("syslog", ("syslog-address", "x"), "unsupported scheme: ''"),
            ("syslog", ("syslog-facility", "x"), "invalid syslog facility"),
            ("syslog", ("syslog-format", "x"), "Invalid syslog format"),
            ("json-file", ("max-size", "x"), "failed to initialize logging driver: invalid size: 'x'"),
            (
                "local",
                ("max-file", "0"),
                "failed to initialize logging driver: max-file cannot be less than 1",
            ),
        ] {
            let options: &[(&str, &str)] = if option.0.is_empty() { &[] } else { &[option] };
            assert_eq!(read(kind, options), Err(words.to_owned()), "{kind} {option:?}");
        }
        assert!(read("none", &[("max-size", "x")]).is_ok(), "what is kept nowhere has no size");
    }
}
