//! Known ways out of containers, each tried.

mod common;

use common::{Host, specification};
use hull_ports::{ExecSpec, Runtime as _};
use serde_json::json;
use std::os::unix::fs::symlink;

const CAPABILITIES: &str = "grep -E 'CapInh|CapAmb' /proc/self/status";
const NONE: &str = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";

#[tokio::test]
async fn nothing_is_inheritable_or_ambient_for_anybody() {
    let host = Host::new().await;
    let sleeper = host.bundle(&["sleep", "60"]);
    host.driver.start(&sleeper).await.unwrap();
    for user in ["", "web", "1234", "web:logs", "0:50"] {
        let mut bundle = host.bundle(&["sh", "-c", CAPABILITIES]);
        bundle.user = user.to_owned();
        assert_eq!(host.run(&bundle).await.1, NONE, "{user}");
        for privileged in [false, true] {
            let args = ["sh", "-c", CAPABILITIES].map(str::to_owned).to_vec();
            let spec = ExecSpec { args, user: user.to_owned(), privileged, ..ExecSpec::default() };
            assert_eq!(host.exec_spec(&sleeper.id, &spec).await.1, NONE, "{user} {privileged}");
        }
    }
    host.finish().await;
}

#[tokio::test]
async fn working_directories_stay_inside() {
    let host = Host::with_image(|root| {
        symlink("/", root.join("up")).unwrap();
        symlink("../../../../..", root.join("further")).unwrap();
        symlink("/proc/self/fd/7", root.join("fd")).unwrap();
        std::fs::write(root.join("etc/inside"), "").unwrap();
    })
    .await;
    let sleeper = host.bundle(&["sleep", "60"]);
    host.driver.start(&sleeper).await.unwrap();
    let script = "test -e etc/inside && test ! -e etc/fstab.host && pwd";
    for (cwd, place) in [("/up", "/\n"), ("/further", "/\n"), ("/up/etc/../up", "/\n")] {
        let mut spec = specification(&["sh", "-c", script]);
        spec["process"]["cwd"] = json!(cwd);
        assert_eq!(host.run(&host.bundle_of(spec)).await.1, place, "{cwd}");
    }
    for cwd in (3..20).map(|fd| format!("/proc/self/fd/{fd}")).chain(["/fd".to_owned(), "/fd/x".to_owned()]) {
        let mut spec = specification(&["true"]);
        spec["process"]["cwd"] = json!(cwd);
        assert!(host.driver.start(&host.bundle_of(spec)).await.is_err(), "{cwd}");
        let spec =
            ExecSpec { args: vec!["true".into()], cwd: Some(cwd.clone().into()), ..ExecSpec::default() };
        assert!(host.driver.exec(&sleeper.id, &spec).await.is_err(), "{cwd}");
    }
    host.finish().await;
}

/// A file that a group is kept from is kept from whoever runs with the group in any way.
#[tokio::test]
async fn the_own_group_is_a_supplementary_one_too() {
    let host = Host::with_image(|root| {
        use std::os::unix::fs::PermissionsExt;
        let file = root.join("kept");
        std::fs::write(&file, "secret").unwrap();
        std::os::unix::fs::chown(&file, Some(0), Some(50)).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o604)).unwrap();
    })
    .await;
    for (user, groups) in [("33:50", "50"), ("33:logs", "50"), ("web", "34 50")] {
        let mut bundle = host.bundle(&["sh", "-c", "grep Groups /proc/self/status; cat /kept"]);
        bundle.user = user.to_owned();
        let output = host.run(&bundle).await.1;
        assert!(output.starts_with(&format!("Groups:\t{groups} \n")), "{user}: {output}");
        assert!(output.contains("ermission denied") && !output.contains("secret"), "{user}: {output}");
    }
    host.finish().await;
}

#[tokio::test]
async fn variables_with_newlines_stay_variables() {
    let host = Host::new().await;
    let mut spec =
        specification(&["sh", "-c", "grep -c . /etc/passwd; busybox printf '%s' \"$HOME\" | busybox wc -l"]);
    spec["process"]["env"] = json!(["PATH=/bin", "HOME=/x\nevil:x:0:0::/:/bin/sh\n"]);
    assert_eq!(host.run(&host.bundle_of(spec)).await.1, "2\n2\n");
    host.finish().await;
}

/// An image that has links where devices are made.
#[tokio::test]
async fn devices_are_made_in_the_container_only() {
    for (name, target) in [("dev", "../../../../../outside"), ("srv", "/../../../outside")] {
        let host = Host::with_image(|root| symlink(target, root.join(name)).unwrap()).await;
        std::fs::create_dir(host.path("outside")).unwrap();
        let mut spec = specification(&["true"]);
        spec["linux"]["devices"] =
            json!([{"path": format!("/{name}/sub/x"), "type": "c", "major": 1, "minor": 3}]);
        let _ = host.driver.start(&host.bundle_of(spec)).await;
        assert_eq!(std::fs::read_dir(host.path("outside")).unwrap().count(), 0, "{name}");
        host.finish().await;
    }
}

/// Two containers exchange a link in a shared directory for a directory while a third one is started on it.
#[tokio::test]
async fn mount_points_in_shared_directories_are_raced_in_vain() {
    let host = Host::new().await;
    let (shared, outside) = (host.path("shared"), host.path("outside"));
    std::fs::create_dir(&shared).unwrap();
    std::fs::create_dir(&outside).unwrap();
    let bind =
        json!({"destination": "/shared", "type": "bind", "source": shared, "options": ["rbind", "rw"]});
    let swap = format!(
        "cd /shared; mkdir a; ln -s {} b; while :; do busybox mv -T a c; busybox mv -T b a; busybox mv -T a b; busybox mv -T c a; done",
        outside.display()
    );
    let mut racer = specification(&["sh", "-c", &swap]);
    racer["mounts"].as_array_mut().unwrap().push(bind.clone());
    let racer = host.bundle_of(racer);
    host.driver.start(&racer).await.unwrap();
    for _ in 0..40 {
        let mut spec = specification(&["true"]);
        let inner =
            json!({"destination": "/shared/a/made", "type": "tmpfs", "source": "tmpfs", "options": []});
        spec["mounts"].as_array_mut().unwrap().extend([bind.clone(), inner]);
        let bundle = host.bundle_of(spec);
        if host.driver.start(&bundle).await.is_ok() {
            common::within(host.driver.wait(&bundle.id)).await.unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    host.finish().await;
}
