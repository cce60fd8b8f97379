//! What a container may use, when it is started again, and where its output goes.

use crate::cli::failure::Failure;
use crate::cli::flags::{Given, check, units};
use serde_json::{Map, Value, json};

/// Limits that `update` can change, too.
pub(crate) fn resources(given: &Given) -> Map<String, Value> {
    let mut limits = Map::new();
    for (flag, key) in [
        ("blkio-weight", "BlkioWeight"),
        ("cpu-shares", "CpuShares"),
        ("cpu-period", "CpuPeriod"),
        ("cpu-quota", "CpuQuota"),
        ("cpu-rt-period", "CpuRealtimePeriod"),
        ("cpu-rt-runtime", "CpuRealtimeRuntime"),
        ("pids-limit", "PidsLimit"),
    ] {
        limits.insert(key.to_owned(), json!(given.number(flag)));
    }
    for (flag, key) in
        [("memory", "Memory"), ("memory-reservation", "MemoryReservation"), ("memory-swap", "MemorySwap")]
    {
        limits.insert(key.to_owned(), json!(given.bytes(flag)));
    }
    for (flag, key) in [("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")] {
        limits.insert(key.to_owned(), json!(given.text(flag)));
    }
    limits.insert("NanoCpus".to_owned(), json!(units::nano_cpus(given.text("cpus")).unwrap_or(0)));
    if given.changed("kernel-memory") {
        limits.insert("KernelMemory".to_owned(), json!(given.bytes("kernel-memory")));
    }
    limits
}

/// All limits of a new container.
pub(super) fn all(given: &Given) -> Map<String, Value> {
    let mut limits = resources(given);
    for (flag, key) in [
        ("device-read-bps", "BlkioDeviceReadBps"),
        ("device-write-bps", "BlkioDeviceWriteBps"),
        ("device-read-iops", "BlkioDeviceReadIOps"),
        ("device-write-iops", "BlkioDeviceWriteIOps"),
    ] {
        limits.insert(key.to_owned(), devices(&given.list(flag), "Rate"));
    }
    limits.insert("BlkioWeightDevice".to_owned(), devices(&given.list("blkio-weight-device"), "Weight"));
    let ulimits: Vec<Value> = given
        .list("ulimit")
        .iter()
        .filter_map(|text| check::split_ulimit(text).ok())
        .map(|(name, soft, hard)| json!({ "Name": name, "Soft": soft, "Hard": hard }))
        .collect();
    limits.insert("Ulimits".to_owned(), json!(ulimits));
    limits.insert("MemorySwappiness".to_owned(), json!(given.number("memory-swappiness")));
    limits.insert("OomKillDisable".to_owned(), json!(given.on("oom-kill-disable")));
    for (flag, key) in
        [("cpu-count", "CpuCount"), ("cpu-percent", "CpuPercent"), ("io-maxiops", "IOMaximumIOps")]
    {
        limits.insert(key.to_owned(), json!(given.number(flag)));
    }
    limits.insert("IOMaximumBandwidth".to_owned(), json!(given.bytes("io-maxbandwidth")));
    limits
}

fn devices(texts: &[&str], key: &str) -> Value {
    let device = |text: &&str| {
        let (path, value) = text.split_once(':')?;
        Some(json!({ "Path": path, key: units::size(value).ok()? }))
    };
    json!(texts.iter().filter_map(device).collect::<Vec<_>>())
}

/// `no`, `always`, `unless-stopped`, `on-failure[:times]`
pub(crate) fn restart(text: &str) -> Result<Value, Failure> {
    let (name, times) = match text.split_once(':') {
        Some((name, times)) => (name, Some(times)),
        None => (text, None),
    };
    if times.is_some_and(|times| times.contains(':')) {
        return Err(Failure::new("invalid restart policy format"));
    }
    if name.is_empty() && times.is_some() {
        return Err(Failure::new("invalid restart policy format: no policy provided before colon"));
    }
    let number = |_| Failure::new("invalid restart policy format: maximum retry count must be an integer");
    let times: i64 = times.map_or(Ok(0), str::parse).map_err(number)?;
    Ok(json!({ "Name": name, "MaximumRetryCount": times }))
}

/// The log driver and its options.
pub(super) fn logging(given: &Given) -> Result<Value, Failure> {
    let options = super::pairs(&given.list("log-opt"));
    if given.text("log-driver") == "none" && !options.is_empty() {
        return Err(Failure::new("invalid logging opts for driver none"));
    }
    Ok(json!({ "Type": given.text("log-driver"), "Config": options }))
}

/// Options of the storage driver.
pub(super) fn storage(texts: &[&str]) -> Result<Value, Failure> {
    if texts.iter().any(|text| !text.contains('=')) {
        return Err(Failure::new("invalid storage option"));
    }
    Ok(if texts.is_empty() { Value::Null } else { Value::Object(super::pairs(texts)) })
}
