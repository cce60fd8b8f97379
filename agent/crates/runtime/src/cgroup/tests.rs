use super::*;
use oci_spec::runtime::LinuxResources;

fn resources(json: serde_json::Value) -> LinuxResources {
    serde_json::from_value(json).unwrap()
}

fn written(settings: &[limits::Setting]) -> Vec<(&str, &str)> {
    settings.iter().map(|setting| (setting.file, setting.value.as_str())).collect()
}

#[test]
fn limits_become_files_of_version_2() {
    let wanted = resources(serde_json::json!({
        "memory": {"limit": 1048576, "reservation": 4096, "swap": 2097152},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 7},
        "blockIO": {
            "weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}, {"major": 8, "minor": 16, "rate": 9}],
        },
    }));
    let settings = limits::unified(&wanted).unwrap();
    let expected = [
        ("memory.max", "1048576"),
        ("memory.low", "4096"),
        ("memory.swap.max", "1048576"),
        ("cpu.weight", "100"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("io.bfq.weight", "500"),
        ("io.bfq.weight", "8:0 10"),
        ("io.max", "8:0 rbps=1024 wiops=7"),
        ("io.max", "8:16 wiops=9"),
        ("pids.max", "7"),
    ];
    assert_eq!(written(&settings), expected);
    let instead = |index: usize| settings[index].instead.clone().unwrap();
    assert_eq!((instead(7), instead(8)), (("io.weight", "4950".into()), ("io.weight", "8:0 1".into())));
}

#[test]
fn limits_become_files_of_version_1() {
    let wanted = resources(serde_json::json!({
        "memory": {"limit": 4096, "swap": -1, "swappiness": 0, "disableOOMKiller": true},
        "cpu": {"shares": 2, "quota": -1, "period": 1000},
        "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
    }));
    let all = limits::split(&wanted).unwrap();
    let found: Vec<(&str, Vec<(&str, &str)>)> =
        all.iter().map(|(c, settings)| (*c, written(settings))).collect();
    let memory = vec![
        ("memory.limit_in_bytes", "4096"),
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.swappiness", "0"),
        ("memory.oom_control", "1"),
    ];
    let cpu = vec![("cpu.shares", "2"), ("cpu.cfs_period_us", "1000"), ("cpu.cfs_quota_us", "-1")];
    let block = vec![("blkio.weight", "10"), ("blkio.throttle.read_bps_device", "8:0 1")];
    assert_eq!(found, [("memory", memory), ("cpu", cpu), ("blkio", block)]);
}

#[test]
fn weights_of_processors_correspond() {
    let weight = |shares: u64| {
        let settings = limits::unified(&resources(serde_json::json!({"cpu": {"shares": shares}}))).unwrap();
        settings[0].value.parse::<u64>().unwrap()
    };
    for (shares, expected) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (1 << 40, 10_000)] {
        assert_eq!(weight(shares), expected, "{shares}");
    }
    let all: Vec<u64> = (1..=18).map(|power| weight(1 << power)).collect();
    assert!(all.is_sorted(), "{all:?}");
}

#[test]
fn no_limit_and_impossible_limits() {
    let unlimited =
        resources(serde_json::json!({"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}}));
    let settings = limits::unified(&unlimited).unwrap();
    assert!(settings.iter().all(|setting| setting.value == "max"), "{settings:?}");
    for wrong in [
        serde_json::json!({"memory": {"limit": 10, "swap": 5}}),
        serde_json::json!({"memory": {"swap": 5}}),
        serde_json::json!({"memory": {"disableOOMKiller": true}}),
        serde_json::json!({"memory": {"swappiness": 5}}),
    ] {
        assert!(limits::unified(&resources(wrong.clone())).is_err(), "{wrong}");
    }
    assert_eq!(limits::split(&LinuxResources::default()).unwrap(), vec![]);
}

/// A plan that wants only limits, and everything of devices, so that no kernel is asked.
fn limited(limits: serde_json::Value, path: &str) -> ContainerPlan {
    let mut limits = limits;
    limits["devices"] = serde_json::json!([{"allow": true}]);
    let spec = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "mount"}], "resources": limits, "cgroupsPath": path},
    });
    let root = crate::plan::RootSource::Directory("/image".into());
    let extras = crate::plan::Extras { root, user: None, init: false };
    ContainerPlan::new(&serde_json::from_value(spec).unwrap(), extras).unwrap()
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let cgroups = Cgroups::Unified { root: root.path().into(), parent: root.path().into() };
    let group = Cgroup { unified: root.path().join("c1"), split: Vec::new(), made: Vec::new() };
    std::fs::create_dir(&group.unified).unwrap();
    std::fs::write(group.unified.join("memory.max"), "max\n").unwrap();
    let wanted = resources(serde_json::json!({"memory": {"limit": 4096}, "pids": {"limit": 1}}));
    let failure = cgroups.update(&group, "c1", &wanted).unwrap_err();
    assert!(
        failure.to_string().contains("pids.max") && failure.reason.contains("does not have it"),
        "{failure}"
    );
    let left = std::fs::read_to_string(group.unified.join("memory.max")).unwrap();
    assert!(left.starts_with("max"), "{left}");
}

#[test]
fn a_group_is_made_and_removed_below_a_given_root() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
    std::fs::write(root.path().join("cgroup.subtree_control"), "").unwrap();
    let cgroups = Cgroups::discover(root.path(), "0::/\n", false).unwrap();
    assert_eq!(cgroups, Cgroups::Unified { root: root.path().into(), parent: root.path().join("hull") });
    assert_eq!(std::fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "+memory");
    std::fs::create_dir(root.path().join("hull/c1")).unwrap();
    std::fs::write(root.path().join("hull/c1/pids.max"), "").unwrap();
    let plan = limited(serde_json::json!({"pids": {"limit": 5}}), "/hull/c1");
    let group = cgroups.create("c1", &plan, &mut Programs::default()).unwrap();
    assert_eq!(std::fs::read_to_string(group.unified.join("pids.max")).unwrap(), "5");
    std::fs::write(group.unified.join("memory.events"), "low 0\noom 1\noom_kill 2\n").unwrap();
    assert!(group.oom_killed());
    std::fs::remove_file(group.unified.join("memory.events")).unwrap();
    std::fs::remove_file(group.unified.join("pids.max")).unwrap();
    assert!(!group.oom_killed());
    group.remove().unwrap();
    group.remove().unwrap();
    cgroups.remove_parent();
    assert!(!root.path().join("hull").exists());
}

#[test]
fn a_delegated_group_is_divided() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("system.slice/hull.service");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(root.path().join("cgroup.controllers"), "").unwrap();
    let cgroups = Cgroups::discover(root.path(), "0::/system.slice/hull.service\n", true).unwrap();
    assert_eq!(cgroups, Cgroups::Unified { root: root.path().into(), parent: own.clone() });
    assert_eq!(std::fs::read_to_string(own.join("supervisor/cgroup.procs")).unwrap(), "0");
    // Started again, it finds itself in the leaf.
    let again = Cgroups::discover(root.path(), "0::/system.slice/hull.service/supervisor\n", true).unwrap();
    assert_eq!(again, cgroups);
}

#[test]
fn a_host_without_version_2_is_refused() {
    let root = tempfile::tempdir().unwrap();
    assert!(Cgroups::discover(root.path(), "", false).is_err());
}

#[test]
fn a_group_below_another_takes_along_what_was_made_for_it() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("cgroup.controllers"), "").unwrap();
    let cgroups = Cgroups::discover(root.path(), "0::/\n", false).unwrap();
    std::fs::create_dir(root.path().join("there")).unwrap();
    let plan = limited(serde_json::json!({}), "/there/made/c1");
    let group = cgroups.create("c1", &plan, &mut Programs::default()).unwrap();
    assert_eq!(group.unified, root.path().join("there/made/c1"));
    // Files of the kernel's vanish with their directory; these do not.
    for directory in ["there", "there/made"] {
        let _ = std::fs::remove_file(root.path().join(directory).join("cgroup.subtree_control"));
    }
    group.remove().unwrap();
    assert!(!root.path().join("there/made").exists() && root.path().join("there").exists());
}
