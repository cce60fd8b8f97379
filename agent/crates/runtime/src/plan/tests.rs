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
        ("/linux/sysctl", json!({"kernel.core_pattern": "|/bin/x"}), "separate kernel namespace"),
        ("/linux/sysctl", json!({"net.ipv4.ip_forward": "1\nkernel.core_pattern=x"}), "character"),
        ("/linux/sysctl", json!({"kernel.shm_rmid_forced": "1+kernel.core_pattern=x"}), "character"),
        ("/linux/sysctl", json!({"net/../kernel/core_pattern": "1"}), "not the name"),
        ("/linux/sysctl", json!({"net..ipv4": "1"}), "not the name"),
        (
            "/linux/devices",
            json!([{"path": "/dev", "type": "c", "major": 1, "minor": 3}]),
            "not a place for a device",
        ),
        ("/mounts", json!([{"destination": "/"}]), "mounted on /"),
        ("/mounts", json!([{"destination": "/a/../b", "type": "tmpfs"}]), "'..'"),
        ("/mounts", json!([{"destination": "/a", "type": "ext4", "source": "/dev/vda"}]), "not supported"),
        ("/mounts", json!([{"destination": "/a", "type": "bind", "source": "relative"}]), "absolute source"),
        (
            "/mounts",
            json!([{"destination": "/a", "source": "/b", "options": ["rbind", "unbindable"]}]),
            "unbindable",
        ),
        ("/mounts", json!([{"destination": "/a", "type": "tmpfs", "options": ["rshared"]}]), "share mounts"),
        (
            "/mounts",
            json!([{"destination": "/a", "source": "/b", "options": ["bind", "subpath=../c"]}]),
            "inside",
        ),
        ("/linux/cgroupsPath", json!("/a/../b"), "'..'"),
        ("/linux/resources", json!({"devices": [{"allow": true, "access": "rx"}]}), "other than r, w and m"),
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
    assert!(plan(spec.clone()).unwrap_err().to_string().contains("not allowed in host network namespace"));
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
            {"destination": "/data/", "source": "/srv", "options": ["rbind", "rro", "rprivate"]},
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
    assert_eq!(mounts[3].kind, MountKind::Bind { source: "/srv".into(), recursive: true, subpath: None });
    assert_eq!((mounts[4].set, mounts[4].clear), (0, attr::RDONLY | attr::NODEV));
}

#[test]
fn binds_say_how_far_they_go() {
    let mounts = with(
        "/mounts",
        json!([
            {"destination": "/a", "source": "/a", "options": ["rbind", "ro", "rslave"]},
            {"destination": "/b", "source": "/b", "options": ["bind", "rro", "shared", "subpath=x/y"]},
        ]),
    );
    let mounts = mounts.unwrap().mounts;
    assert_eq!((mounts[0].top_only, mounts[1].top_only), (attr::RDONLY, 0));
    assert_eq!((mounts[0].propagation, mounts[1].propagation), (Propagation::Slave, Propagation::Shared));
    assert!(matches!(&mounts[1].kind, MountKind::Bind { subpath: Some(p), .. } if p == Path::new("x/y")));
}

#[test]
fn groups_are_below_ours_unless_told_otherwise() {
    let parent = |path: &str| with("/linux/cgroupsPath", json!(path)).unwrap().cgroup_parent;
    assert_eq!(parent("/hull/abc"), None);
    assert_eq!(parent("relative/abc"), None);
    assert_eq!(parent("/a.slice/a-b.slice/abc"), Some("a.slice/a-b.slice".into()));
    assert_eq!(parent("/abc"), Some("".into()));
}

#[test]
fn rules_decide_over_devices() {
    let null = json!([{"path": "/dev/mine", "type": "c", "major": 10, "minor": 1}]);
    let access = |rules: Value, devices: &Value| {
        let mut spec = base();
        spec["linux"]["resources"] = json!({ "devices": rules });
        spec["linux"]["devices"] = devices.clone();
        plan(spec).unwrap().device_access
    };
    let deny = json!({"allow": false, "access": "rwm"});
    let one = json!({"allow": true, "type": "c", "major": 10, "minor": 1, "access": "rw"});
    let rows = [
        (json!([deny, {"allow": true, "access": "rwm"}]), json!([]), (true, true, false)),
        (json!([{"allow": true}, deny]), json!([]), (false, false, false)),
        (json!([]), json!([]), (false, false, false)),
        (
            json!([deny, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]),
            json!([]),
            (false, false, false),
        ),
        (json!([deny, {"allow": true, "type": "c", "access": "m"}]), json!([]), (false, false, false)),
        (json!([deny, one]), null, (false, false, true)),
        (json!([deny, one]), json!([]), (false, true, true)),
        (
            json!([deny, {"allow": true, "type": "b", "major": 1, "minor": 3, "access": "r"}]),
            json!([]),
            (false, true, true),
        ),
    ];
    for (rules, devices, (all, own_nodes, required)) in rows {
        let found = access(rules.clone(), &devices);
        assert_eq!(
            (found.rules.is_none(), found.own_nodes, found.required),
            (all, own_nodes, required),
            "{rules}"
        );
    }
}
