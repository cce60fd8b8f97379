//! Limits, in the units of the OCI configuration.

use super::OciError;
use hull_model::{DeviceRate, Resources};
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Device numbers, major and minor, of paths on the host.
pub type DeviceNumbers = BTreeMap<PathBuf, (u64, u64)>;

/// Microseconds in which a share of the CPUs is measured.
const PERIOD: u64 = 100_000;

/// The limits of a container, without rules for devices: what an update of a running one sets. A limit that cannot be told from
/// one that was never set stays.
///
/// # Errors
/// A device that `numbers` does not have.
pub fn linux_resources(resources: &Resources, numbers: &DeviceNumbers) -> Result<LinuxResources, OciError> {
    let mut value = limits(resources, numbers)?;
    if resources.pids.is_none() {
        // One that was there before is taken away.
        value["pids"] = json!({ "limit": -1 });
    }
    Ok(serde_json::from_value(value)?)
}

/// Paths of devices that the limits name.
pub fn limited_devices(resources: &Resources) -> impl Iterator<Item = &PathBuf> {
    let lists = [
        &resources.blkio_weight_device,
        &resources.device_read_bps,
        &resources.device_write_bps,
        &resources.device_read_iops,
        &resources.device_write_iops,
    ];
    lists.into_iter().flatten().map(|rate| &rate.path)
}

pub(super) fn limits(resources: &Resources, numbers: &DeviceNumbers) -> Result<Value, OciError> {
    let mut value = Map::new();
    let parts = [
        ("memory", memory(resources)),
        ("cpu", cpu(resources)),
        ("blockIO", block(resources, numbers)?),
        ("pids", resources.pids.map(|limit| ("limit", json!(limit))).into_iter().collect()),
    ];
    for (name, entries) in parts {
        let map: Map<String, Value> = entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        if !map.is_empty() {
            value.insert(name.to_owned(), Value::Object(map));
        }
    }
    Ok(Value::Object(value))
}

type Entries = Vec<(&'static str, Value)>;

fn memory(r: &Resources) -> Entries {
    let mut entries = Entries::new();
    entries.extend(r.memory.map(|v| ("limit", bytes(v))));
    entries.extend(r.memory_reservation.map(|v| ("reservation", bytes(v))));
    entries.extend(swap(r).map(|v| ("swap", bytes(v))));
    entries.extend(r.memory_swappiness.map(|v| ("swappiness", json!(v))));
    if r.oom_kill_disable {
        entries.push(("disableOOMKiller", json!(true)));
    }
    entries
}

/// Bytes as the signed number of the configuration, where less than nothing is no limit.
fn bytes(value: u64) -> Value {
    json!(i64::try_from(value).unwrap_or(-1))
}

/// Memory and swap together. A memory limit alone allows as much swap again, as in Docker.
fn swap(r: &Resources) -> Option<u64> {
    r.memory_swap.or_else(|| r.memory.map(|m| m.saturating_mul(2)))
}

fn cpu(r: &Resources) -> Entries {
    let mut entries = Entries::new();
    let share = r.nano_cpus.map(|n| n.saturating_mul(PERIOD) / 1_000_000_000);
    let quota = share.map(|q| json!(q)).or(r.cpu_quota.map(|q| json!(q)));
    let period = r.nano_cpus.map(|_| PERIOD).or(r.cpu_period);
    entries.extend(quota.map(|v| ("quota", v)));
    entries.extend(period.map(|v| ("period", json!(v))));
    entries.extend(r.cpu_shares.map(|v| ("shares", json!(v))));
    entries.extend(r.cpuset.as_ref().map(|v| ("cpus", json!(v))));
    entries.extend(r.cpuset_mems.as_ref().map(|v| ("mems", json!(v))));
    entries
}

fn block(r: &Resources, numbers: &DeviceNumbers) -> Result<Entries, OciError> {
    let mut entries = Entries::new();
    entries.extend(r.blkio_weight.map(|v| ("weight", json!(v))));
    let lists = [
        ("weightDevice", "weight", &r.blkio_weight_device),
        ("throttleReadBpsDevice", "rate", &r.device_read_bps),
        ("throttleWriteBpsDevice", "rate", &r.device_write_bps),
        ("throttleReadIOPSDevice", "rate", &r.device_read_iops),
        ("throttleWriteIOPSDevice", "rate", &r.device_write_iops),
    ];
    for (name, what, list) in lists.into_iter().filter(|(.., list)| !list.is_empty()) {
        let of = |rate: &DeviceRate| {
            let missing = || OciError::NoDevice(rate.path.clone());
            let (major, minor) = numbers.get(&rate.path).ok_or_else(missing)?;
            Ok(json!({ "major": major, "minor": minor, what: rate.value }))
        };
        entries.push((name, Value::Array(list.iter().map(of).collect::<Result<_, OciError>>()?)));
    }
    Ok(entries)
}

/// The control group of a container: below Hull's own, or below the one that is asked for, from the root of the hierarchy. The
/// name of a slice stands for its place among slices, as systemd has it: `a-b.slice` is `a.slice/a-b.slice`.
///
/// # Errors
/// A path with `..`, or a name that is none of a slice.
pub(super) fn cgroup_path(parent: Option<&str>, id: &str) -> Result<String, OciError> {
    let Some(parent) = parent.filter(|p| !p.is_empty()) else { return Ok(format!("/hull/{id}")) };
    let wrong = || OciError::CgroupParent(parent.to_owned());
    let parts: Vec<&str> = parent.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") || parent.contains(['\0', '\n']) {
        return Err(wrong());
    }
    if let ([name], Some(stem)) = (parts.as_slice(), parent.strip_suffix(".slice")) {
        if stem == "-" {
            return Ok(format!("/{id}"));
        }
        if stem.is_empty() || stem.split('-').any(str::is_empty) || name.len() != parent.len() {
            return Err(wrong());
        }
        let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
        let slices: Vec<String> = ends.map(|end| format!("{}.slice", &stem[..end])).collect();
        return Ok(format!("/{}/{id}", slices.join("/")));
    }
    let parents: String = parts.iter().map(|part| format!("/{part}")).collect();
    Ok(format!("{parents}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(resources: &Resources) -> Value {
        let numbers = DeviceNumbers::from([("/dev/a".into(), (8, 0)), ("/dev/b".into(), (8, 16))]);
        limits(resources, &numbers).unwrap()
    }

    #[test]
    fn limits_have_the_units_of_the_kernel() {
        let none = Resources::default();
        let rate = |path: &str, value| DeviceRate { path: path.into(), value };
        let rows = [
            (none.clone(), json!({})),
            (
                Resources { memory: Some(1 << 20), ..none.clone() },
                json!({"memory": {"limit": 1 << 20, "swap": 2 << 20}}),
            ),
            (
                Resources { memory: Some(1 << 20), memory_swap: Some(u64::MAX), ..none.clone() },
                json!({"memory": {"limit": 1 << 20, "swap": -1}}),
            ),
            (
                Resources {
                    memory: Some(4096),
                    memory_swap: Some(4096),
                    memory_swappiness: Some(0),
                    ..none.clone()
                },
                json!({"memory": {"limit": 4096, "swap": 4096, "swappiness": 0}}),
            ),
            (
                Resources { memory_reservation: Some(5), oom_kill_disable: true, ..none.clone() },
                json!({"memory": {"reservation": 5, "disableOOMKiller": true}}),
            ),
            (
                Resources { nano_cpus: Some(1_500_000_000), ..none.clone() },
                json!({"cpu": {"quota": 150_000, "period": 100_000}}),
            ),
            (
                Resources {
                    cpu_quota: Some(-1),
                    cpu_period: Some(5000),
                    cpu_shares: Some(2),
                    ..none.clone()
                },
                json!({"cpu": {"quota": -1, "period": 5000, "shares": 2}}),
            ),
            (
                Resources { cpuset: Some("0-1".into()), cpuset_mems: Some("0".into()), ..none.clone() },
                json!({"cpu": {"cpus": "0-1", "mems": "0"}}),
            ),
            (
                Resources {
                    blkio_weight: Some(300),
                    blkio_weight_device: vec![rate("/dev/a", 20)],
                    ..none.clone()
                },
                json!({"blockIO": {"weight": 300, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}]}}),
            ),
            (
                Resources {
                    device_read_bps: vec![rate("/dev/b", 7)],
                    device_write_iops: vec![rate("/dev/a", 9)],
                    ..none
                },
                json!({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 7}],
                    "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 9}]}}),
            ),
        ];
        for (resources, expected) in rows {
            assert_eq!(value(&resources), expected);
            serde_json::from_value::<LinuxResources>(expected).unwrap();
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let list = vec![DeviceRate { path: "/dev/nosuch".into(), value: 1 }];
        let resources = Resources { device_write_bps: list, ..Resources::default() };
        assert_eq!(limited_devices(&resources).count(), 1);
        let error = linux_resources(&resources, &DeviceNumbers::new()).unwrap_err();
        assert_eq!(error.to_string(), "stat /dev/nosuch: no such file or directory");
    }

    #[test]
    fn an_update_takes_limits_of_processes_away() {
        let updated = linux_resources(&Resources::default(), &DeviceNumbers::new()).unwrap();
        assert_eq!(updated.pids().as_ref().map(|p| p.limit()), Some(-1));
        assert!(updated.memory().is_none() && updated.devices().is_none());
    }

    #[test]
    fn groups_have_their_places() {
        for (parent, expected) in [
            (None, "/hull/x"),
            (Some(""), "/hull/x"),
            (Some("foo"), "/foo/x"),
            (Some("/foo/bar/"), "/foo/bar/x"),
            (Some("a.slice"), "/a.slice/x"),
            (Some("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice/x"),
            (Some("-.slice"), "/x"),
            (Some("/a.slice/b"), "/a.slice/b/x"),
        ] {
            assert_eq!(cgroup_path(parent, "x").unwrap(), expected, "{parent:?}");
        }
        for wrong in ["../x", "/a/../b", "a--b.slice", "-a.slice", ".slice", "a\nb"] {
            assert!(cgroup_path(Some(wrong), "x").is_err(), "{wrong}");
        }
    }
}
