//! From limits of an OCI configuration to files of control groups. Pure.

use crate::failure::Result;
use crate::plan::refused;
use oci_spec::runtime::LinuxResources;

/// One file and what is written into it.
pub(super) type Setting = (&'static str, String);

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// Shares of version 1 (2 to 262144) as a weight of version 2 (1 to 10000), so that least, default and most correspond.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

fn unsupported(resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().unwrap_or_default();
    if memory.disable_oom_killer() == Some(true) {
        return Err(refused("linux.resources.memory.disableOOMKiller", "it is not supported"));
    }
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
        if let Some(limit) = memory.limit().filter(|l| *l != 0) {
            settings.push(("memory.max", or_max(limit)));
        }
        if let Some(low) = memory.reservation().filter(|l| *l != 0) {
            settings.push(("memory.low", or_max(low)));
        }
        match (memory.swap().filter(|s| *s != 0), memory.limit().filter(|l| *l > 0)) {
            (None, _) => {}
            (Some(swap), _) if swap < 0 => settings.push(("memory.swap.max", "max".to_owned())),
            (Some(swap), Some(limit)) if swap >= limit => {
                settings.push(("memory.swap.max", (swap - limit).to_string()))
            }
            _ => {
                return Err(refused(
                    "linux.resources.memory.swap",
                    "it counts memory and swap, so it cannot be less than the limit",
                ));
            }
        }
    }
    if let Some(cpu) = resources.cpu() {
        if let Some(shares) = cpu.shares().filter(|s| *s != 0) {
            settings.push(("cpu.weight", weight(shares).to_string()));
        }
        let period = cpu.period().filter(|p| *p != 0).unwrap_or(100_000);
        match cpu.quota().filter(|q| *q != 0) {
            Some(quota) if quota > 0 => settings.push(("cpu.max", format!("{quota} {period}"))),
            Some(_) => settings.push(("cpu.max", format!("max {period}"))),
            None if cpu.period().is_some_and(|p| p != 0) => {
                settings.push(("cpu.max", format!("max {period}")))
            }
            None => {}
        }
        if let Some(cpus) = cpu.cpus().as_ref().filter(|c| !c.is_empty()) {
            settings.push(("cpuset.cpus", cpus.clone()));
        }
        if let Some(mems) = cpu.mems().as_ref().filter(|m| !m.is_empty()) {
            settings.push(("cpuset.mems", mems.clone()));
        }
    }
    if let Some(limit) = resources.pids().as_ref().map(|p| p.limit()).filter(|l| *l != 0) {
        settings.push(("pids.max", or_max(limit)));
    }
    Ok(settings)
}

/// Files of version 1 by controller. Only controllers with something to set are named.
pub(super) fn split(resources: &LinuxResources) -> Result<Vec<(&'static str, Vec<Setting>)>> {
    unsupported(resources)?;
    let mut result: Vec<(&'static str, Vec<Setting>)> = Vec::new();
    let (mut memory, mut cpu, mut cpuset, mut pids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    if let Some(limits) = resources.memory() {
        if let Some(limit) = limits.limit().filter(|l| *l != 0) {
            memory.push(("memory.limit_in_bytes", limit.to_string()));
        }
        if let Some(low) = limits.reservation().filter(|l| *l != 0) {
            memory.push(("memory.soft_limit_in_bytes", low.to_string()));
        }
        if let Some(swap) = limits.swap().filter(|s| *s != 0) {
            memory.push(("memory.memsw.limit_in_bytes", swap.to_string()));
        }
    }
    if let Some(limits) = resources.cpu() {
        if let Some(shares) = limits.shares().filter(|s| *s != 0) {
            cpu.push(("cpu.shares", shares.to_string()));
        }
        if let Some(period) = limits.period().filter(|p| *p != 0) {
            cpu.push(("cpu.cfs_period_us", period.to_string()));
        }
        if let Some(quota) = limits.quota().filter(|q| *q != 0) {
            cpu.push(("cpu.cfs_quota_us", quota.to_string()));
        }
        if let Some(cpus) = limits.cpus().as_ref().filter(|c| !c.is_empty()) {
            cpuset.push(("cpuset.cpus", cpus.clone()));
        }
        if let Some(mems) = limits.mems().as_ref().filter(|m| !m.is_empty()) {
            cpuset.push(("cpuset.mems", mems.clone()));
        }
    }
    if let Some(limit) = resources.pids().as_ref().map(|p| p.limit()).filter(|l| *l != 0) {
        pids.push(("pids.max", or_max(limit)));
    }
    for (controller, settings) in [("memory", memory), ("cpu", cpu), ("cpuset", cpuset), ("pids", pids)] {
        if !settings.is_empty() {
            result.push((controller, settings));
        }
    }
    Ok(result)
}
