//! What a container uses, from the kernel's counters of both versions of control groups.
//!
//! A container of a hybrid host is in a hierarchy of version 1 only if a limit put it there, because moving processes is slow.
//! What that hierarchy would count is then added up from its processes (proc_pid_status(5)). Processor time is always counted
//! by version 2.

use crate::cgroup::Cgroup;
use hull_ports::{DeviceIo, InterfaceStats, Stats};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Limits of version 1 from here on are none: the largest that are multiples of a page.
const NO_LIMIT: u64 = 1 << 62;

pub(super) fn read(cgroup: &Cgroup, pid: i32) -> io::Result<Stats> {
    let unified = &cgroup.unified;
    let mut stats = Stats { unified: cgroup.split.is_empty(), ..Stats::default() };
    let cpu = std::fs::read_to_string(unified.join("cpu.stat"))?;
    processor(&mut stats, &flat(&cpu));
    let memory = cgroup.controller("memory");
    if unified.join("memory.current").exists() {
        memory_of_version_2(&mut stats, unified);
    } else if let Some(memory) = memory {
        memory_of_version_1(&mut stats, memory);
    } else {
        add_up(&mut stats, &cgroup.processes()?);
    }
    match (unified.join("pids.current").exists(), cgroup.controller("pids")) {
        (true, _) => tasks(&mut stats, unified),
        (false, Some(pids)) => tasks(&mut stats, pids),
        (false, None) => stats.pids = cgroup.processes()?.iter().map(|pid| threads(*pid)).sum(),
    }
    if let Some(cpu) = cgroup.controller("cpu") {
        throttling(&mut stats, &flat(&text(cpu.join("cpu.stat"))));
    }
    stats.devices = match cgroup.controller("blkio") {
        Some(blkio) => block_1(blkio),
        None => block_2(&text(unified.join("io.stat"))),
    };
    stats.interfaces = interfaces(&text(PathBuf::from(format!("/proc/{pid}/net/dev"))));
    Ok(stats)
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn number(path: PathBuf) -> Option<u64> {
    text(path).trim().parse().ok()
}

/// A flat keyed file.
fn flat(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(char::is_whitespace)?;
        Some((key.trim_end_matches(':').to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn processor(stats: &mut Stats, counters: &BTreeMap<String, u64>) {
    let nanoseconds = |key: &str| counters.get(key).copied().unwrap_or(0).saturating_mul(1000);
    stats.cpu_total = nanoseconds("usage_usec");
    stats.cpu_system = nanoseconds("system_usec");
    stats.cpu_user = nanoseconds("user_usec");
    throttling(stats, counters);
}

/// Version 2 counts microseconds, version 1 nanoseconds.
fn throttling(stats: &mut Stats, counters: &BTreeMap<String, u64>) {
    let get = |key: &str| counters.get(key).copied();
    let time = get("throttled_usec").map(|us| us.saturating_mul(1000)).or(get("throttled_time"));
    stats.throttling = (get("nr_periods").unwrap_or(0), get("nr_throttled").unwrap_or(0), time.unwrap_or(0));
}

fn memory_of_version_2(stats: &mut Stats, group: &Path) {
    stats.memory_usage = number(group.join("memory.current")).unwrap_or(0);
    stats.memory_max = number(group.join("memory.peak")).unwrap_or(0);
    stats.memory_limit = number(group.join("memory.max"));
    stats.memory_failures = flat(&text(group.join("memory.events"))).get("max").copied().unwrap_or(0);
    stats.memory_stat = flat(&text(group.join("memory.stat")));
}

fn memory_of_version_1(stats: &mut Stats, group: &Path) {
    stats.memory_usage = number(group.join("memory.usage_in_bytes")).unwrap_or(0);
    stats.memory_max = number(group.join("memory.max_usage_in_bytes")).unwrap_or(0);
    stats.memory_limit = number(group.join("memory.limit_in_bytes")).filter(|limit| *limit < NO_LIMIT);
    stats.memory_failures = number(group.join("memory.failcnt")).unwrap_or(0);
    stats.memory_stat = flat(&text(group.join("memory.stat")));
}

/// Memory that processes do not share with files: what a group would be charged for them in any case.
fn add_up(stats: &mut Stats, processes: &[i32]) {
    let (mut anonymous, mut shared) = (0, 0);
    for pid in processes {
        let status = text(PathBuf::from(format!("/proc/{pid}/status")));
        let kilobytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        anonymous += kilobytes("RssAnon:").unwrap_or(0) << 10;
        shared += kilobytes("RssShmem:").unwrap_or(0) << 10;
    }
    stats.memory_usage = anonymous + shared;
    let names = [("rss", anonymous), ("total_rss", anonymous), ("shmem", shared)];
    stats.memory_stat = names.map(|(name, value)| (name.to_owned(), value)).into();
}

fn tasks(stats: &mut Stats, group: &Path) {
    stats.pids = number(group.join("pids.current")).unwrap_or(0);
    stats.pids_limit = number(group.join("pids.max"));
}

fn threads(pid: i32) -> u64 {
    let status = text(PathBuf::from(format!("/proc/{pid}/status")));
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(0)
}

fn device(name: &str) -> Option<(u64, u64)> {
    let (major, minor) = name.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `io.stat`: a line for each device, `8:0 rbytes=… wbytes=… rios=… wios=…`.
fn block_2(text: &str) -> Vec<DeviceIo> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let mut io = DeviceIo { major, minor, ..DeviceIo::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => io.read_bytes = value,
                "wbytes" => io.write_bytes = value,
                "rios" => io.reads = value,
                "wios" => io.writes = value,
                _ => {}
            }
        }
        Some(io)
    };
    text.lines().filter_map(line).collect()
}

/// Version 1: a line for each device and operation, `8:0 Read 4096`. The group's own counters, and the block layer's where the
/// scheduler keeps none.
fn block_1(group: &Path) -> Vec<DeviceIo> {
    let mut devices: BTreeMap<(u64, u64), DeviceIo> = BTreeMap::new();
    for (file, bytes) in
        [("blkio.throttle.io_service_bytes_recursive", true), ("blkio.throttle.io_serviced_recursive", false)]
    {
        for line in text(group.join(file)).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, operation, value] = words[..] else { continue };
            let (Some((major, minor)), Ok(value)) = (device(name), value.parse()) else { continue };
            let io =
                devices.entry((major, minor)).or_insert(DeviceIo { major, minor, ..DeviceIo::default() });
            match (operation, bytes) {
                ("Read", true) => io.read_bytes = value,
                ("Write", true) => io.write_bytes = value,
                ("Read", false) => io.reads = value,
                ("Write", false) => io.writes = value,
                _ => {}
            }
        }
    }
    devices.into_values().collect()
}

/// /proc/PID/net/dev (proc_pid_net(5)).
fn interfaces(text: &str) -> BTreeMap<String, InterfaceStats> {
    let line = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let columns: Vec<u64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let at = |index: usize| columns.get(index).copied().unwrap_or(0);
        let stats = InterfaceStats {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        Some((name.trim().to_owned(), stats)).filter(|(name, _)| name != "lo" && columns.len() >= 12)
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_read_from_its_files() {
        let group = tempfile::tempdir().unwrap();
        let files = [
            (
                "cpu.stat",
                "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n",
            ),
            ("memory.current", "4096\n"),
            ("memory.peak", "8192\n"),
            ("memory.max", "max\n"),
            ("memory.events", "low 0\nmax 3\noom_kill 1\n"),
            ("memory.stat", "anon 1\nfile 2\n"),
            ("pids.current", "6\n"),
            ("pids.max", "10\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
            ("cgroup.procs", ""),
        ];
        for (name, text) in files {
            std::fs::write(group.path().join(name), text).unwrap();
        }
        let cgroup = Cgroup { unified: group.path().to_owned(), split: Vec::new(), made: Vec::new() };
        let stats = read(&cgroup, 1).unwrap();
        assert_eq!((stats.cpu_total, stats.cpu_user, stats.cpu_system), (30_000, 20_000, 10_000));
        assert_eq!(stats.throttling, (5, 2, 7_000));
        assert_eq!((stats.memory_usage, stats.memory_max, stats.memory_limit), (4096, 8192, None));
        assert_eq!((stats.memory_failures, stats.memory_stat["file"]), (3, 2));
        assert_eq!((stats.pids, stats.pids_limit, stats.unified), (6, Some(10), true));
        let disk = DeviceIo { major: 8, minor: 0, read_bytes: 1, write_bytes: 2, reads: 3, writes: 4 };
        assert_eq!(stats.devices, [disk]);
        assert_eq!(cgroup.oom_kills(), 1);
    }

    #[test]
    fn version_1_is_read_from_its_hierarchies() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("unified/cpu.stat", "usage_usec 1\n"),
            ("unified/cgroup.procs", ""),
            ("memory/memory.usage_in_bytes", "5\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.stat", "cache 9\ntotal_rss 8\n"),
            ("cpu/cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_time 3\n"),
            (
                "blkio/blkio.throttle.io_service_bytes_recursive",
                "8:16 Read 10\n8:16 Write 20\n8:16 Total 30\nTotal 30\n",
            ),
        ];
        for (name, text) in files {
            std::fs::create_dir_all(root.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let split = ["memory", "cpu", "blkio"].map(|name| (name.to_owned(), root.path().join(name))).into();
        let cgroup = Cgroup { unified: root.path().join("unified"), split, made: Vec::new() };
        let stats = read(&cgroup, 1).unwrap();
        assert_eq!((stats.memory_usage, stats.memory_limit, stats.memory_stat["total_rss"]), (5, None, 8));
        assert_eq!((stats.throttling, stats.unified), ((1, 2, 3), false));
        let disk = DeviceIo { major: 8, minor: 16, read_bytes: 10, write_bytes: 20, ..DeviceIo::default() };
        assert_eq!(stats.devices, [disk]);
    }

    #[test]
    fn interfaces_without_loopback() {
        let text = "Inter-|   Receive |  Transmit\n face |bytes packets|bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
            eth0:10 2 3 4 0 0 0 0 20 5 6 7 0 0 0 0\n";
        let found = interfaces(text);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eth0"]);
        let eth0 = &found["eth0"];
        assert_eq!((eth0.rx_bytes, eth0.rx_dropped, eth0.tx_bytes, eth0.tx_dropped), (10, 4, 20, 7));
    }
}
