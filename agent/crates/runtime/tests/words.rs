//! What clients are told when a process cannot be started: they derive exit codes from these words.

mod common;

use common::{Host, specification};
use hull_ports::{ErrorClass, ExecSpec, Runtime as _};
use serde_json::json;

const START: &str = "failed to create task for container: OCI runtime create failed: unable to start container process: \
    error during container init: ";
const EXEC: &str = "OCI runtime exec failed: exec failed: unable to start container process: ";

const PROGRAMS: [(&str, ErrorClass, &str); 7] = [
    ("nosuch", ErrorClass::NotFound, "exec: \"nosuch\": executable file not found in $PATH"),
    ("/x", ErrorClass::NotFound, "exec: \"/x\": stat /x: no such file or directory"),
    ("/x/y", ErrorClass::NotFound, "exec: \"/x/y\": stat /x/y: no such file or directory"),
    ("./nosuch", ErrorClass::NotFound, "exec: \"./nosuch\": stat ./nosuch: no such file or directory"),
    ("/etc/passwd/x", ErrorClass::NotFound, "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory"),
    ("/etc", ErrorClass::Permanent, "exec: \"/etc\": is a directory: permission denied"),
    ("/etc/passwd", ErrorClass::Permanent, "exec: \"/etc/passwd\": permission denied"),
];

#[tokio::test]
async fn programs_of_containers() {
    let host = Host::new().await;
    for (program, class, words) in PROGRAMS {
        for init in [false, true] {
            let mut bundle = host.bundle(&[program]);
            bundle.init = init;
            let error = host.driver.start(&bundle).await.unwrap_err();
            assert_eq!((error.chain(), error.class), (format!("{START}{words}"), class));
        }
    }
    host.finish().await;
}

#[tokio::test]
async fn programs_of_further_processes() {
    let host = Host::new().await;
    let bundle = host.bundle(&["sleep", "60"]);
    host.driver.start(&bundle).await.unwrap();
    for (program, class, words) in PROGRAMS {
        let spec = ExecSpec { args: vec![program.to_owned()], ..ExecSpec::default() };
        let error = host.driver.exec(&bundle.id, &spec).await.unwrap_err();
        assert_eq!((error.chain(), error.class), (format!("{EXEC}{words}"), class));
    }
    let spec = ExecSpec { args: vec!["true".into()], cwd: Some("/nosuch".into()), ..ExecSpec::default() };
    let error = host.driver.exec(&bundle.id, &spec).await.unwrap_err();
    let words = "chdir to cwd (\"/nosuch\") set in config.json failed: no such file or directory";
    assert_eq!(error.chain(), format!("{EXEC}{words}"));
    host.finish().await;
}

#[tokio::test]
async fn people() {
    let host = Host::new().await;
    let none = "no matching entries in passwd file";
    let rows = [
        ("foo", &[][..], format!("unable to find user foo: {none}")),
        ("foo:root", &[], format!("unable to find user foo: {none}")),
        ("0:foo", &[], "unable to find group foo: no matching entries in group file".to_owned()),
        ("", &["foo"], "unable to find group foo: no matching entries in group file".to_owned()),
        (
            "4294967296",
            &[],
            "unable to find user 4294967296: uids and gids must be in range 0-2147483647".to_owned(),
        ),
    ];
    for (user, groups, words) in rows {
        let mut bundle = host.bundle(&["true"]);
        bundle.user = user.to_owned();
        bundle.groups = groups.iter().map(|g| (*g).to_owned()).collect();
        assert_eq!(host.driver.start(&bundle).await.unwrap_err().chain(), words);
    }
    host.finish().await;
}

#[tokio::test]
async fn places() {
    let host = Host::new().await;
    let at = |cwd: &str| {
        let mut spec = specification(&["sh", "-c", "pwd; busybox stat -c '%u %g %a' ."]);
        spec["process"]["cwd"] = json!(cwd);
        host.bundle_of(spec)
    };
    let made = host.run(&at("/srv/made/for/it")).await.1;
    assert_eq!(made, "/srv/made/for/it\n0 0 755\n");
    let error = host.driver.start(&at("/etc/passwd")).await.unwrap_err();
    assert_eq!(error.chain(), format!("{START}Cannot mkdir: /etc/passwd is not a directory"));
    let mut spec = specification(&["true"]);
    let mount = json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["rbind"]});
    spec["mounts"].as_array_mut().unwrap().push(mount);
    let error = host.driver.start(&host.bundle_of(spec)).await.unwrap_err();
    let words = "invalid mount config for type \"bind\": bind source path does not exist: /no/such";
    assert!(error.chain().ends_with(words), "{}", error.chain());
    let mut spec = specification(&["true"]);
    spec["process"]["apparmorProfile"] = json!("docker-default");
    if !std::path::Path::new("/sys/module/apparmor").exists() {
        let error = host.driver.start(&host.bundle_of(spec.clone())).await.unwrap_err();
        assert!(error.chain().ends_with("this kernel has no AppArmor"), "{}", error.chain());
    }
    spec["process"]["apparmorProfile"] = json!("unconfined");
    assert_eq!(host.run(&host.bundle_of(spec)).await.0.code, 0);
    host.finish().await;
}
