//! What is refused about a request whatever it is for, in Docker's words.

use super::resources::restart;
use crate::error::ApiError;
use crate::request::{Config, HostConfig};
use hull_model::{Name, parse_signal};

/// Checks the part that images have too.
pub(crate) fn config(config: &Config) -> Result<(), ApiError> {
    if let Some(bad) = config.env.iter().flatten().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(ApiError::bad_request(format!("invalid environment variable: {bad}")));
    }
    if config.env.iter().flatten().any(|e| e.contains('\0')) {
        return Err(ApiError::bad_request("invalid environment variable: it contains a NUL byte"));
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(ApiError::bad_request(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    if !config.stop_signal.is_empty() && parse_signal(&config.stop_signal).is_none() {
        return Err(ApiError::bad_request(format!("invalid signal: {}", config.stop_signal)));
    }
    let Some(check) = &config.healthcheck else { return Ok(()) };
    const MILLISECOND: i64 = 1_000_000;
    for (name, value) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if value.0 != 0 && value.0 < MILLISECOND {
            return Err(ApiError::bad_request(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(ApiError::bad_request("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

/// Checks the part that depends on the host, as far as it is nobody else's.
pub(crate) fn host(host: &HostConfig) -> Result<(), ApiError> {
    let policy = restart(&host.restart_policy)?;
    if host.auto_remove && policy != hull_model::RestartPolicy::No {
        return Err(ApiError::bad_request("can't create 'AutoRemove' container with restart policy"));
    }
    if host.shm_size < 0 {
        return Err(ApiError::bad_request("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(ApiError::bad_request(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !matches!(host.isolation.to_ascii_lowercase().as_str(), "" | "default") {
        return Err(ApiError::bad_request(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    if !matches!(host.runtime.as_str(), "" | "hull" | "runc" | "io.containerd.runc.v2") {
        let why = format!("unknown or invalid runtime name: {}", host.runtime);
        return Err(ApiError::bad_request(why));
    }
    if let Some(option) = host.storage_opt.iter().flatten().map(|(key, _)| key).next() {
        return Err(ApiError::internal(match option.to_ascii_lowercase().as_str() {
            "size" => {
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option".to_owned()
            }
            _ => format!("Unknown option {option}"),
        }));
    }
    if host.annotations.as_ref().is_some_and(|a| a.contains_key("")) {
        let why = "invalid Annotations: the empty string is not permitted as an annotation key";
        return Err(ApiError::bad_request(why));
    }
    host.extra_hosts.iter().flatten().try_for_each(|line| extra_host(line).map(drop))
}

/// `name:address` or `name:host-gateway`.
pub(crate) fn extra_host(line: &str) -> Result<(String, String), ApiError> {
    let parts = line.split_once(':').filter(|(name, _)| !name.is_empty());
    let (name, address) =
        parts.ok_or_else(|| ApiError::bad_request(format!("bad format for add-host: {line:?}")))?;
    if address != "host-gateway" && address.parse::<std::net::IpAddr>().is_err() {
        return Err(ApiError::bad_request(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok((name.to_owned(), address.to_owned()))
}

/// A container's name, with or without the slash that answers put before it.
pub(crate) fn name(text: &str) -> Result<Name, ApiError> {
    let plain = text.strip_prefix('/').unwrap_or(text);
    let bad = || {
        ApiError::bad_request(format!(
            "Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ))
    };
    if plain.len() < 2 {
        return Err(bad());
    }
    Name::new(plain).map_err(|_| bad())
}
