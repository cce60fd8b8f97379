//! System call filters in Docker's JSON form: conditions on architecture, capabilities and kernel are decided here, and what
//! is left is an OCI filter.

use super::OciError;
use oci_spec::runtime::LinuxSeccomp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What the conditions of a profile are about.
#[derive(Debug, Clone, Copy)]
pub struct SeccompTarget<'a> {
    /// The container's capabilities, as `CAP_NET_ADMIN`.
    pub capabilities: &'a BTreeSet<String>,
    /// As Go names it: `amd64`, `arm64`.
    pub architecture: &'a str,
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<Value>>,
    #[serde(default)]
    flags: Option<Vec<String>>,
    #[serde(default)]
    listener_path: Option<String>,
    #[serde(default)]
    syscalls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Conditions>,
    #[serde(default)]
    excludes: Option<Conditions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conditions {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// Decides a profile for one container.
///
/// # Errors
/// The text is not a profile, or contradicts itself.
pub fn seccomp_profile(text: &str, target: SeccompTarget<'_>) -> Result<LinuxSeccomp, OciError> {
    let wrong = |error: serde_json::Error| OciError::Seccomp(error.to_string());
    let profile: Profile = serde_json::from_str(text).map_err(wrong)?;
    let listed = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
    if listed(&profile.architectures) && profile.arch_map.as_ref().is_some_and(|m| !m.is_empty()) {
        return Err(OciError::Seccomp(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
                .to_owned(),
        ));
    }
    if profile.listener_path.is_some_and(|path| !path.is_empty()) {
        return Err(OciError::Seccomp("listenerPath is not supported".to_owned()));
    }
    let mut calls = Vec::new();
    for call in profile.syscalls.iter().flatten() {
        if applies(call, target)? {
            calls.push(rule(call)?);
        }
    }
    let mut value = Map::new();
    value.insert("defaultAction".to_owned(), action(&profile.default_action)?);
    if let Some(errno) = profile.default_errno_ret {
        value.insert("defaultErrnoRet".to_owned(), json!(errno));
    }
    if let Some(flags) = profile.flags.filter(|flags| !flags.is_empty()) {
        value.insert("flags".to_owned(), json!(flags));
    }
    if !calls.is_empty() {
        value.insert("syscalls".to_owned(), Value::Array(calls));
    }
    serde_json::from_value(Value::Object(value)).map_err(wrong)
}

fn rule(call: &Call) -> Result<Value, OciError> {
    let names: Vec<&String> = match (&call.name, &call.names) {
        (Some(name), None) => vec![name],
        (None, Some(names)) => names.iter().collect(),
        (Some(_), Some(names)) if !names.is_empty() => {
            return Err(OciError::Seccomp(
                "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'"
                    .to_owned(),
            ));
        }
        (Some(name), Some(_)) => vec![name],
        (None, None) => Vec::new(),
    };
    let mut value = json!({ "names": names, "action": action(&call.action)? });
    if let Some(errno) = call.errno_ret {
        value["errnoRet"] = json!(errno);
    }
    let args: Vec<Value> = call
        .args
        .iter()
        .flatten()
        .map(|a| json!({ "index": a.index, "value": a.value, "valueTwo": a.value_two, "op": a.op }))
        .collect();
    if !args.is_empty() {
        value["args"] = Value::Array(args);
    }
    Ok(value)
}

fn action(name: &str) -> Result<Value, OciError> {
    const KNOWN: [&str; 8] =
        ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG"];
    match name.strip_prefix("SCMP_ACT_").filter(|action| KNOWN.contains(action)) {
        Some(_) => Ok(json!(name)),
        None => Err(OciError::Seccomp(format!("string {name} is not a valid action for seccomp"))),
    }
}

/// A rule applies if everything it includes is there and nothing it excludes.
fn applies(call: &Call, target: SeccompTarget<'_>) -> Result<bool, OciError> {
    if let Some(excludes) = &call.excludes {
        let listed = |list: &Option<Vec<String>>, holds: &dyn Fn(&str) -> bool| {
            list.iter().flatten().any(|word| holds(word))
        };
        let kernel = excludes.min_kernel.as_deref().map(|k| at_least(k, target.kernel)).transpose()?;
        if listed(&excludes.arches, &|arch| arch == target.architecture)
            || listed(&excludes.caps, &|cap| target.capabilities.contains(cap))
            || kernel == Some(true)
        {
            return Ok(false);
        }
    }
    let Some(includes) = &call.includes else { return Ok(true) };
    let arches = includes.arches.as_deref().unwrap_or_default();
    if !arches.is_empty() && !arches.iter().any(|arch| arch == target.architecture) {
        return Ok(false);
    }
    if !includes.caps.iter().flatten().all(|cap| target.capabilities.contains(cap)) {
        return Ok(false);
    }
    Ok(includes.min_kernel.as_deref().map(|k| at_least(k, target.kernel)).transpose()?.unwrap_or(true))
}

fn at_least(wanted: &str, kernel: (u32, u32)) -> Result<bool, OciError> {
    kernel_version(wanted)
        .map(|wanted| kernel >= wanted)
        .ok_or_else(|| OciError::Seccomp(format!("{wanted:?} is not a kernel version")))
}

/// Major and minor version of a kernel release, as `6.12.5-amd64`.
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(profile: Value, capabilities: &[&str]) -> Result<Vec<String>, String> {
        let capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
        let target = SeccompTarget { capabilities: &capabilities, architecture: "amd64", kernel: (6, 1) };
        let decided = seccomp_profile(&profile.to_string(), target).map_err(|e| e.to_string())?;
        let calls = decided.syscalls().clone().unwrap_or_default();
        Ok(calls.iter().flat_map(|call| call.names().clone()).collect())
    }

    #[test]
    fn conditions_choose_the_rules() {
        let rule = |name: &str, includes: Value, excludes: Value| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "includes": includes, "excludes": excludes});
        let none = || json!({});
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
            "syscalls": [
                rule("always", none(), none()),
                rule("with_admin", json!({"caps": ["CAP_SYS_ADMIN"]}), none()),
                rule("with_both", json!({"caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"]}), none()),
                rule("without_admin", none(), json!({"caps": ["CAP_SYS_ADMIN", "CAP_NONE"]})),
                rule("here", json!({"arches": ["arm64", "amd64"]}), none()),
                rule("elsewhere", json!({"arches": ["s390x"]}), none()),
                rule("not_here", none(), json!({"arches": ["amd64"]})),
                rule("old_kernel", json!({"minKernel": "4.8"}), none()),
                rule("new_kernel", json!({"minKernel": "6.2"}), none()),
                rule("before", none(), json!({"minKernel": "6.1"})),
                {"name": "single", "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
            ],
        });
        let plain = decide(profile.clone(), &["CAP_CHOWN"]).unwrap();
        assert_eq!(plain, ["always", "without_admin", "here", "old_kernel", "single"]);
        let admin = decide(profile, &["CAP_SYS_ADMIN"]).unwrap();
        assert_eq!(admin, ["always", "with_admin", "here", "old_kernel", "single"]);
    }

    #[test]
    fn what_is_no_profile_is_said() {
        let call = json!({"name": "a", "names": ["b"], "action": "SCMP_ACT_ALLOW"});
        for (profile, words) in [
            (json!({}), "defaultAction"),
            (json!({"defaultAction": "FOO"}), "string FOO is not a valid action for seccomp"),
            (json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "not a valid action"),
            (
                json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}),
                "both 'architectures' and 'archMap' are specified",
            ),
            (json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]}), "both 'name' and 'names'"),
            (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}), "listenerPath"),
        ] {
            let error = decide(profile.clone(), &[]).unwrap_err();
            assert!(error.contains(words), "{profile}: {error}");
        }
    }

    #[test]
    fn kernels_are_known_by_two_numbers() {
        assert_eq!(kernel_version("6.18.44-fc-v595\n"), Some((6, 18)));
        assert_eq!(kernel_version("7.2-rc1"), Some((7, 2)));
        assert_eq!(kernel_version("linux"), None);
    }
}
