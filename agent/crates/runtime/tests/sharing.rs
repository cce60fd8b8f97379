//! Namespaces and mounts that a container has in common with the host or another container.

mod common;

use common::{Host, specification, within};
use hull_ports::{Bundle, Runtime as _};
use serde_json::{Value, json};
use std::path::Path;

/// The kinds of namespaces, with `with` in the place of one; leaves one out for `null`.
fn namespaces(kind: &str, with: Value) -> Value {
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let own = |k: &&str| if *k == kind { with.clone() } else { json!({"type": k}) };
    json!(kinds.iter().map(own).filter(|v| !v.is_null()).collect::<Vec<_>>())
}

fn sharing(args: &[&str], kind: &str, with: Value) -> Value {
    let mut spec = specification(args);
    spec["linux"]["namespaces"] = namespaces(kind, with);
    spec
}

fn namespace_of(pid: &str, kind: &str) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

async fn sleeper(host: &Host) -> (Bundle, i32) {
    let bundle = host.bundle(&["sleep", "60"]);
    let pid = host.driver.start(&bundle).await.unwrap().pid;
    (bundle, pid)
}

#[tokio::test]
async fn the_hosts_namespaces() {
    let host = Host::new().await;
    for (kind, name) in
        [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup")]
    {
        let mut spec = sharing(&["readlink", &format!("/proc/self/ns/{name}")], kind, Value::Null);
        if kind == "uts" {
            spec.as_object_mut().unwrap().remove("hostname");
        }
        let (_, output) = host.run(&host.bundle_of(spec)).await;
        assert_eq!(output.trim(), namespace_of("self", name), "{kind}");
    }
    // Its processes end with it although they are the host's.
    let spec = sharing(&["sh", "-c", "sleep 1234567 & echo $!"], "pid", Value::Null);
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    let left: i32 = output.trim().parse().unwrap();
    common::until("what it started ends", || !common::alive(left)).await;
    // Control groups cannot be written whoever's they are.
    let spec = sharing(&["mkdir", "/sys/fs/cgroup/x"], "cgroup", Value::Null);
    assert!(host.run(&host.bundle_of(spec)).await.1.contains("ead-only file system"));
    host.finish().await;
}

#[tokio::test]
async fn another_containers_namespaces() {
    let host = Host::new().await;
    let (_, pid) = sleeper(&host).await;
    for (kind, name) in [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let path = format!("/proc/{pid}/ns/{name}");
        let mut spec = sharing(
            &["readlink", &format!("/proc/self/ns/{name}")],
            kind,
            json!({"type": kind, "path": path}),
        );
        spec.as_object_mut().unwrap().remove("hostname");
        let (_, output) = host.run(&host.bundle_of(spec)).await;
        assert_eq!(output.trim(), namespace_of(&pid.to_string(), name), "{kind}");
    }
    let spec = sharing(&["ps"], "pid", json!({"type": "pid", "path": format!("/proc/{pid}/ns/pid")}));
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.contains("1 root") && output.contains("sleep 60"), "{output}");
    host.finish().await;
}

/// System V and POSIX message passing go with the namespace, /dev/shm with the mount.
#[tokio::test]
async fn shared_memory_of_another_container() {
    let host = Host::new().await;
    let donor = host.bundle(&["sh", "-c", "echo from-donor > /dev/shm/a; echo ready; sleep 60"]);
    let pid = host.driver.start(&donor).await.unwrap().pid;
    host.until_said(&donor.id, "ready").await;
    let joined = |args: &[&str], inside: &str| {
        let mut spec = sharing(args, "ipc", json!({"type": "ipc", "path": format!("/proc/{pid}/ns/ipc")}));
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.retain(|m| m["destination"] != "/dev/shm");
        mounts.push(
            json!({"destination": "/dev/shm", "type": "bind", "source": format!("/proc/{pid}/root{inside}"),
            "options": ["bind", "rprivate", "nosuid", "noexec", "nodev"]}),
        );
        host.bundle_of(spec)
    };
    let script = "cat /dev/shm/a; echo from-joined > /dev/shm/b; busybox ipcs -q >/dev/null; ls /dev/mqueue; busybox mount | grep /dev/shm";
    let (_, output) = host.run(&joined(&["sh", "-c", script], "/dev/shm")).await;
    assert!(
        output.starts_with("from-donor\n") && output.contains("noexec") && output.contains("nodev"),
        "{output}"
    );
    assert_eq!(host.exec(&donor.id, &["cat", "/dev/shm/b"]).await.1, "from-joined\n");
    // Its root is still its own, and a path of the donor's does not lead to the host.
    let (_, output) = host.run(&joined(&["sh", "-c", "ls / | grep -c ."], "/dev/shm")).await;
    assert!(output.trim().parse::<u32>().unwrap() >= 3, "{output}");
    host.exec(&donor.id, &["sh", "-c", "ln -s / /link"]).await;
    let error = host.driver.start(&joined(&["true"], "/link/etc")).await.unwrap_err();
    assert!(error.chain().contains("/link/etc"), "{}", error.chain());
    host.driver.kill(&donor.id).await.unwrap();
    within(host.driver.wait(&donor.id)).await.unwrap();
    let error = host.driver.start(&joined(&["true"], "/dev/shm")).await.unwrap_err();
    assert!(error.chain().contains(&format!("/proc/{pid}/ns/ipc")), "{}", error.chain());
    host.finish().await;
}

#[tokio::test]
async fn parameters_of_shared_namespaces_are_refused_in_dockers_words() {
    let host = Host::new().await;
    for (kind, key, words) in [
        ("ipc", "kernel.shmmax", "sysctl \"kernel.shmmax\" is not allowed in the hosts ipc namespace"),
        (
            "network",
            "net.ipv4.ip_forward",
            "sysctl \"net.ipv4.ip_forward\" not allowed in host network namespace",
        ),
        ("", "kernel.foo", "sysctl \"kernel.foo\" is not in a separate kernel namespace"),
    ] {
        let mut spec = sharing(&["true"], kind, Value::Null);
        spec["linux"]["sysctl"] = json!({key: "1"});
        let error = host.driver.start(&host.bundle_of(spec)).await.unwrap_err();
        assert!(error.chain().ends_with(words), "{}", error.chain());
    }
    host.finish().await;
}

#[tokio::test]
async fn parts_of_volumes() {
    let host = Host::new().await;
    let volume = host.path("volume");
    std::fs::create_dir_all(volume.join("a/b")).unwrap();
    std::fs::write(volume.join("a/b/file"), "inside\n").unwrap();
    std::os::unix::fs::symlink("/etc", volume.join("out")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../..", volume.join("up")).unwrap();
    std::os::unix::fs::symlink("a", volume.join("in")).unwrap();
    let part = |subpath: &str| {
        let mut spec = specification(&["sh", "-c", "cat /part/file; ls /part"]);
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": "/part", "type": "bind", "source": volume,
            "options": ["rbind", "rprivate", "rw", format!("subpath={subpath}")]}));
        host.bundle_of(spec)
    };
    for inside in ["a/b", "in/b", "./a/./b"] {
        assert!(host.run(&part(inside)).await.1.starts_with("inside\n"), "{inside}");
    }
    let root = host.run(&part("up")).await.1;
    assert!(root.contains("in\nout\n") || root.contains("out\n"), "its own root is the furthest: {root}");
    for missing in ["out/passwd", "nosuch/x"] {
        let error = host.driver.start(&part(missing)).await.unwrap_err();
        assert!(error.chain().contains("cannot access path"), "{missing}: {}", error.chain());
        assert!(error.chain().contains("no such file or directory"), "{}", error.chain());
    }
    host.finish().await;
}

/// Mounts made later on: needs mounts of its own, so it runs the bundles itself in a private namespace.
#[test]
fn mounts_spread_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    common::make_image(&directory.path().join("image"));
    let run = |propagation: &str, prepare: &str| {
        let bundle = directory.path().join("bundle");
        std::fs::create_dir_all(&bundle).unwrap();
        let (source, image) = (directory.path().join("source"), directory.path().join("image"));
        std::fs::create_dir_all(&source).unwrap();
        let script = "busybox mount -t tmpfs x /share/inside && echo mounted; while ! test -e /share/go; do busybox usleep 20000; done; \
            ls /share/outside; true";
        let mut spec = specification(&["sh", "-c", script]);
        spec["root"] = json!({"path": image});
        spec["linux"]["seccomp"] = Value::Null;
        spec["process"]["capabilities"] = json!({"bounding": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"]});
        spec["mounts"].as_array_mut().unwrap().push(
            json!({"destination": "/share", "type": "bind", "source": source, "options": ["rbind", propagation]}),
        );
        std::fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
        let outer = format!(
            "set -e; mount --make-rprivate /; mount -t tmpfs source {s}; {prepare} mkdir {s}/inside {s}/outside; true > {b}/out
             {runtime} run --bundle {b} hull-spread-{propagation}-{pid} >> {b}/out 2>&1 & child=$!
             n=0; while ! grep -q -e mounted -e hull-runtime: {b}/out; do sleep 0.02; n=$((n+1)); test $n -lt 500; done
             mount -t tmpfs outside {s}/outside; touch {s}/outside/seen {s}/go; wait $child || true
             cat {b}/out; grep -c ' {s}/inside ' /proc/self/mounts || true",
            s = source.display(), b = bundle.display(), runtime = common::BINARY, pid = std::process::id(),
        );
        let output =
            std::process::Command::new("unshare").args(["--mount", "sh", "-c", &outer]).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let shared = format!("mount --make-shared {};", directory.path().join("source").display());
    assert_eq!(run("rshared", &shared), "mounted\nseen\n1\n", "both ways");
    assert_eq!(run("rslave", &shared), "mounted\nseen\n0\n", "from the host only");
    assert_eq!(run("rprivate", &shared), "mounted\n0\n", "not at all");
    let source = directory.path().join("source");
    for (propagation, words) in
        [("rshared", "it is not a shared mount"), ("rslave", "it is not a shared or slave mount")]
    {
        let output = run(propagation, "");
        let expected = format!("path {0} is mounted on {0} but {words}", source.display());
        assert!(output.contains(&expected), "{output}");
    }
    assert!(
        !Path::new("/sys/fs/cgroup/unified/hull")
            .join(format!("hull-spread-rshared-{}", std::process::id()))
            .exists()
    );
}

/// What is mounted below the source of a read-only bind cannot be written either, unless that is asked for.
#[test]
fn read_only_goes_all_the_way_down() {
    let directory = tempfile::tempdir().unwrap();
    common::make_image(&directory.path().join("image"));
    let run = |option: &str| {
        let (source, bundle) = (directory.path().join("source"), directory.path().join("bundle"));
        std::fs::create_dir_all(source.join("below")).unwrap();
        std::fs::create_dir_all(&bundle).unwrap();
        let mut spec = specification(&["sh", "-c", "touch /bind/x; echo $?; touch /bind/below/x; echo $?"]);
        spec["root"] = json!({"path": directory.path().join("image")});
        spec["mounts"].as_array_mut().unwrap().push(
            json!({"destination": "/bind", "type": "bind", "source": source, "options": ["rbind", "rprivate", option]}),
        );
        std::fs::write(bundle.join("config.json"), spec.to_string()).unwrap();
        let outer = format!(
            "mount --make-rprivate /; mount -t tmpfs x {}/below; {} run --bundle {} hull-readonly-{}",
            source.display(),
            common::BINARY,
            bundle.display(),
            std::process::id(),
        );
        let output =
            std::process::Command::new("unshare").args(["--mount", "sh", "-c", &outer]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(run("rro"), "1\n1\n");
    assert_eq!(run("ro"), "1\n0\n");
    assert_eq!(run("rw"), "0\n0\n");
}
