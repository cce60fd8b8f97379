//! Devices and resource limits by name.

use crate::error::ApiError;
use crate::request::{self, DeviceRequest};
use hull_model::{DeviceSpec, Ulimit};
use std::collections::BTreeMap;

/// Names that getrlimit(2) knows.
const LIMITS: &[&str] = &[
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
/// What Docker's own option for graphics cards means here.
const GRAPHICS: &str = "nvidia.com/gpu";

/// Devices by their paths. What is left out is the same as on the host, with all rights.
pub(crate) fn devices(r: &request::Resources) -> Result<Vec<DeviceSpec>, ApiError> {
    let device = |d: &request::DeviceMapping| {
        let rights = if d.cgroup_permissions.is_empty() { "rwm" } else { &d.cgroup_permissions };
        if !rights.chars().all(|c| "rwm".contains(c)) {
            return Err(ApiError::bad_request(format!("invalid device mode: {rights}")));
        }
        let inside = if d.path_in_container.is_empty() { &d.path_on_host } else { &d.path_in_container };
        for path in [&d.path_on_host, inside] {
            if !path.starts_with('/') {
                return Err(ApiError::bad_request(format!("invalid device path: '{path}' is not absolute")));
            }
        }
        Ok(DeviceSpec {
            host: d.path_on_host.clone().into(),
            container: inside.into(),
            permissions: rights.to_owned(),
        })
    };
    r.devices.iter().flatten().map(device).collect()
}

/// Rules like `c 42:* rmw`.
pub(crate) fn rules(r: &request::Resources) -> Result<Vec<String>, ApiError> {
    let number = |n: &str| n == "*" || (!n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let good = |rule: &str| {
        let mut words = rule.split(' ');
        let kind = words.next().is_some_and(|k| matches!(k, "a" | "b" | "c"));
        let device =
            words.next().and_then(|w| w.split_once(':')).is_some_and(|(a, b)| number(a) && number(b));
        let rights =
            words.next().is_some_and(|w| (1..=3).contains(&w.len()) && w.chars().all(|c| "rwm".contains(c)));
        kind && device && rights && words.next().is_none()
    };
    let rules = r.device_cgroup_rules.clone().unwrap_or_default();
    match rules.iter().find(|rule| !good(rule)) {
        Some(bad) => Err(ApiError::bad_request(format!("invalid device cgroup rule format: '{bad}'"))),
        None => Ok(rules),
    }
}

/// Names of vendors' devices (Container Device Interface) that are asked for, `--gpus` among them.
pub(crate) fn vendors(r: &request::Resources) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    for request in r.device_requests.iter().flatten() {
        names.extend(requested(request)?);
    }
    Ok(names)
}

fn requested(request: &DeviceRequest) -> Result<Vec<String>, ApiError> {
    let ids = request.device_ids.clone().unwrap_or_default();
    if request.options.as_ref().is_some_and(|o| !o.is_empty()) {
        return Err(ApiError::unsupported("an option of a device request"));
    }
    if request.count != 0 && !ids.is_empty() {
        return Err(ApiError::bad_request("cannot set both Count and DeviceIDs on device request"));
    }
    if request.driver == "cdi" {
        if request.count != 0 {
            return Err(ApiError::bad_request("device count is not supported by the CDI driver"));
        }
        let named = |id: &&String| {
            id.split_once('=').is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
        };
        return match ids.iter().find(|id| !named(id)) {
            Some(bad) => Err(ApiError::bad_request(format!(
                "invalid CDI device name {bad:?}: it is written vendor.com/class=name"
            ))),
            None => Ok(ids),
        };
    }
    let capabilities = request.capabilities.clone().unwrap_or_default();
    let graphics = capabilities.iter().any(|all| all.iter().any(|c| c == "gpu"));
    if !matches!(request.driver.as_str(), "" | "nvidia") || !graphics {
        let sets: Vec<String> = capabilities.iter().map(|all| format!("[{}]", all.join(" "))).collect();
        return Err(ApiError::bad_request(format!(
            "could not select device driver {:?} with capabilities: [{}]",
            request.driver,
            sets.join(" ")
        )));
    }
    let named = |id: &dyn std::fmt::Display| format!("{GRAPHICS}={id}");
    Ok(match (request.count, ids.is_empty()) {
        (_, false) => ids.iter().map(|id| named(id)).collect(),
        (..0, _) => vec![named(&"all")],
        (count, _) => (0..count).map(|n| named(&n)).collect(),
    })
}

/// Resource limits. -1 is none.
pub(crate) fn ulimits(r: &request::Resources) -> Result<BTreeMap<String, Ulimit>, ApiError> {
    let value = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let limit = |u: &request::Ulimit| {
        if !LIMITS.contains(&u.name.as_str()) {
            return Err(ApiError::bad_request(format!("invalid ulimit type: {}", u.name)));
        }
        let (soft, hard) = (value(u.soft), value(u.hard));
        if soft > hard {
            return Err(ApiError::bad_request(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                u.soft, u.hard
            )));
        }
        Ok((u.name.clone(), Ulimit { soft, hard }))
    };
    r.ulimits.iter().flatten().map(limit).collect()
}
