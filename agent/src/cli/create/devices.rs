//! Devices, graphics processors, and devices that vendors describe.

use super::mounts::fields;
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use serde_json::{Value, json};

/// Devices by path, and requests for others.
pub(super) fn read(given: &Given) -> Result<(Vec<Value>, Value), Failure> {
    let (mut devices, mut requests) = (Vec::new(), Vec::new());
    let mut vendors: Vec<&str> = Vec::new();
    for text in given.list("device") {
        match is_qualified(text) {
            true => vendors.push(text),
            false => devices.push(device(text)?),
        }
    }
    for text in given.list("gpus") {
        requests.push(gpus(text).map_err(Failure::new)?);
    }
    if !vendors.is_empty() {
        requests.push(json!({ "Driver": "cdi", "Count": 0, "DeviceIDs": vendors, "Capabilities": null, "Options": null }));
    }
    Ok((devices, if requests.is_empty() { Value::Null } else { json!(requests) }))
}

/// `vendor.com/class=name`
fn is_qualified(text: &str) -> bool {
    !text.starts_with('/')
        && text.split_once('=').is_some_and(|(kind, name)| {
            !name.is_empty()
                && kind.split_once('/').is_some_and(|(vendor, class)| !vendor.is_empty() && !class.is_empty())
        })
}

fn device(text: &str) -> Result<Value, Failure> {
    let is_access = |t: &str| !t.is_empty() && t.len() <= 3 && t.chars().all(|c| "rwm".contains(c));
    let parts: Vec<&str> = text.split(':').collect();
    let (outside, inside, access) = match parts.as_slice() {
        [outside] => (*outside, *outside, "rwm"),
        [outside, access] if is_access(access) => (*outside, *outside, *access),
        [outside, inside] => (*outside, *inside, "rwm"),
        [outside, inside, access] => (*outside, *inside, *access),
        _ => return Err(Failure::new(format!("bad format for path: {text}"))),
    };
    if outside.is_empty() {
        return Err(Failure::new(format!("invalid device specification: {text}")));
    }
    if !is_access(access) {
        return Err(Failure::new(format!("bad mode specified: {access}")));
    }
    if !inside.is_empty() && !inside.starts_with('/') {
        return Err(Failure::new(format!("{inside} is not an absolute path")));
    }
    Ok(json!({ "PathOnHost": outside, "PathInContainer": inside, "CgroupPermissions": access }))
}

/// Whether a text asks for graphics processors.
pub(crate) fn check_gpus(text: &str) -> Result<(), String> {
    gpus(text).map(drop)
}

/// `all`, `2`, `device=0`, `count=2,capabilities=…,driver=…,options=…`
fn gpus(text: &str) -> Result<Value, String> {
    let mut request = json!({ "Driver": "", "Count": 0, "DeviceIDs": null, "Options": {} });
    let mut capabilities = Vec::new();
    let mut seen = Vec::new();
    for field in fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        if seen.contains(&key.to_owned()) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        match key {
            "count" if value == "all" => request["Count"] = json!(-1),
            "count" => {
                let count: i64 = value.parse().map_err(|_| {
                    format!(
                        "invalid count ({value}): value must be either \"all\" or an integer: invalid syntax"
                    )
                })?;
                request["Count"] = json!(count);
            }
            "device" => request["DeviceIDs"] = json!(value.split(',').collect::<Vec<_>>()),
            "driver" => request["Driver"] = json!(value),
            "capabilities" => capabilities.extend(value.split(',').map(str::to_owned)),
            "options" => request["Options"] = Value::Object(super::pairs(&fields(value)?)),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !seen.iter().any(|key| key == "count" || key == "device") {
        request["Count"] = json!(1);
    }
    if !capabilities.iter().any(|c| c == "gpu") {
        capabilities.push("gpu".to_owned());
    }
    request["Capabilities"] = json!([capabilities]);
    Ok(request)
}
