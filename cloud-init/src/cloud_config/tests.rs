use super::*;
use hull_model::{DeploymentRecord, MountKind, Name, Problem, RestartPolicy, Severity};

fn facts() -> HostFacts {
    HostFacts {
        hostname: "before".to_owned(),
        os_version: "7".to_owned(),
        deployment: Some(DeploymentRecord { commit: "c0ffee".to_owned(), slot: "a".to_owned() }),
        ..HostFacts::default()
    }
}

fn layer(text: &str) -> Layer {
    parse(Source::UserData, "user-data", format!("#cloud-config\n{text}").as_bytes(), &facts())
}

fn find<'l>(layer: &'l Layer, object: &str) -> &'l Problem {
    let found = layer.problems.iter().find(|p| p.object == object);
    found.unwrap_or_else(|| panic!("no problem at {object}: {:#?}", layer.problems))
}

#[test]
fn the_demo_document_is_understood_whole() {
    let layer = parse(Source::File, "demo.yaml", include_bytes!("../../testdata/demo.yaml"), &facts());
    assert_eq!(layer.problems, []);
    assert_eq!(layer.host.hostname.as_deref(), Some("demo"));
    assert_eq!(layer.host.users.len(), 1);
    assert!(layer.host.users[0].sudo && layer.host.users[0].name == "hull");
    assert_eq!(layer.host.files[0].content, b"<h1>It works</h1>\n");
    assert!(layer.hull.registries["10.0.2.2:5000"].insecure);
    let workloads = layer.workloads.unwrap();
    let web = &workloads.containers[&Name::new("web").unwrap()];
    assert_eq!(
        web.env["HOST"], "demo",
        "the host name that is about to be set comes before the one in force"
    );
    assert_eq!((&*web.env["OS"], &*web.env["DEPLOYMENT"]), ("7", "c0ffee"));
    assert_eq!(web.ports[0].host_port, 8080);
    assert_eq!(web.restart, RestartPolicy::UnlessStopped);
    assert_eq!(web.resources.memory, Some(64 << 20));
    assert_eq!(web.resources.nano_cpus, Some(500_000_000));
    assert!(matches!(&web.mounts[0].kind, MountKind::Volume { name } if name.as_str() == "pages"));
    let default = Name::new("default").unwrap();
    assert_eq!(web.networks[&default].aliases, ["web"]);
    assert!(workloads.networks.contains_key(&default));
    let probe = &workloads.containers[&Name::new("probe").unwrap()];
    assert_eq!(probe.command.as_ref().unwrap()[..2], ["wget", "-q"]);
    assert_eq!(probe.depends_on, [Name::new("web").unwrap()]);
}

#[test]
fn nothing_is_a_layer_that_says_nothing() {
    for empty in [&b""[..], b"\n\n", b"#cloud-config", b"#cloud-config\n---\n", b"#cloud-config\n{}\n"] {
        let layer = parse(Source::UserData, "user-data", empty, &facts());
        assert_eq!(layer, Layer::empty(Source::UserData));
    }
}

#[test]
fn what_is_no_cloud_config_is_named() {
    let layer = parse(Source::UserData, "user-data", b"#!/bin/sh\nreboot\n", &facts());
    assert_eq!(layer.problems.len(), 1);
    assert!(layer.problems[0].reason.contains("script"));
    assert!(layer.problems[0].remedy.contains("service"));
}

#[test]
fn broken_yaml_costs_the_document_and_names_the_place() {
    let layer = layer("hostname: a\nservices:\n  web:\n   image: [x\n");
    assert_eq!(layer.problems.len(), 1);
    assert!(layer.problems[0].reason.starts_with("line "), "{}", layer.problems[0]);
    assert_eq!(Layer { problems: vec![], ..layer }, Layer::empty(Source::UserData));
}

#[test]
fn a_wrong_item_costs_itself_only() {
    let layer = layer(
        "hostname: 5\n\
         users: [default, {name: anna, uid: x}, {name: bob, ssh_authorized_keys: [nonsense, \"ssh-rsa AAAAB3 b\"]}, {}]\n\
         write_files: [{path: /usr/bin/x, content: y}, {path: /etc/motd, content: hi, permissions: 0644},\n\
           {path: /etc/../usr/x}, {path: /run/a, content: aGk=, encoding: b64, permissions: '0600', owner: 'bob:bob'}]\n\
         ntp: {servers: [ntp.example.org, \"a b\"], pools: [192.0.2.1]}\n\
         timezone: ../../etc/passwd\n",
    );
    assert_eq!(find(&layer, "hostname").reason, "expected a text, found the number 5");
    assert_eq!(layer.host.hostname, None);
    let names: Vec<&str> = layer.host.users.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(names, ["hull", "bob"]);
    assert_eq!(layer.host.users[1].ssh_authorized_keys, ["ssh-rsa AAAAB3 b"]);
    assert!(find(&layer, "users[1].uid").reason.contains("expected a whole number"));
    assert!(find(&layer, "users[2].ssh_authorized_keys[0]").remedy.contains(".pub"));
    assert!(find(&layer, "users[3]").reason.contains("name is missing"));
    assert_eq!(layer.host.files.len(), 2);
    assert_eq!(layer.host.files[0].path.to_str(), Some("/etc/motd"));
    assert_eq!((layer.host.files[1].content.as_slice(), layer.host.files[1].mode), (&b"hi"[..], 0o600));
    assert!(find(&layer, "write_files[0].path").reason.contains("read-only"));
    assert_eq!(layer.host.ntp.servers, ["ntp.example.org", "192.0.2.1"]);
    find(&layer, "ntp.servers[1]");
    find(&layer, "timezone");
    assert_eq!(layer.problems.len(), 8, "{:#?}", layer.problems);
}

#[test]
fn file_modes_must_be_octal_in_quotes() {
    // YAML 1.2 reads 0644 as text, so it is taken; 644 and 0o644 are numbers, and nobody can tell what was meant.
    for (mode, good) in [
        ("'0644'", true),
        ("0644", true),
        ("\"0o755\"", true),
        ("644", false),
        ("0o644", false),
        ("'9'", false),
    ] {
        let layer = layer(&format!("write_files: [{{path: /etc/a, permissions: {mode}}}]\n"));
        assert_eq!(layer.problems.is_empty(), good, "{mode}: {:?}", layer.problems);
    }
}

#[test]
fn refused_and_unhandled_keys_are_named_with_an_alternative() {
    let layer = layer(
        "runcmd: [reboot]\nbootcmd: [x]\npackages: [vim]\nhostnme: x\nservces: {}\nsecrets: {}\nx-note: 1\n\
         users: [{name: a, plain_text_passwd: p, ssh_import_id: [gh:a], nam: b}]\n",
    );
    for key in ["runcmd", "bootcmd"] {
        assert_eq!(find(&layer, key).severity, Severity::Error);
        assert!(find(&layer, key).remedy.contains("write_files"));
    }
    assert_eq!(find(&layer, "packages").severity, Severity::Warning);
    assert_eq!(find(&layer, "packages").reason, "known to cloud-init, not handled by Hull: packages");
    assert!(find(&layer, "hostnme").remedy.contains("\"hostname\""));
    // Not a key that may be ignored: the document means to declare workloads.
    assert_eq!(find(&layer, "services").severity, Severity::Error);
    assert!(find(&layer, "services").remedy.contains("\"services\""));
    assert!(find(&layer, "secrets").reason.contains("Compose"));
    assert!(find(&layer, "users[0].plain_text_passwd").remedy.contains("hashed_passwd"));
    find(&layer, "users[0].ssh_import_id");
    assert_eq!(layer.host.users.len(), 1, "a refused key does not cost the user");
    assert!(layer.problems.iter().all(|p| !p.remedy.is_empty()));
}

#[test]
fn users_in_every_form() {
    let layer = layer(
        "users:\n  - default\n  - carl, dora\n  - name: anna\n    gecos: Anna\n    uid: '1500'\n    primary-group: staff\n    \
         groups: adm, wheel\n    homedir: /var/home/a\n    shell: /bin/sh\n    lock_passwd: false\n    \
         hashed_passwd: $6$salt$hash\n    sudo: ['ALL=(ALL) NOPASSWD:ALL']\n  - {name: svc, system: yes, sudo: false}\n\
         groups: [staff, {admins: [anna, carl]}, {empty: null}]\nssh_authorized_keys: [ssh-ed25519 AAAAC3 k]\n",
    );
    assert_eq!(layer.problems, []);
    let users = &layer.host.users;
    assert_eq!(users.iter().map(|u| &*u.name).collect::<Vec<_>>(), ["hull", "carl", "dora", "anna", "svc"]);
    assert_eq!(users[0].ssh_authorized_keys, ["ssh-ed25519 AAAAC3 k"]);
    let anna = &users[3];
    assert_eq!((anna.uid, anna.primary_group.as_deref(), anna.sudo), (Some(1500), Some("staff"), true));
    assert_eq!(anna.groups, ["adm", "wheel"]);
    assert_eq!(anna.passwd_hash.as_deref(), Some("$6$salt$hash"));
    assert!(users[4].system && !users[4].sudo);
    let groups: Vec<(&str, usize)> = layer.host.groups.iter().map(|g| (&*g.name, g.members.len())).collect();
    assert_eq!(groups, [("staff", 0), ("admins", 2), ("empty", 0)]);
}

#[test]
fn passwords_stay_locked_unless_asked_otherwise() {
    let locked = layer("users: [{name: a, passwd: $6$s$h}]\n");
    assert_eq!(locked.host.users[0].passwd_hash, None);
    assert_eq!(locked.problems[0].severity, Severity::Warning);
    let bad = layer("users: [{name: a, passwd: 'x:0:0', lock_passwd: false}]\n");
    assert_eq!(bad.host.users[0].passwd_hash, None);
    assert_eq!(bad.problems.len(), 1);
}

#[test]
fn keys_for_nobody_are_reported() {
    let layer = layer("users: [anna]\nssh_authorized_keys: [ssh-ed25519 AAAAC3 k]\n");
    assert!(find(&layer, "ssh_authorized_keys").remedy.contains("default"));
}

#[test]
fn host_names_are_split() {
    let rows = [
        ("hostname: a.example.org", Some("a"), Some("a.example.org")),
        ("fqdn: b.example.org", Some("b"), Some("b.example.org")),
        ("hostname: c\nfqdn: c.example.org", Some("c"), Some("c.example.org")),
        ("hostname: d", Some("d"), None),
    ];
    for (text, hostname, fqdn) in rows {
        let layer = layer(text);
        assert_eq!((layer.host.hostname.as_deref(), layer.host.fqdn.as_deref()), (hostname, fqdn), "{text}");
    }
    for bad in ["a_b", "-a", "a..b", "a b", "''", &"x".repeat(64)] {
        assert_eq!(layer(&format!("hostname: {bad}")).problems.len(), 1, "{bad}");
    }
}

#[test]
fn registries_are_left_out_one_by_one() {
    let layer = layer(
        "hull: {registries: {\"http://x\": {}, \"a.example:5000\": {username: u, password: p, mirrors: [\"http://m:80/\"]},\n\
         \"b.example\": {username: u}, \"c.example\": {insecure: maybe}}, registry: {}}\n",
    );
    let hosts: Vec<&String> = layer.hull.registries.keys().collect();
    assert_eq!(hosts, ["a.example:5000"]);
    assert_eq!(layer.hull.registries["a.example:5000"].mirrors, ["http://m:80"]);
    assert_eq!(layer.problems.len(), 4, "{:#?}", layer.problems);
}
