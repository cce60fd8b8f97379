use super::*;
use oci_spec::runtime::LinuxResources;

fn resources(json: serde_json::Value) -> LinuxResources {
    serde_json::from_value(json).unwrap()
}

#[test]
fn limits_become_files_of_version_2() {
    let wanted = resources(serde_json::json!({
        "memory": {"limit": 1048576, "reservation": 4096, "swap": 2097152},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0-1"},
        "pids": {"limit": 7},
    }));
    let settings = limits::unified(&wanted).unwrap();
    let expected = [
        ("memory.max", "1048576"),
        ("memory.low", "4096"),
        ("memory.swap.max", "1048576"),
        ("cpu.weight", "39"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("pids.max", "7"),
    ];
    assert_eq!(settings, expected.map(|(f, v)| (f, v.to_owned())));
}

#[test]
fn no_limit_and_impossible_limits() {
    let unlimited =
        resources(serde_json::json!({"memory": {"limit": -1, "swap": -1}, "pids": {"limit": -1}}));
    let settings = limits::unified(&unlimited).unwrap();
    assert!(settings.iter().all(|(_, value)| value == "max"), "{settings:?}");
    assert!(limits::unified(&resources(serde_json::json!({"memory": {"limit": 10, "swap": 5}}))).is_err());
    assert!(limits::unified(&resources(serde_json::json!({"memory": {"disableOOMKiller": true}}))).is_err());
    assert_eq!(limits::split(&LinuxResources::default()).unwrap(), vec![]);
}

#[test]
fn a_group_is_made_and_removed_below_a_given_root() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("cgroup.controllers"), "cpu memory").unwrap();
    std::fs::write(root.path().join("cgroup.subtree_control"), "").unwrap();
    let cgroups = Cgroups::discover(root.path(), "0::/\n", false).unwrap();
    assert_eq!(cgroups, Cgroups::Unified { parent: root.path().join("hull") });
    assert_eq!(std::fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap(), "+memory");
    let group = cgroups.create("c1", &resources(serde_json::json!({"pids": {"limit": 5}}))).unwrap();
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
    assert_eq!(cgroups, Cgroups::Unified { parent: own.clone() });
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
