//! Limits: checked as Docker does, and turned into the model's.

use super::machine::{Machine, numbers};
use crate::error::ApiError;
use crate::request;
use hull_model::{DeviceRate, Resources, RestartPolicy};

/// The least memory that a container can be limited to.
const MIN_MEMORY: i64 = 6 << 20;
/// Units of a CPU.
const NANO: i64 = 1_000_000_000;

/// Checked limits, and what the person should know.
pub(crate) type Limits = Result<(Resources, Vec<String>), ApiError>;

/// Checks limits. Normalises those that Docker changes silently, so that inspections show what is in force.
pub(crate) fn limits(r: &mut request::Resources, machine: &Machine, update: bool) -> Limits {
    let mut warnings = Vec::new();
    memory(r, update)?;
    cpu(r, machine, &mut warnings)?;
    sets(r, machine)?;
    block(r, machine, &mut warnings)?;
    out_of_memory(r, machine, update, &mut warnings);
    r.pids_limit = r.pids_limit.filter(|p| *p > 0);
    Ok((model(r), warnings))
}

fn refuse(holds: bool, words: &str) -> Result<(), ApiError> {
    if holds { Err(ApiError::bad_request(words)) } else { Ok(()) }
}

fn memory(r: &mut request::Resources, update: bool) -> Result<(), ApiError> {
    refuse(r.memory != 0 && r.memory < MIN_MEMORY, "Minimum memory limit allowed is 6MB")?;
    refuse(
        r.memory > 0 && r.memory_swap > 0 && r.memory_swap < r.memory,
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    )?;
    refuse(
        r.memory == 0 && r.memory_swap > 0 && !update,
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    )?;
    if let Some(swappiness) = r.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        let why = format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100");
        return Err(ApiError::bad_request(why));
    }
    r.memory_swappiness = r.memory_swappiness.filter(|s| *s >= 0);
    let reserved = r.memory_reservation;
    refuse(reserved > 0 && reserved < MIN_MEMORY, "Minimum memory reservation allowed is 6MB")?;
    refuse(
        r.memory > 0 && reserved > 0 && r.memory < reserved,
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    )?;
    if r.memory > 0 && r.memory_swap == 0 && !update {
        r.memory_swap = r.memory.saturating_mul(2);
    }
    // Kernel memory cannot be limited apart any more, by no kernel; Docker ignores it as well since API 1.42.
    (r.kernel_memory, r.kernel_memory_tcp) = (0, 0);
    Ok(())
}

fn cpu(r: &mut request::Resources, machine: &Machine, warnings: &mut Vec<String>) -> Result<(), ApiError> {
    let nano = r.nano_cpus != 0;
    refuse(nano && r.cpu_period != 0, "Conflicting options: Nano CPUs and CPU Period cannot both be set")?;
    refuse(nano && r.cpu_quota != 0, "Conflicting options: Nano CPUs and CPU Quota cannot both be set")?;
    let count = machine.cpu_count();
    let most = i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(NANO);
    if nano && !(0..=most).contains(&r.nano_cpus) {
        return Err(ApiError::bad_request(format!(
            "range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available"
        )));
    }
    if r.cpu_shares < 0 {
        let why = format!("invalid CPU shares ({}): value must be a positive integer", r.cpu_shares);
        return Err(ApiError::bad_request(why));
    }
    refuse(
        r.cpu_period != 0 && !(1_000..=1_000_000).contains(&r.cpu_period),
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    )?;
    refuse(r.cpu_quota > 0 && r.cpu_quota < 1_000, "CPU cfs quota can not be less than 1ms (i.e. 1000)")?;
    refuse(
        r.cpu_realtime_runtime > r.cpu_realtime_period && r.cpu_realtime_period != 0,
        "cpu real-time runtime cannot be higher than cpu real-time period",
    )?;
    if r.cpu_realtime_period != 0 || r.cpu_realtime_runtime != 0 {
        return Err(ApiError::bad_request("kernel does not support CPU real-time scheduler"));
    }
    if r.cpu_percent > 0 {
        warnings.push("linux does not support CPU percent. Percent discarded.".to_owned());
        r.cpu_percent = 0;
    }
    Ok(())
}

fn sets(r: &request::Resources, machine: &Machine) -> Result<(), ApiError> {
    let kinds = [
        (&r.cpuset_cpus, &machine.cpus, "cpus", "CPUs"),
        (&r.cpuset_mems, &machine.nodes, "mems", "memory nodes"),
    ];
    for (wanted, there, option, noun) in kinds {
        let bad = || {
            let why = format!("Invalid value {wanted} for cpuset {option}: invalid format: {wanted}");
            ApiError::bad_request(why)
        };
        let set = numbers(wanted).ok_or_else(bad)?;
        if !numbers(there).is_some_and(|t| set.is_subset(&t)) {
            return Err(ApiError::bad_request(format!(
                "Requested {noun} are not available - requested {wanted}, available: {there}"
            )));
        }
    }
    Ok(())
}

fn block(r: &mut request::Resources, machine: &Machine, warnings: &mut Vec<String>) -> Result<(), ApiError> {
    let weighed = r.blkio_weight_device.as_ref().is_some_and(|d| !d.is_empty());
    if r.blkio_weight > 0 && !machine.blkio_weight {
        let words =
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.";
        warnings.push(words.to_owned());
        r.blkio_weight = 0;
    }
    refuse(
        r.blkio_weight > 0 && !(10..=1000).contains(&r.blkio_weight),
        "Range of blkio weight is from 10 to 1000",
    )?;
    if weighed && !machine.blkio_weight {
        let words = "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.";
        warnings.push(words.to_owned());
        r.blkio_weight_device = Some(Vec::new());
    }
    refuse(
        r.io_maximum_bandwidth != 0,
        "invalid option: QoS maximum bandwidth configuration is not supported on linux",
    )?;
    refuse(r.io_maximum_iops != 0, "invalid option: QoS maximum IOPs configuration is not supported on linux")
}

fn out_of_memory(r: &mut request::Resources, machine: &Machine, update: bool, warnings: &mut Vec<String>) {
    if r.oom_kill_disable == Some(true) && machine.unified {
        warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned());
        r.oom_kill_disable = None;
    }
    if r.oom_kill_disable == Some(true) && r.memory == 0 && !update {
        let words = "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.";
        warnings.push(words.to_owned());
    }
    if r.oom_kill_disable.is_none() && !machine.unified && !update {
        r.oom_kill_disable = Some(false);
    }
}

/// No limit for zero and less.
fn positive(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|v| *v > 0)
}

fn model(r: &request::Resources) -> Resources {
    let text = |t: &String| Some(t.clone()).filter(|t| !t.is_empty());
    let rates = |list: &Option<Vec<request::ThrottleDevice>>| -> Vec<DeviceRate> {
        let list = list.iter().flatten().filter(|d| d.rate > 0);
        list.map(|d| DeviceRate { path: d.path.clone().into(), value: d.rate }).collect()
    };
    let weights = r.blkio_weight_device.iter().flatten();
    Resources {
        memory: positive(r.memory),
        memory_swap: match r.memory_swap {
            -1 => Some(u64::MAX),
            other => positive(other),
        },
        memory_reservation: positive(r.memory_reservation),
        nano_cpus: positive(r.nano_cpus),
        cpu_quota: Some(r.cpu_quota).filter(|q| *q > 0),
        cpu_period: positive(r.cpu_period),
        // The kernel takes less and more for the nearest it can do.
        cpu_shares: positive(r.cpu_shares).map(|s| s.clamp(2, 262_144)),
        cpuset: text(&r.cpuset_cpus),
        cpuset_mems: text(&r.cpuset_mems),
        pids: r.pids_limit.and_then(positive),
        memory_swappiness: r.memory_swappiness.and_then(|s| u64::try_from(s).ok()),
        oom_kill_disable: r.oom_kill_disable == Some(true),
        blkio_weight: Some(r.blkio_weight).filter(|w| *w > 0),
        blkio_weight_device: weights
            .map(|d| DeviceRate { path: d.path.clone().into(), value: d.weight.into() })
            .collect(),
        device_read_bps: rates(&r.blkio_device_read_bps),
        device_write_bps: rates(&r.blkio_device_write_bps),
        device_read_iops: rates(&r.blkio_device_read_iops),
        device_write_iops: rates(&r.blkio_device_write_iops),
    }
}

/// Checks a restart policy.
pub(crate) fn restart(policy: &request::RestartPolicy) -> Result<RestartPolicy, ApiError> {
    let bad = |why: &str| Err(ApiError::bad_request(format!("invalid restart policy: {why}")));
    let retries = policy.maximum_retry_count;
    match policy.name.as_str() {
        "" | "no" | "always" | "unless-stopped" if retries < 0 => {
            bad("maximum retry count can only be used with 'on-failure' and cannot be negative")
        }
        "" | "no" | "always" | "unless-stopped" if retries > 0 => {
            bad("maximum retry count can only be used with 'on-failure'")
        }
        "" | "no" => Ok(RestartPolicy::No),
        "always" => Ok(RestartPolicy::Always),
        "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
        "on-failure" if retries < 0 => bad("maximum retry count cannot be negative"),
        "on-failure" => {
            Ok(RestartPolicy::OnFailure { max_retries: u32::try_from(retries).ok().filter(|r| *r > 0) })
        }
        other => bad(&format!(
            "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}
