//! Which devices a container can use, for real: the kernel asks our program.

mod common;

use common::{Host, specification};
use serde_json::{Value, json};

const READ_ZERO: &str =
    "head -c 1 /dev/mine >/dev/null && echo read; echo x >/dev/mine && echo written; true";

/// A specification with rules and nodes as `docker run` makes them.
fn with(args: &[&str], devices: Value, rules: &[Value]) -> Value {
    let mut spec = specification(args);
    let mut all = vec![
        json!({"allow": false, "access": "rwm"}),
        json!({"allow": true, "type": "c", "access": "m"}),
        json!({"allow": true, "type": "b", "access": "m"}),
    ];
    for minor in [3, 5, 7, 8, 9] {
        all.push(json!({"allow": true, "type": "c", "major": 1, "minor": minor, "access": "rwm"}));
    }
    all.extend(rules.iter().cloned());
    spec["linux"]["devices"] = devices;
    spec["linux"]["resources"]["devices"] = json!(all);
    spec
}

/// /dev/fuse has a number that no container may use by itself.
fn fuse(access: &str) -> Value {
    json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": access})
}

#[tokio::test]
async fn a_device_is_shown_elsewhere_with_its_permissions() {
    let host = Host::new().await;
    let node = |path: &str| json!([{"path": path, "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 33, "gid": 34}]);
    let script = "busybox stat -c '%F %t %T %a %u %g' /dev/sub/mine; true < /dev/sub/mine && echo opened; \
        true > /dev/sub/mine || echo refused; chmod 600 /dev/sub/mine && busybox stat -c %a /dev/sub/mine";
    let (_, output) =
        host.run(&host.bundle_of(with(&["sh", "-c", script], node("/dev/sub/mine"), &[fuse("r")]))).await;
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "character special file a e5 640 33 34", "{output}");
    assert_eq!(lines[1], "opened", "{output}");
    assert!(output.contains("refused") && output.ends_with("600\n"), "{output}");
    // Anywhere, and in the same layer again.
    let bundle =
        host.bundle_of(with(&["sh", "-c", "true <> /srv/x && echo opened"], node("/srv/x"), &[fuse("rwm")]));
    for _ in 0..2 {
        let (status, output) = host.run(&bundle).await;
        assert_eq!(status.code, 0);
        assert_eq!(output, "opened\n");
        hull_ports::Runtime::remove(&host.driver, &bundle.id).await.unwrap();
    }
    host.finish().await;
}

#[tokio::test]
async fn rules_hold_for_nodes_that_the_container_makes() {
    let host = Host::new().await;
    let script = format!(
        "mknod /dev/mine c 1 5 && {READ_ZERO}; mknod /tmp/k c 1 11; cat /tmp/k; mknod /l b 7 0; cat /l; echo end"
    );
    // Nothing asked for: whatever it makes is closed to it, whether or not the number is one it may use.
    let (_, output) = host.run(&host.bundle_of(with(&["sh", "-c", &script], json!([]), &[]))).await;
    assert!(
        !output.contains("read\n") && !output.contains("written\n") && output.ends_with("end\n"),
        "{output}"
    );
    assert_eq!(output.matches("ermission denied").count(), 4, "{output}");
    // A rule for a device without a node: nodes count, as far as the rules go.
    let rule = json!({"allow": true, "type": "c", "major": 10, "access": "rwm"});
    let (_, output) = host.run(&host.bundle_of(with(&["sh", "-c", &script], json!([]), &[rule]))).await;
    assert!(output.starts_with("read\nwritten\n"), "{output}");
    assert_eq!(output.matches("Operation not permitted").count(), 2, "{output}");
    host.finish().await;
}

#[tokio::test]
async fn a_rule_without_leave_to_make_forbids_making() {
    let host = Host::new().await;
    let mut spec = specification(&["sh", "-c", "mknod /tmp/z c 1 5; echo $?; cat /dev/null; echo $?"]);
    let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"});
    spec["linux"]["resources"]["devices"] = json!([{"allow": false, "access": "rwm"}, rule]);
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.contains("Operation not permitted") && output.ends_with("1\n0\n"), "{output}");
    host.finish().await;
}

#[tokio::test]
async fn privileged_containers_use_all_devices() {
    let host = Host::new().await;
    let node = json!([{"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o644}]);
    let script = "true < /dev/mine && echo opened; mknod /tmp/z c 1 5 && head -c 3 /tmp/z | busybox wc -c";
    let mut spec = with(&["sh", "-c", script], node, &[json!({"allow": true})]);
    spec["linux"]["seccomp"] = Value::Null;
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert_eq!(output, "opened\n3\n");
    host.finish().await;
}

/// The host's /dev as a bind: the devices of every container work through it, others do not.
#[tokio::test]
async fn the_hosts_devices_are_bound_and_still_ruled() {
    let host = Host::new().await;
    let mut spec =
        with(&["sh", "-c", "echo x > /host/null && echo ok; true < /host/fuse; true"], json!([]), &[]);
    spec["mounts"].as_array_mut().unwrap().push(
        json!({"destination": "/host", "type": "bind", "source": "/dev", "options": ["rbind", "rprivate"]}),
    );
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.starts_with("ok\n") && output.contains("Operation not permitted"), "{output}");
    host.finish().await;
}

/// Further processes are bound by the same rules, and a program takes the place of another without a moment between.
#[tokio::test]
async fn programs_are_replaced() {
    use hull_sys::bpf;
    use std::os::fd::AsFd as _;
    let host = Host::new().await;
    let bundle = host.bundle_of(with(&["sleep", "60"], json!([]), &[]));
    hull_ports::Runtime::start(&host.driver, &bundle).await.unwrap();
    let own = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let root = own
        .lines()
        .find(|l| l.split(' ').nth(2) == Some("cgroup2"))
        .and_then(|l| l.split(' ').nth(1))
        .unwrap();
    let group = std::fs::File::open(format!("{root}/hull/{}", bundle.id)).unwrap();
    assert_eq!(bpf::attached(group.as_fd()).unwrap().len(), 1);
    let read = ["cat", "/dev/null"];
    assert_eq!(host.exec(&bundle.id, &read).await.0.code, 0);
    // mov r0, 0; exit: nothing at all.
    let nothing = [(0xb7, 0), (0x95, 0)].map(|(code, immediate)| bpf::Instruction {
        code,
        registers: 0,
        offset: 0,
        immediate,
    });
    let program = bpf::load_device_program(&nothing).unwrap();
    bpf::attach_device_program(group.as_fd(), program.as_fd()).unwrap();
    assert_eq!(bpf::attached(group.as_fd()).unwrap().len(), 1);
    let (status, output) = host.exec(&bundle.id, &read).await;
    assert!(status.code != 0 && output.contains("Operation not permitted"), "{output}");
    host.finish().await;
}

/// On a host where version 2 is all there is: what is missing is named, devices are ruled.
#[test]
fn a_bundle_in_a_hierarchy_without_controllers() {
    let root = std::path::Path::new("/sys/fs/cgroup/unified");
    if !root.join("cgroup.controllers").exists() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    common::make_image(&directory.path().join("image"));
    let run = |limits: Value, path: &str| {
        let mut spec = with(
            &[
                "sh",
                "-c",
                "mknod /tmp/x c 10 229; mknod /tmp/y c 1 3; true < /tmp/x; true < /tmp/y; echo end",
            ],
            json!([]),
            &[
                json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}),
                json!({"allow": true, "type": "c", "major": 99, "access": "rw"}),
            ],
        );
        spec["root"] = json!({"path": directory.path().join("image")});
        spec["linux"]["resources"].as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        spec["linux"]["cgroupsPath"] = json!(path);
        std::fs::write(directory.path().join("config.json"), spec.to_string()).unwrap();
        let bundle = directory.path().to_str().unwrap();
        let id = format!("hull-bundle-{}", std::process::id());
        let args = ["run", "--cgroup-root", "/sys/fs/cgroup/unified", "--bundle", bundle, &id];
        let output = std::process::Command::new(common::BINARY).args(args).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let parent = format!("hull-bundle-parent-{}", std::process::id());
    let output = run(json!({}), &format!("/{parent}/x"));
    assert!(output.contains("end\n") && output.contains("/tmp/x: Operation not permitted"), "{output}");
    assert!(!output.contains("/tmp/y"), "{output}");
    assert!(!root.join(&parent).exists());
    let output = run(json!({"memory": {"limit": 1 << 24}}), "/hull/x");
    assert!(output.contains("memory.max") && output.contains("this kernel does not have it"), "{output}");
}
