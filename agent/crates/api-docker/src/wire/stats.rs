//! A sample of what a container uses, in Docker's shape.

use super::NEVER;
use hull_model::ContainerId;
use hull_ports::{DeviceIo, Stats};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A sample, with what it is compared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatsSource {
    pub(crate) at: Timestamp,
    pub(crate) stats: Stats,
    /// Nanoseconds of CPU time that the whole host used since it was started, idle time included.
    pub(crate) system_cpu: u64,
    /// CPUs.
    pub(crate) online: u32,
}

impl StatsSource {
    /// The host's CPU time and the number of its CPUs, from /proc/stat.
    pub(crate) fn host_cpu() -> (u64, u32) {
        parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }
}

fn parse(text: &str) -> (u64, u32) {
    const NANOSECONDS_PER_TICK: u64 = 10_000_000;
    let total = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let ticks: u64 = total.filter_map(|t| t.parse::<u64>().ok()).sum();
    let cpus = text.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    (ticks.saturating_mul(NANOSECONDS_PER_TICK), u32::try_from(cpus).unwrap_or(1).max(1))
}

/// The sample before and the one now, as one answer. Without one now the container does not run: everything is nothing.
pub(crate) fn stats(
    name: &str,
    id: &ContainerId,
    before: Option<&StatsSource>,
    now: Option<&StatsSource>,
) -> Value {
    let never = |source: Option<&StatsSource>| source.map_or_else(|| NEVER.to_owned(), |s| s.at.to_string());
    let mut answer = json!({
        "name": format!("/{name}"),
        "id": id,
        "read": never(now),
        "preread": never(before.filter(|_| now.is_some())),
        "pids_stats": now.map_or_else(|| json!({}), pids),
        "blkio_stats": disks(now),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu(now),
        "precpu_stats": cpu(before.filter(|_| now.is_some())),
        "memory_stats": now.map_or_else(|| json!({}), memory),
    });
    if let Some(now) = now.filter(|n| !n.stats.interfaces.is_empty()) {
        answer["networks"] = json!(now.stats.interfaces);
    }
    answer
}

fn pids(source: &StatsSource) -> Value {
    let mut pids = json!({ "current": source.stats.pids });
    if let Some(limit) = source.stats.pids_limit {
        pids["limit"] = json!(limit);
    }
    pids
}

fn cpu(source: Option<&StatsSource>) -> Value {
    let empty = StatsSource::default();
    let known = source.unwrap_or(&empty);
    let (periods, throttled, time) = known.stats.throttling;
    let mut cpu = json!({
        "cpu_usage": {
            "total_usage": known.stats.cpu_total,
            "usage_in_kernelmode": known.stats.cpu_system,
            "usage_in_usermode": known.stats.cpu_user,
        },
        "throttling_data": { "periods": periods, "throttled_periods": throttled, "throttled_time": time },
    });
    if source.is_some() {
        cpu["system_cpu_usage"] = json!(known.system_cpu);
        cpu["online_cpus"] = json!(known.online);
    }
    cpu
}

fn disks(source: Option<&StatsSource>) -> Value {
    let Some(source) = source else {
        return json!({
            "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null,
            "io_service_time_recursive": null, "io_wait_time_recursive": null, "io_merged_recursive": null,
            "io_time_recursive": null, "sectors_recursive": null,
        });
    };
    let unified = source.stats.unified;
    // Version 2 has only bytes, and no lists of what it does not count.
    let words = if unified { ["read", "write"] } else { ["Read", "Write"] };
    let list = |value: fn(&DeviceIo) -> [u64; 2]| -> Vec<Value> {
        let entry = |d: &DeviceIo, op: &str, n: u64| json!({ "major": d.major, "minor": d.minor, "op": op, "value": n });
        let devices = source.stats.devices.iter();
        devices.flat_map(|d| words.iter().zip(value(d)).map(move |(op, n)| entry(d, op, n))).collect()
    };
    let none = || if unified { Value::Null } else { json!([]) };
    let served = if unified { Value::Null } else { json!(list(|d| [d.reads, d.writes])) };
    json!({
        "io_service_bytes_recursive": list(|d| [d.read_bytes, d.write_bytes]),
        "io_serviced_recursive": served,
        "io_queue_recursive": none(),
        "io_service_time_recursive": none(),
        "io_wait_time_recursive": none(),
        "io_merged_recursive": none(),
        "io_time_recursive": none(),
        "sectors_recursive": none(),
    })
}

fn memory(source: &StatsSource) -> Value {
    let stats = &source.stats;
    let mut memory = Map::new();
    memory.insert("usage".to_owned(), json!(stats.memory_usage));
    if !stats.unified {
        memory.insert("max_usage".to_owned(), json!(stats.memory_max));
    }
    memory.insert("stats".to_owned(), json!(stats.memory_stat));
    if stats.memory_failures > 0 {
        memory.insert("failcnt".to_owned(), json!(stats.memory_failures));
    }
    memory.insert("limit".to_owned(), json!(stats.memory_limit.unwrap_or_else(host_memory)));
    Value::Object(memory)
}

/// Bytes of the host's memory: the limit of a container that has none.
fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    total.and_then(|t| t.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_ports::InterfaceStats;

    #[test]
    fn the_hosts_time_counts_every_state_once() {
        let text = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n";
        assert_eq!(parse(text), (36 * 10_000_000, 2));
    }

    #[test]
    fn samples_have_dockers_shape() {
        let id = ContainerId::from_random([1; 32]);
        let gone = stats("web", &id, None, None);
        assert_eq!((&gone["read"], &gone["pids_stats"]), (&json!(NEVER), &json!({})));
        assert!(gone["cpu_stats"].get("online_cpus").is_none() && gone.get("networks").is_none());
        let interfaces = [("eth0".to_owned(), InterfaceStats { rx_bytes: 5, ..Default::default() })].into();
        let device = DeviceIo { major: 8, read_bytes: 7, ..DeviceIo::default() };
        let used = Stats {
            cpu_total: 9,
            pids: 2,
            interfaces,
            devices: vec![device],
            unified: true,
            ..Stats::default()
        };
        let now = StatsSource { stats: used, system_cpu: 100, online: 2, ..StatsSource::default() };
        let told = stats("web", &id, Some(&now), Some(&now));
        assert_eq!(told["cpu_stats"], told["precpu_stats"]);
        assert_eq!(
            (&told["cpu_stats"]["online_cpus"], &told["networks"]["eth0"]["rx_bytes"]),
            (&json!(2), &json!(5))
        );
        let bytes = &told["blkio_stats"]["io_service_bytes_recursive"];
        assert_eq!(bytes[0], json!({ "major": 8, "minor": 0, "op": "read", "value": 7 }));
        assert!(told["memory_stats"].get("max_usage").is_none(), "version 2 has none");
    }
}
