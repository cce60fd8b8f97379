use super::*;
use hull_sys::mount::attr;
use serde_json::{Value, json};

fn base() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/", "env": ["A=b"]},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network"}, {"type": "uts"}, {"type": "ipc"}]},
    })
}

fn plan(value: Value) -> Result<ContainerPlan> {
    let root = RootSource::Directory("/image".into());
    ContainerPlan::new(&serde_json::from_value(value).unwrap(), Extras { root, user: None, init: false })
}

fn with(pointer: &str, value: Value) -> Result<ContainerPlan> {
    let mut spec = base();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[key] = value;
    plan(spec)
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("/process/args", json!([]), "process.args"),
        ("/process/args", json!(["a\0b"]), "NUL"),
        ("/process/env", json!(["novalue"]), "process.env"),
        ("/process/cwd", json!("relative"), "process.cwd"),
        ("/process/selinuxLabel", json!("x"), "selinuxLabel"),
        ("/linux/namespaces", json!([{"type": "pid"}]), "mount namespace"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), "twice"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "user"}]), "mappings"),
        ("/linux/namespaces", json!([{"type": "mount", "path": "/proc/1/ns/mnt"}]), "joining"),
        ("/linux/maskedPaths", json!(["/proc/../etc"]), "'..'"),
        ("/linux/readonlyPaths", json!(["proc"]), "absolute"),
        ("/linux/sysctl", json!({"kernel.core_pattern": "|/bin/x"}), "whole host"),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1\nkernel.core_pattern=x"}), "character"),
        ("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1+kernel.core_pattern=x"}), "character"),
        ("/linux/sysctl", json!({"net/../kernel/core_pattern": "1"}), "not the name"),
        ("/linux/sysctl", json!({"net..ipv4": "1"}), "not the name"),
        (
            "/linux/devices",
            json!([{"path": "/etc/x", "type": "c", "major": 1, "minor": 3}]),
            "not below /dev",
        ),
        ("/mounts", json!([{"destination": "/"}]), "mounted on /"),
        ("/mounts", json!([{"destination": "/a/../b", "type": "tmpfs"}]), "'..'"),
        ("/mounts", json!([{"destination": "/a", "type": "ext4", "source": "/dev/vda"}]), "not supported"),
        ("/mounts", json!([{"destination": "/a", "type": "bind", "source": "relative"}]), "absolute source"),
        ("/mounts", json!([{"destination": "/a", "source": "/b", "options": ["rbind", "shared"]}]), "shared"),
        ("/mounts", json!([{"destination": "/a", "source": "/b", "options": ["bind", "magic"]}]), "magic"),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]), "RLIMIT_NOFILE"),
    ];
    for (pointer, value, words) in cases {
        let failure = with(pointer, value.clone()).unwrap_err();
        assert!(failure.to_string().contains(words), "{pointer} {value}: {failure}");
    }
}

#[test]
fn parameters_need_a_namespace_of_their_own() {
    let mut spec = base();
    spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "net/ipv6/conf/all/disable_ipv6": "1"});
    assert_eq!(plan(spec.clone()).unwrap().sysctls[0], ("net/ipv4/ip_forward".to_owned(), "1".to_owned()));
    spec["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}]);
    assert!(plan(spec.clone()).unwrap_err().to_string().contains("shares its namespace"));
    spec["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "network", "path": "/run/netns/x"}]);
    let plan = plan(spec).unwrap();
    assert_eq!(plan.join_namespaces, [(flags::NEWNET, PathBuf::from("/run/netns/x"))]);
}

#[test]
fn the_host_keeps_its_name() {
    let mut spec = base();
    spec["hostname"] = json!("box");
    assert!(plan(spec.clone()).is_ok());
    spec["linux"]["namespaces"] = json!([{"type": "mount"}]);
    assert!(plan(spec).unwrap_err().to_string().contains("UTS"));
}

#[test]
fn mount_options_become_properties() {
    let plan = with(
        "/mounts",
        json!([
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]},
            {"destination": "/data/", "source": "/srv", "options": ["rbind", "ro", "rprivate"]},
            {"destination": "/etc/hosts", "type": "bind", "source": "/h", "options": ["bind", "ro", "rw", "dev"]},
        ]),
    );
    let mounts = plan.map(|p| p.mounts).unwrap();
    assert_eq!(mounts[0].set, attr::NOSUID | attr::NOEXEC | attr::NODEV);
    assert!(mounts[0].strict && mounts[1].strict && mounts[2].strict && !mounts[3].strict);
    assert_eq!(mounts[1].set & attr::NODEV, attr::NODEV, "nodes made in /dev must open nothing");
    assert_eq!(mounts[2].set & attr::NODEV, 0, "terminals are devices");
    let options = vec![("newinstance".to_owned(), None), ("gid".to_owned(), Some("5".to_owned()))];
    assert_eq!(mounts[2].kind, MountKind::New { fstype: "devpts".into(), options });
    assert_eq!(mounts[3].target, Path::new("/data"));
    assert_eq!(mounts[3].set, attr::RDONLY | attr::NODEV);
    assert_eq!(mounts[3].kind, MountKind::Bind { source: "/srv".into(), recursive: true });
    assert_eq!((mounts[4].set, mounts[4].clear), (0, attr::RDONLY | attr::NODEV));
}

#[test]
fn all_devices_only_when_the_last_rule_says_so() {
    let rules = |list: Value| with("/linux/resources", json!({"devices": list})).unwrap().all_devices;
    assert!(rules(json!([{"allow": false}, {"allow": true, "access": "rwm"}])));
    assert!(!rules(json!([{"allow": true}, {"allow": false}])));
    assert!(!rules(json!([{"allow": true, "type": "c", "major": 1, "minor": 3}])));
    assert!(!rules(json!([])));
}
