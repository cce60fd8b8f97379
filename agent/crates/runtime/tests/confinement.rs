//! What a container can do, and what it cannot, for real.

mod common;

use common::{Host, specification, within};
use hull_ports::{ErrorClass, Runtime as _};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;

#[tokio::test]
async fn namespaces_capabilities_and_files() {
    let host = Host::new().await;
    let script = "cat /proc/self/status | grep -E 'Cap|Seccomp:|NoNewPrivs'; hostname; echo $$; ls /proc/self/fd; \
        ls -l /proc/[0-9]*/fd 2>/dev/null | grep -- '->' | grep -v -E '/dev/null|/stdout|/stderr|/proc/|pipe:'; true";
    let (status, output) = host.shell(script).await;
    assert_eq!(status.code, 0, "{output}");
    for line in [
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
        "Seccomp:\t2",
        "NoNewPrivs:\t0",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
    // After the status: host name, pid 1, descriptors 0 to 2 and that of the listing; nothing leaked.
    assert!(output.contains("box\n1\n0\n1\n2\n3\n"), "{output}");
    assert!(!output.contains("->"), "{output}");
    host.finish().await;
}

#[tokio::test]
async fn refused_system_calls_and_devices() {
    let host = Host::new().await;
    let script = "unshare -U true; echo $?; mount -t tmpfs x /tmp; echo $?; mknod /tmp/d b 254 0 && cat /tmp/d; echo $?; \
        mknod /dev/d b 254 0 && cat /dev/d; echo $?; cat /dev/null && echo null; head -c 4 /dev/zero | wc -c";
    let (_, output) = host.run(&host.bundle(&["busybox", "sh", "-c", script])).await;
    assert!(output.matches("Operation not permitted").count() >= 1, "{output}");
    assert_eq!(
        output.matches("ermission denied").count() + output.matches("Operation not permitted").count(),
        4,
        "{output}"
    );
    assert!(output.contains("null\n4\n") || output.contains("null\n"), "{output}");
    host.finish().await;
}

/// Devices, and what hides files, are nodes of the host: root in a container writes to them and changes nothing of them.
#[tokio::test]
async fn device_nodes_of_the_host_stay_as_they_are() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let state = |path: &str| std::fs::metadata(path).map(|m| (m.mode(), m.uid(), m.mtime())).unwrap();
    let before = (state("/dev/full"), state("/dev/null"));
    let host = Host::new().await;
    let script = "for file in /dev/full /proc/keys; do for change in 'chmod 667' 'chown 33' 'touch -d 2001-01-01'; do \
        busybox $change $file && echo changed; done; done; \
        echo x > /dev/null && echo x >> /proc/keys && echo x > /dev/tty; echo x > /dev/zero && echo written";
    let (_, output) = host.run(&host.bundle(&["sh", "-c", script])).await;
    let after = (state("/dev/full"), state("/dev/null"));
    for (path, (mode, ..)) in [("/dev/full", before.0), ("/dev/null", before.1)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(path, Some(0), None).unwrap();
    }
    assert_eq!(before, after, "{output}");
    assert_eq!(output.matches("ead-only file system").count(), 6, "{output}");
    assert!(output.ends_with("written\n") && !output.contains("changed"), "{output}");
    host.finish().await;
}

#[tokio::test]
async fn masked_and_write_protected() {
    let host = Host::new().await;
    let script = "cat /proc/kcore /proc/keys | busybox wc -c; ls /sys/firmware /proc/acpi; echo 1 > /proc/sys/kernel/panic; echo $?; \
        mkdir /sys/fs/cgroup/x; echo $?; echo b > /proc/sysrq-trigger; echo $?";
    let (_, output) = host.run(&host.bundle(&["sh", "-c", script])).await;
    assert!(output.contains("\n0\n") || output.starts_with("0\n"), "{output}");
    assert_eq!(output.matches("ead-only file system").count(), 2, "{output}");
    assert!(output.contains("can't create /proc/sysrq-trigger"), "{output}");
    let mut spec = specification(&[
        "sh",
        "-c",
        "touch /x; echo $?; touch /tmp/x && echo $?; touch /dev/shm/x && echo $?",
    ]);
    spec["root"] = json!({"path": "x", "readonly": true});
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}));
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.ends_with("1\n0\n0\n"), "{output}");
    host.finish().await;
}

#[tokio::test]
async fn users_and_groups() {
    let host = Host::with_image(|root| {
        std::fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n1000:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n",
        )
        .unwrap();
    })
    .await;
    for (user, expected) in [("web", "33 34 34 50"), ("1000", "1000 0 0"), ("0:50", "0 50 50"), ("", "0 0 0")]
    {
        let mut bundle = host.bundle(&[
            "sh",
            "-c",
            "echo $(id -u) $(id -g) $(id -G); grep CapEff /proc/self/status; echo x > /dev/stdout",
        ]);
        bundle.user = user.to_owned();
        let (_, output) = host.run(&bundle).await;
        assert!(output.starts_with(&format!("{expected}\n")), "{user}: {output}");
        assert!(output.ends_with("x\n"), "{user}: {output}");
        let root = expected.starts_with("0 ");
        assert_eq!(output.contains("CapEff:\t0000000000000000"), !root, "{user}: {output}");
    }
    for user in ["4294967296", "4294967295", "nobody", "web:none"] {
        let mut bundle = host.bundle(&["true"]);
        bundle.user = user.to_owned();
        assert_eq!(host.driver.start(&bundle).await.unwrap_err().class, ErrorClass::Permanent, "{user}");
    }
    host.finish().await;
}

#[tokio::test]
async fn limits() {
    let host = Host::new().await;
    let mut spec = specification(&["sh", "-c", "echo begun; exec busybox tail /dev/zero"]);
    spec["linux"]["resources"] = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    let (status, output) = host.run(&host.bundle_of(spec)).await;
    assert_eq!((status.code, status.oom_killed, output.as_str()), (137, true, "begun\n"));
    let mut spec = specification(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all"]);
    spec["linux"]["resources"] = json!({"pids": {"limit": 4}});
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.contains("can't fork") && !output.contains("all"), "{output}");
    let mut spec = specification(&["sh", "-c", "ulimit -n; ulimit -Hn"]);
    spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    assert_eq!(host.run(&host.bundle_of(spec.clone())).await.1, "100\n200\n");
    let ceiling = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap().1;
    spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": u64::from(u32::MAX)}]);
    if ceiling < u64::from(u32::MAX) {
        let error = host.driver.start(&host.bundle_of(spec)).await.unwrap_err();
        assert!(error.chain().contains("RLIMIT_NOFILE"), "{}", error.chain());
    }
    host.finish().await;
}

#[tokio::test]
async fn an_image_cannot_redirect_mounts() {
    for (name, target) in [("proc", "/tmp"), ("dev", "../../../../../outside"), ("sys", "/bin")] {
        let host = Host::with_image(|root| symlink(target, root.join(name)).unwrap()).await;
        std::fs::create_dir(host.path("outside")).unwrap();
        let error = host.driver.start(&host.bundle(&["true"])).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{name}: {}", error.chain());
        assert!(error.chain().contains(&format!("/{name}")), "{}", error.chain());
        assert_eq!(std::fs::read_dir(host.path("outside")).unwrap().count(), 0);
        host.finish().await;
    }
}

#[tokio::test]
async fn mount_points_stay_in_the_container() {
    let host = Host::with_image(|root| {
        symlink("/", root.join("up")).unwrap();
        symlink("../../../../../../../../tmp", root.join("escape")).unwrap();
        symlink("/proc/self/fd", root.join("magic")).unwrap();
    })
    .await;
    std::fs::create_dir(host.path("volume")).unwrap();
    std::fs::write(host.path("volume/file"), "content").unwrap();
    let name =
        host.path("x").file_name().map_or_else(String::new, |_| format!("hull-test-{}", std::process::id()));
    let source = host.path("volume");
    let mut spec = specification(&[
        "sh",
        "-c",
        &format!("cat /tmp/{name}/file /{name}/file; touch /{name}/new; echo $?; touch /tmp/{name}/new"),
    ]);
    spec["mounts"].as_array_mut().unwrap().extend([
        json!({"destination": format!("/escape/{name}"), "source": source, "options": ["rbind", "ro"]}),
        json!({"destination": format!("/up/{name}"), "source": source, "options": ["rbind"]}),
    ]);
    let (_, output) = host.run(&host.bundle_of(spec)).await;
    assert!(output.starts_with("contentcontent0\n") && output.contains("ead-only file system"), "{output}");
    assert!(!Path::new("/tmp").join(&name).exists() && !Path::new("/").join(&name).exists());
    let mut spec = specification(&["true"]);
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/magic/0/x", "source": host.path("volume"), "options": ["bind"]}));
    assert!(host.driver.start(&host.bundle_of(spec)).await.is_err());
    let mut spec = specification(&["true"]);
    spec["process"]["cwd"] = json!("/proc/self/fd/7");
    assert!(host.driver.start(&host.bundle_of(spec)).await.is_err());
    let mut spec = specification(&["true"]);
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/x", "source": "/no/such", "options": ["bind"]}));
    let error = host.driver.start(&host.bundle_of(spec)).await.unwrap_err();
    assert!(error.chain().contains("/no/such"), "{}", error.chain());
    host.finish().await;
}

#[tokio::test]
async fn hostile_files_of_people() {
    for kind in ["fifo", "huge", "link"] {
        let host = Host::with_image(|root| {
            let passwd = root.join("etc/passwd");
            std::fs::remove_file(&passwd).unwrap();
            match kind {
                "fifo" => nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                "huge" => std::fs::File::create(&passwd).unwrap().set_len(4 << 30).unwrap(),
                _ => symlink("/dev/zero", &passwd).unwrap(),
            }
        })
        .await;
        let mut bundle = host.bundle(&["true"]);
        bundle.user = "web".to_owned();
        let begin = std::time::Instant::now();
        assert!(within(host.driver.start(&bundle)).await.is_err(), "{kind}");
        assert!(begin.elapsed().as_secs() < 2, "{kind}");
        host.finish().await;
    }
}

#[tokio::test]
async fn parameters_and_shared_layers() {
    let host = Host::new().await;
    let mut spec = specification(&[
        "sh",
        "-c",
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced /proc/sys/kernel/domainname",
    ]);
    spec["linux"]["sysctl"] =
        json!({"net.ipv4.ip_unprivileged_port_start": "81", "kernel.shm_rmid_forced": "1"});
    spec["domainname"] = json!("example.org");
    assert_eq!(host.run(&host.bundle_of(spec)).await.1, "81\n1\nexample.org\n");
    // Many layers, the topmost wins, and writes go to the upper directory.
    let mut bundle = host.bundle(&["sh", "-c", "cat /which; echo new > /which; cat /which"]);
    for number in 0..60 {
        let layer = host.path(&format!(
            "layers/with-a-rather-long-name-to-go-beyond-limits-of-mount-options-{number:03}"
        ));
        std::fs::create_dir_all(&layer).unwrap();
        std::fs::write(layer.join("which"), format!("{number}\n")).unwrap();
        bundle.rootfs.lower.insert(0, layer);
    }
    assert_eq!(host.run(&bundle).await.1, "59\nnew\n");
    assert_eq!(std::fs::read_to_string(bundle.rootfs.upper.join("which")).unwrap(), "new\n");
    host.finish().await;
}
