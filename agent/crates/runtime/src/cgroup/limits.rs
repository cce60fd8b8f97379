//! From limits of an OCI configuration to files of control groups. Pure.

use crate::failure::Result;
use crate::plan::refused;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

/// One file and what is written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// What is written if the file does not exist.
    pub(super) instead: Option<(&'static str, String)>,
    /// It follows from another limit: a kernel that does not have it is no reason to refuse.
    pub(super) derived: bool,
}

impl Setting {
    pub(super) fn new(file: &'static str, value: impl ToString) -> Self {
        Self { file, value: value.to_string(), instead: None, derived: false }
    }

    /// Whether it only says that there is no limit.
    pub(super) fn is_no_limit(&self) -> bool {
        self.value == "max" || self.value == "-1"
    }
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// Shares of version 1 (2 to 262144) as a weight of version 2 (1 to 10000): a quadratic curve between the logarithms through
/// the least, the default (1024 and 100) and the most of both.
fn cpu_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            (10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0)).ceil() as u64
        }
    }
}

/// Weights of version 1 (10 to 1000) as weights of version 2 (1 to 10000).
fn io_weight(weight: u64) -> u64 {
    1 + (weight.clamp(10, 1000) - 10) * 9_999 / 990
}

fn unsupported(resources: &LinuxResources) -> Result<()> {
    if resources.hugepage_limits().as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(refused("linux.resources.hugepageLimits", "they are not supported"));
    }
    if resources.rdma().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(refused("linux.resources.rdma", "it is not supported"));
    }
    Ok(())
}

/// Files of version 2 (Documentation/admin-guide/cgroup-v2.rst).
pub(super) fn unified(resources: &LinuxResources) -> Result<Vec<Setting>> {
    unsupported(resources)?;
    let mut settings: Vec<Setting> = Vec::new();
    if let Some(memory) = resources.memory() {
        unified_memory(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        unified_cpu(cpu, &mut settings);
    }
    unified_block(resources, &mut settings);
    if let Some(limit) = resources.pids().as_ref().map(|p| p.limit()).filter(|l| *l != 0) {
        settings.push(Setting::new("pids.max", or_max(limit)));
    }
    Ok(settings)
}

fn unified_memory(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<()> {
    if memory.disable_oom_killer() == Some(true) {
        return Err(refused(
            "linux.resources.memory.disableOOMKiller",
            "control groups of version 2 do not have it",
        ));
    }
    if memory.swappiness().is_some() {
        return Err(refused(
            "linux.resources.memory.swappiness",
            "control groups of version 2 do not have it",
        ));
    }
    let limit = memory.limit().filter(|l| *l != 0);
    if let Some(limit) = limit {
        settings.push(Setting::new("memory.max", or_max(limit)));
    }
    if let Some(low) = memory.reservation().filter(|l| *l != 0) {
        settings.push(Setting::new("memory.low", or_max(low)));
    }
    // Version 2 counts swap alone, the configuration counts both.
    let swap = match (memory.swap().filter(|s| *s != 0), limit) {
        (None, _) => return Ok(()),
        (Some(swap), _) if swap < 0 => "max".to_owned(),
        (Some(swap), Some(limit)) if limit > 0 && swap >= limit => (swap - limit).to_string(),
        _ => {
            return Err(refused(
                "linux.resources.memory.swap",
                "it counts memory and swap, so it needs a limit of memory and cannot be less than that",
            ));
        }
    };
    settings.push(Setting { derived: true, ..Setting::new("memory.swap.max", swap) });
    Ok(())
}

fn unified_cpu(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
        settings.push(Setting::new("cpu.weight", cpu_weight(shares)));
    }
    let period = cpu.period().filter(|p| *p != 0);
    let quota = cpu.quota().filter(|q| *q != 0);
    if quota.is_some() || period.is_some() {
        let quota = quota.map_or_else(|| "max".to_owned(), or_max);
        settings.push(Setting::new("cpu.max", format!("{quota} {}", period.unwrap_or(100_000))));
    }
    settings.extend(cpusets(cpu));
}

fn cpusets(cpu: &LinuxCpu) -> impl Iterator<Item = Setting> {
    let files = [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())];
    let given = |(file, value): (&'static str, &Option<String>)| {
        value.as_ref().filter(|v| !v.is_empty()).map(|value| Setting::new(file, value))
    };
    files.map(given).into_iter().flatten()
}

/// Device numbers, and limits by the names they have in `io.max`.
type Throttles = Vec<(String, Vec<(&'static str, u64)>)>;

fn throttles(resources: &LinuxResources) -> Throttles {
    let Some(block) = resources.block_io() else { return Vec::new() };
    let lists = [
        ("rbps", block.throttle_read_bps_device()),
        ("wbps", block.throttle_write_bps_device()),
        ("riops", block.throttle_read_iops_device()),
        ("wiops", block.throttle_write_iops_device()),
    ];
    let mut found: Throttles = Vec::new();
    for (name, list) in lists {
        for device in list.iter().flatten() {
            let numbers = format!("{}:{}", device.major(), device.minor());
            match found.iter_mut().find(|(known, _)| *known == numbers) {
                Some((_, limits)) => limits.push((name, device.rate())),
                None => found.push((numbers, vec![(name, device.rate())])),
            }
        }
    }
    found
}

/// Weights: of the group, without a device, and of devices.
fn weights(resources: &LinuxResources) -> Vec<(Option<String>, u64)> {
    let Some(block) = resources.block_io() else { return Vec::new() };
    let own = block.weight().filter(|w| *w != 0).map(|w| (None, u64::from(w)));
    let devices = block
        .weight_device()
        .iter()
        .flatten()
        .filter_map(|d| Some((Some(format!("{}:{}", d.major(), d.minor())), u64::from(d.weight()?))));
    own.into_iter().chain(devices).collect()
}

fn unified_block(resources: &LinuxResources, settings: &mut Vec<Setting>) {
    for (device, weight) in weights(resources) {
        let line = |weight: u64| match &device {
            Some(device) => format!("{device} {weight}"),
            None => weight.to_string(),
        };
        let mut setting = Setting::new("io.bfq.weight", line(weight));
        setting.instead = Some(("io.weight", line(io_weight(weight))));
        settings.push(setting);
    }
    for (device, limits) in throttles(resources) {
        let limits: String = limits.iter().map(|(name, rate)| format!(" {name}={rate}")).collect();
        settings.push(Setting::new("io.max", format!("{device}{limits}")));
    }
}

/// Files of version 1 by controller. Only controllers with something to set are named.
pub(super) fn split(resources: &LinuxResources) -> Result<Vec<(&'static str, Vec<Setting>)>> {
    unsupported(resources)?;
    let mut pids = Vec::new();
    if let Some(limit) = resources.pids().as_ref().map(|p| p.limit()).filter(|l| *l != 0) {
        pids.push(Setting::new("pids.max", or_max(limit)));
    }
    let cpuset = resources.cpu().iter().flat_map(cpusets).collect();
    let all = [
        ("memory", split_memory(resources)),
        ("cpu", split_cpu(resources)),
        ("cpuset", cpuset),
        ("blkio", split_block(resources)),
        ("pids", pids),
    ];
    Ok(all.into_iter().filter(|(_, settings)| !settings.is_empty()).collect())
}

fn split_memory(resources: &LinuxResources) -> Vec<Setting> {
    let Some(memory) = resources.memory() else { return Vec::new() };
    let mut settings = Vec::new();
    let numbers = [
        ("memory.limit_in_bytes", memory.limit()),
        ("memory.soft_limit_in_bytes", memory.reservation()),
        ("memory.memsw.limit_in_bytes", memory.swap()),
    ];
    for (file, limit) in numbers {
        let derived = file.contains("memsw");
        settings
            .extend(limit.filter(|l| *l != 0).map(|l| Setting { derived, ..Setting::new(file, l.max(-1)) }));
    }
    settings.extend(memory.swappiness().map(|s| Setting::new("memory.swappiness", s)));
    if memory.disable_oom_killer() == Some(true) {
        settings.push(Setting::new("memory.oom_control", 1));
    }
    settings
}

fn split_cpu(resources: &LinuxResources) -> Vec<Setting> {
    let Some(cpu) = resources.cpu() else { return Vec::new() };
    let mut settings = Vec::new();
    settings.extend(cpu.shares().filter(|s| *s != 0).map(|s| Setting::new("cpu.shares", s)));
    settings.extend(cpu.period().filter(|p| *p != 0).map(|p| Setting::new("cpu.cfs_period_us", p)));
    settings.extend(cpu.quota().filter(|q| *q != 0).map(|q| Setting::new("cpu.cfs_quota_us", q.max(-1))));
    settings
}

fn split_block(resources: &LinuxResources) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (device, weight) in weights(resources) {
        let (file, bfq, value) = match device {
            None => ("blkio.weight", "blkio.bfq.weight", weight.to_string()),
            Some(device) => ("blkio.weight_device", "blkio.bfq.weight_device", format!("{device} {weight}")),
        };
        settings.push(Setting { instead: Some((bfq, value.clone())), ..Setting::new(file, value) });
    }
    for (device, limits) in throttles(resources) {
        for (name, rate) in limits {
            let file = match name {
                "rbps" => "blkio.throttle.read_bps_device",
                "wbps" => "blkio.throttle.write_bps_device",
                "riops" => "blkio.throttle.read_iops_device",
                _ => "blkio.throttle.write_iops_device",
            };
            settings.push(Setting::new(file, format!("{device} {rate}")));
        }
    }
    settings
}
