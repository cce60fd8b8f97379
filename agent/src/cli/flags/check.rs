//! What values of flags are refused while they are read, in Docker's words.

use std::net::IpAddr;

/// `true`, `1`, `f` and the like. Nothing is false.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// A signed number, in base 10, 16, 8 or 2.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix(digits);
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|e| number_error("ParseInt", text, &e))
}

/// A number that is not negative, up to a limit.
pub(crate) fn unsigned(text: &str, limit: u64) -> Result<u64, String> {
    let (radix, digits) = radix(text);
    match u64::from_str_radix(digits, radix) {
        Ok(value) if value <= limit => Ok(value),
        Ok(_) => Err(format!("strconv.ParseUint: parsing {text:?}: value out of range")),
        Err(error) => Err(number_error("ParseUint", text, &error)),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    }
}

fn number_error(function: &str, text: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let why = match error.kind() {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// `key=value`
pub(crate) fn filter(text: &str) -> Result<(), String> {
    match text.is_empty() || text.contains('=') {
        true => Ok(()),
        false => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// A stream that can be attached.
pub(crate) fn stream(text: &str) -> Result<(), String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `NAME=value` or `NAME`
pub(crate) fn environment(text: &str) -> Result<(), String> {
    match text.split('=').next() {
        None | Some("") => Err(format!("invalid environment variable: {text}")),
        Some(_) => Ok(()),
    }
}

/// `key=value` or `key`
pub(crate) fn label(text: &str) -> Result<(), String> {
    let key = text.split('=').next().unwrap_or_default();
    if key.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    match key.contains(char::is_whitespace) {
        true => Err(format!("label '{text}' contains whitespaces")),
        false => Ok(()),
    }
}

/// `name=value` of a kernel parameter that belongs to a namespace.
pub(crate) fn sysctl(text: &str) -> Result<(), String> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let known = text.split_once('=').is_some_and(|(name, _)| {
        IPC.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
    });
    if known { Ok(()) } else { Err(format!("sysctl '{text}' is not allowed")) }
}

/// `container` or `container:alias`
pub(crate) fn link(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    match text.split(':').count() {
        1 | 2 => Ok(()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// `host:address` or `host=address`
pub(crate) fn extra_host(text: &str) -> Result<(), String> {
    let (host, address) = split_host(text).ok_or_else(|| format!("bad format for add-host: {text:?}"))?;
    if host.is_empty() {
        return Err(format!("bad format for add-host: {text:?}"));
    }
    if address == "host-gateway" || bare(address).parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("invalid IP address in add-host: {address:?}"))
}

/// The host and the address of `host:address` and `host=address`.
pub(crate) fn split_host(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').or_else(|| text.split_once(':'))
}

/// An address without the brackets that may stand around it.
pub(crate) fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address)
}

/// An address.
pub(crate) fn address(text: &str) -> Result<(), String> {
    match text.trim().parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// A domain that names are looked up in.
pub(crate) fn search_domain(text: &str) -> Result<(), String> {
    let label = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let trimmed = text.trim();
    match trimmed == "." || (trimmed.len() <= 255 && trimmed.trim_end_matches('.').split('.').all(label)) {
        true => Ok(()),
        false => Err(format!("{text} is not a valid domain")),
    }
}

/// `c 1:3 rwm`
pub(crate) fn cgroup_rule(text: &str) -> Result<(), String> {
    let refuse = || Err(format!("invalid device cgroup format '{text}'"));
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, access] = parts.as_slice() else { return refuse() };
    let number = |n: &str| n == "*" || (!n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let right = matches!(*kind, "a" | "b" | "c")
        && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
        && (1..=3).contains(&access.len())
        && access.chars().all(|c| "rwm".contains(c));
    if right { Ok(()) } else { refuse() }
}

/// `/dev/x:500`, a weight.
pub(crate) fn weight_device(text: &str) -> Result<(), String> {
    let (path, value) = device_value(text)?;
    let weight = value.parse::<u16>().ok().filter(|w| *w == 0 || (10..=1000).contains(w));
    weight.map(drop).ok_or_else(|| format!("invalid weight for device: {path}:{value}"))
}

/// `/dev/x:1mb`, bytes each second.
pub(crate) fn bps_device(text: &str) -> Result<(), String> {
    let (_, value) = device_value(text)?;
    match super::units::size(value) {
        Ok(rate) if rate >= 0 => Ok(()),
        _ => Err(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )),
    }
}

/// `/dev/x:1000`, operations each second.
pub(crate) fn iops_device(text: &str) -> Result<(), String> {
    let (_, value) = device_value(text)?;
    value.parse::<u64>().map(drop).map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    })
}

fn device_value(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .filter(|(path, value)| !path.is_empty() && !value.is_empty())
        .ok_or_else(|| format!("bad format: {text}"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, value)),
        false => Err(format!("bad format for device path: {text}")),
    }
}

/// `nofile=1024:2048`
pub(crate) fn ulimit(text: &str) -> Result<(), String> {
    split_ulimit(text).map(drop)
}

const LIMITS: [&str; 16] = [
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

/// The name and both values of a limit.
pub(crate) fn split_ulimit(text: &str) -> Result<(&str, i64, i64), String> {
    let (name, values) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !LIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |v: &str| v.parse::<i64>().map_err(|e| number_error("ParseInt", v, &e));
    let (soft, hard) = match values.split_once(':') {
        Some((_, hard)) if hard.contains(':') => {
            return Err(format!(
                "too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
            ));
        }
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(values)?, number(values)?),
    };
    let endless = |limit: i64| limit == -1;
    if !endless(hard) && (endless(soft) || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok((name, soft, hard))
}
