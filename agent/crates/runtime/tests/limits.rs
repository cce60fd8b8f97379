//! Limits as the kernel has them after a start, and after a change.

mod common;

use common::{Host, specification};
use hull_model::ContainerId;
use hull_ports::Runtime as _;
use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A container's directory in a hierarchy: of a controller, or the only one.
fn group(controller: &str, id: &ContainerId) -> PathBuf {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchy =
        if root.join("cgroup.controllers").exists() { root.to_owned() } else { root.join(controller) };
    hierarchy.join("hull").join(id.as_str())
}

fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn read(controller: &str, file: &str, id: &ContainerId) -> String {
    let path = group(controller, id).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_owned()
}

fn sleeper(resources: Value) -> Value {
    let mut spec = specification(&["sleep", "60"]);
    spec["linux"]["resources"] = resources;
    spec
}

/// The first disk of this host.
fn disk() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/diskstats").unwrap();
    let numbers: Vec<u64> = text.split_whitespace().take(2).map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[1])
}

#[tokio::test]
async fn every_limit_is_in_its_file() {
    let host = Host::new().await;
    let (major, minor) = disk();
    let bundle = host.bundle_of(sleeper(json!({
        "memory": {"limit": 64 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {
            "throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 1048576}],
            "throttleWriteIOPSDevice": [{"major": major, "minor": minor, "rate": 100}],
        },
    })));
    host.driver.start(&bundle).await.unwrap();
    let id = &bundle.id;
    let rows: Vec<(&str, &str, String)> = if unified() {
        vec![
            ("", "memory.max", (64 << 20).to_string()),
            ("", "memory.low", (32 << 20).to_string()),
            ("", "cpu.max", "50000 100000".into()),
            ("", "cpuset.cpus", "0".into()),
            ("", "io.max", format!("{major}:{minor} rbps=1048576 wbps=max riops=max wiops=100")),
            ("", "pids.max", "50".into()),
        ]
    } else {
        vec![
            ("memory", "memory.limit_in_bytes", (64 << 20).to_string()),
            ("memory", "memory.soft_limit_in_bytes", (32 << 20).to_string()),
            ("cpu", "cpu.shares", "2048".into()),
            ("cpu", "cpu.cfs_quota_us", "50000".into()),
            ("cpuset", "cpuset.cpus", "0".into()),
            ("cpuset", "cpuset.mems", "0".into()),
            ("blkio", "blkio.throttle.read_bps_device", format!("{major}:{minor} 1048576")),
            ("blkio", "blkio.throttle.write_iops_device", format!("{major}:{minor} 100")),
            ("pids", "pids.max", "50".into()),
        ]
    };
    for (controller, file, expected) in rows {
        assert_eq!(read(controller, file, id), expected, "{controller} {file}");
        let members = read(controller, "cgroup.procs", id);
        assert!(!members.is_empty(), "nobody is in {controller}");
    }
    host.finish().await;
}

#[tokio::test]
async fn limits_of_what_runs_change_all_or_not_at_all() {
    let host = Host::new().await;
    let bundle = host.bundle_of(sleeper(json!({"memory": {"limit": 64 << 20}})));
    host.driver.start(&bundle).await.unwrap();
    let id = &bundle.id;
    let resources = |value: Value| serde_json::from_value::<LinuxResources>(value).unwrap();
    let memory = if unified() { "memory.max" } else { "memory.limit_in_bytes" };
    // A controller that it had no limit of so far, beside one that it had.
    let more = resources(json!({"memory": {"limit": 128 << 20}, "pids": {"limit": 40}}));
    host.driver.update(id, &more).await.unwrap();
    assert_eq!(read("memory", memory, id), (128 << 20).to_string());
    assert_eq!(read("pids", "pids.max", id), "40");
    let (_, output) = host.exec(id, &["cat", "/proc/self/cgroup"]).await;
    assert!(!output.is_empty());
    assert!(!read("pids", "cgroup.procs", id).is_empty(), "its processes went along");
    // What the kernel refuses takes the rest back.
    let wrong = resources(json!({"memory": {"limit": 32 << 20}, "cpu": {"cpus": "4000"}}));
    let error = host.driver.update(id, &wrong).await.unwrap_err();
    assert!(error.chain().contains("cpuset.cpus"), "{}", error.chain());
    assert_eq!(read("memory", memory, id), (128 << 20).to_string());
    assert!(unified() || !group("cpuset", id).exists());
    host.finish().await;
}

#[tokio::test]
async fn what_the_kernel_does_not_have_is_refused_by_name() {
    let host = Host::new().await;
    let weight = host.bundle_of(sleeper(json!({"blockIO": {"weight": 100}})));
    match host.driver.start(&weight).await {
        Ok(_) => {
            let files = ["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"];
            let value =
                files.iter().find_map(|f| std::fs::read_to_string(group("blkio", &weight.id).join(f)).ok());
            assert!(value.as_deref().is_some_and(|v| v.contains("100") || v.contains("910")), "{value:?}");
        }
        Err(error) => {
            assert!(error.chain().contains("bfq.weight"), "{}", error.chain());
            assert!(!group("unified", &weight.id).exists() && !group("blkio", &weight.id).exists());
        }
    }
    // Swap that follows from a limit of memory is no reason to refuse.
    let swap = host.bundle_of(sleeper(json!({"memory": {"limit": 64 << 20, "swap": 128 << 20}})));
    host.driver.start(&swap).await.unwrap();
    host.finish().await;
}

#[tokio::test]
async fn a_group_is_below_the_one_asked_for_and_takes_it_along() {
    let host = Host::new().await;
    let root =
        if unified() { PathBuf::from("/sys/fs/cgroup") } else { PathBuf::from("/sys/fs/cgroup/unified") };
    let name = format!("hull-test-{}.slice", std::process::id());
    let mut spec = sleeper(json!({"pids": {"limit": 9}}));
    let bundle = host.bundle_of(spec.clone());
    spec["linux"]["cgroupsPath"] = json!(format!("/{name}/inner/{}", bundle.id));
    let bundle = hull_ports::Bundle { spec: serde_json::from_value(spec).unwrap(), ..bundle };
    host.driver.start(&bundle).await.unwrap();
    let place = format!("{name}/inner/{}", bundle.id);
    assert!(std::fs::read_to_string(root.join(&place).join("cgroup.procs")).unwrap().lines().count() > 0);
    let pids = if unified() { root.join(&place) } else { Path::new("/sys/fs/cgroup/pids").join(&place) };
    assert_eq!(std::fs::read_to_string(pids.join("pids.max")).unwrap(), "9\n");
    host.driver.kill(&bundle.id).await.unwrap();
    common::within(host.driver.wait(&bundle.id)).await.unwrap();
    common::until("the groups go", || !root.join(&name).exists() && !pids.exists()).await;
    host.finish().await;
}
