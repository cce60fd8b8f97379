use crate::cloud_config::parse;
use hull_model::{
    ContainerSpec, HostFacts, Layer, MountKind, Name, RestartPolicy, SeccompChoice, Severity, Source, Ulimit,
};

mod sharing;

fn layer(text: &str) -> Layer {
    parse(Source::UserData, "user-data", format!("#cloud-config\n{text}").as_bytes(), &HostFacts::default())
}

fn container(layer: &Layer, name: &str) -> ContainerSpec {
    assert_eq!(layer.problems, []);
    layer.workloads.as_ref().unwrap().containers[&Name::new(name).unwrap()].clone()
}

fn service(keys: &str) -> ContainerSpec {
    container(&layer(&format!("services: {{web: {{image: x, {keys}}}}}\nvolumes: {{data: {{}}}}\n")), "web")
}

#[test]
fn keys_of_a_service() {
    let s = service("command: 'sh -c \"a b\"', entrypoint: []");
    assert_eq!(
        (s.command.unwrap(), s.entrypoint.unwrap()),
        (vec!["sh".into(), "-c".into(), "a b".into()], vec![])
    );
    let s = service(
        "environment: [A=1, B=, 'C=a=b'], labels: {x: 1, y: true}, user: 1000, group_add: [audio, 5]",
    );
    assert_eq!((&*s.env["A"], &*s.env["B"], &*s.env["C"]), ("1", "", "a=b"));
    assert_eq!((&*s.labels["x"], &*s.labels["y"], s.user.as_deref()), ("1", "true", Some("1000")));
    let s = service(
        "cap_add: [net_admin, CAP_SYS_TIME, all], cap_drop: [ALL], privileged: true, read_only: 'true'",
    );
    assert_eq!(s.cap_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME", "ALL"]);
    assert!(s.privileged && s.read_only);
    let s = service("security_opt: ['no-new-privileges:true', 'seccomp=unconfined']");
    assert!(s.no_new_privileges && s.seccomp == SeccompChoice::Unconfined);
    let s = service("stop_signal: usr1, stop_grace_period: 1500ms, init: true, tty: true, stdin_open: true");
    assert_eq!((s.stop_signal.as_deref(), s.stop_grace_seconds), (Some("SIGUSR1"), Some(2)));
    let s = service("sysctls: {net.core.somaxconn: 1024}, ulimits: {nofile: 10, nproc: {soft: 1, hard: -1}}");
    assert_eq!(s.sysctls["net.core.somaxconn"], "1024");
    assert_eq!(s.ulimits["nproc"], Ulimit { soft: 1, hard: u64::MAX });
    let s = service(
        "extra_hosts: ['db:10.0.0.5', 'six=::1', 'me:host-gateway'], dns: 9.9.9.9, dns_search: [a.org]",
    );
    assert_eq!((&*s.extra_hosts["six"], &*s.extra_hosts["me"]), ("::1", "host-gateway"));
    let s = service(
        "shm_size: 128m, logging: {driver: local, options: {max-size: 1m, max-file: '2'}}, expose: [80]",
    );
    assert_eq!((s.shm_size, s.log.max_size, s.log.max_files), (Some(128 << 20), 1 << 20, 2));
    let s = service(
        "mem_limit: 1g, memswap_limit: 2g, cpus: 1.5, cpu_shares: 512, cpuset: '0-1', pids_limit: -1",
    );
    assert_eq!((s.resources.memory, s.resources.nano_cpus), (Some(1 << 30), Some(1_500_000_000)));
    let s = service(
        "deploy: {resources: {reservations: {cpus: 0.5, memory: 1m}}, restart_policy: {condition: on-failure, max_attempts: 3}}",
    );
    assert_eq!((s.resources.cpu_shares, s.resources.memory_reservation), (Some(512), Some(1 << 20)));
    assert_eq!(s.restart, RestartPolicy::OnFailure { max_retries: Some(3) });
}

#[test]
fn restart_policies() {
    let rows = [
        ("no", RestartPolicy::No),
        ("'no'", RestartPolicy::No),
        ("false", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::UnlessStopped),
        ("on-failure", RestartPolicy::OnFailure { max_retries: None }),
        ("on-failure:5", RestartPolicy::OnFailure { max_retries: Some(5) }),
    ];
    for (text, policy) in rows {
        assert_eq!(service(&format!("restart: {text}")).restart, policy, "{text}");
    }
}

#[test]
fn mounts_in_every_form() {
    let s = service(
        "volumes: ['data:/a/:ro', '/srv/x:/b', {type: volume, source: data, target: /c, read_only: true},\n\
         {type: bind, source: /srv, target: /d, bind: {create_host_path: false}},\n\
         {type: tmpfs, target: /e, tmpfs: {size: 1m, mode: '1770'}}], tmpfs: '/f:size=2m,mode=700,noexec'",
    );
    let kinds: Vec<(&str, bool)> =
        s.mounts.iter().map(|m| (m.target.to_str().unwrap(), m.read_only)).collect();
    let expected = [("/a", true), ("/b", false), ("/c", true), ("/d", false), ("/e", false), ("/f", false)];
    assert_eq!(kinds, expected);
    assert!(matches!(&s.mounts[1].kind, MountKind::Bind { create: true, .. }));
    assert!(matches!(&s.mounts[3].kind, MountKind::Bind { create: false, .. }));
    assert_eq!(s.mounts[4].kind, MountKind::Tmpfs { size: Some(1 << 20), mode: Some(0o1770) });
    assert_eq!(s.mounts[5].kind, MountKind::Tmpfs { size: Some(2 << 20), mode: Some(0o700) });
}

#[test]
fn networks_names_and_replicas() {
    let layer = layer(
        "services:\n  db: {image: x, networks: {back: {aliases: [sql], ipv4_address: 10.89.1.9}}, network_mode: bridge}\n  \
         web: {image: x, networks: [back, default], deploy: {replicas: 2}, depends_on: {db: {condition: service_started}}}\n  \
         one: {image: x, container_name: uno, network_mode: none, depends_on: [web]}\n\
         networks: {back: {name: backend, internal: true, ipam: {config: [{subnet: 10.89.1.0/24, gateway: 10.89.1.1}]}}}\n\
         volumes: {data: {name: real, labels: [a=b]}, other: null}\n",
    );
    let backend = Name::new("backend").unwrap();
    let db = container(&layer, "db");
    assert_eq!(db.networks[&backend].aliases, ["db", "sql"]);
    assert_eq!(db.networks[&backend].ipv4.unwrap().to_string(), "10.89.1.9");
    let web = container(&layer, "web-2");
    assert_eq!(web.networks.len(), 2);
    assert_eq!(web.depends_on, [Name::new("db").unwrap()]);
    let one = container(&layer, "uno");
    assert!(one.networks.is_empty());
    assert_eq!(one.depends_on.iter().map(Name::as_str).collect::<Vec<_>>(), ["web-1", "web-2"]);
    let workloads = layer.workloads.unwrap();
    assert_eq!(workloads.containers.len(), 4);
    assert!(workloads.networks[&backend].internal);
    assert_eq!(workloads.volumes.keys().map(Name::as_str).collect::<Vec<_>>(), ["other", "real"]);
}

#[test]
fn one_error_keeps_the_last_workloads_and_every_error_is_named() {
    let rows: &[(&str, &str, &str)] = &[
        ("web: {build: ., image: x}", "services.web.build", "not supported"),
        ("web: {build: .}", "services.web.build", "not supported"),
        ("web: {}", "services.web", "image is missing"),
        ("web: null", "services.web", "expected a mapping"),
        ("web: {image: 'X Y'}", "services.web.image", "reference"),
        ("web: {image: x, prots: []}", "services.web", "unknown key"),
        ("web: {image: x, healthcheck: {test: [a]}}", "services.web.healthcheck.test", "NONE, CMD"),
        ("web: {image: x, env_file: .env}", "services.web.env_file", "not supported"),
        ("web: {image: x, ports: 80}", "services.web.ports", "expected a list"),
        ("web: {image: x, ports: ['a:b']}", "services.web.ports[0]", "not a port"),
        ("web: {image: x, networks: [bak]}", "services.web.networks[0]", "not declared"),
        ("web: {image: x, volumes: ['data:/a']}", "services.web.volumes[0]", "not declared"),
        ("web: {image: x, volumes: ['./data:/a']}", "services.web.volumes[0]", "relative"),
        ("web: {image: x, volumes: [/a]}", "services.web.volumes[0]", "without a name"),
        ("web: {image: x, volumes: ['/a:/b/../c']}", "services.web.volumes[0]", "target"),
        ("web: {image: x, tmpfs: [/a, /a]}", "services.web", "two mounts"),
        ("web: {image: x, depends_on: [wbe]}", "services.web.depends_on[0]", "no service"),
        ("web: {image: x, depends_on: [web]}", "services.web.depends_on[0]", "itself"),
        (
            "web: {image: x, depends_on: {db: {condition: service_healthy}}}, db: {image: x}",
            "services.web.depends_on.db.condition",
            "service_started",
        ),
        (
            "web: {image: x, network_mode: 'service:bd'}, db: {image: x}",
            "services.web.network_mode",
            "no service",
        ),
        ("web: {image: x, network_mode: overlay}", "services.web.network_mode", "a mode"),
        ("web: {image: x, network_mode: host, networks: [default]}", "services.web", "contradict"),
        ("web: {image: x, pid: 'service:db'}, db: {image: x, scale: 0}", "services.web.pid", "no container"),
        ("web: {image: x, ipc: shared}", "services.web.ipc", "a mode"),
        ("web: {image: x, uts: private}", "services.web.uts", "a mode"),
        ("web: {image: x, devices: ['null:/dev/null']}", "services.web.devices[0]", "a device"),
        (
            "web: {image: x, device_cgroup_rules: [all]}",
            "services.web.device_cgroup_rules[0]",
            "rule for devices",
        ),
        ("web: {image: x, oom_score_adj: -1001}", "services.web.oom_score_adj", "-1000 to 1000"),
        ("web: {image: x, cpus: 1, cpu_quota: 5000}", "services.web", "contradict"),
        ("web: {image: x, blkio_config: {weight: 5}}", "services.web.blkio_config.weight", "10"),
        ("web: {image: x, volumes: ['/a:/b:slave,x']}", "services.web.volumes[0]", "mode"),
        ("web: {image: x, logging: {driver: gelf}}", "services.web.logging.driver", "not supported"),
        (
            "web: {image: x, logging: {driver: none, options: {max-size: 1m}}}",
            "services.web.logging.options",
            "not an option of the log driver none",
        ),
        ("web: {image: x, network_mode: none, ports: ['1:1']}", "services.web", "no network"),
        ("web: {image: x, restart: sometimes}", "services.web.restart", "restart policy"),
        ("web: {image: x, mem_limit: lots}", "services.web.mem_limit", "size"),
        ("web: {image: x, cap_add: [NET_ADMN]}", "services.web.cap_add[0]", "no capability"),
        ("web: {image: x, security_opt: ['label:x']}", "services.web.security_opt[0]", "not supported"),
        ("web: {image: x, command: \"'a\"}", "services.web.command", "not closed"),
        ("web: {image: x, command: {a: b}}", "services.web.command", "expected a text"),
        ("web: {image: '${NO:?set it}'}", "services.web.image", "set it"),
        ("web: {image: x, container_name: a, scale: 2}", "services.web", "several replicas"),
        ("web: {image: x, container_name: db}, db: {image: x}", "services.db", "called"),
        ("'we b': {image: x}", "services.we b", "name"),
        ("web: {image: x, environment: {A: [1]}}", "services.web.environment.A", "expected a text"),
    ];
    for (text, object, reason) in rows {
        let layer = layer(&format!("hostname: a\nservices: {{{text}, good: {{image: x}}}}\n"));
        assert_eq!(layer.workloads, None, "{text}");
        assert_eq!(layer.host.hostname.as_deref(), Some("a"), "{text}");
        let found = layer.problems.iter().any(|p| {
            p.severity == Severity::Error
                && p.object == *object
                && p.reason.contains(reason)
                && !p.remedy.is_empty()
        });
        assert!(found, "{text}: {:#?}", layer.problems);
    }
}

#[test]
fn networks_and_volumes_that_cannot_be_made_are_refused() {
    let rows = [
        "networks: {a: {driver: overlay}}",
        "networks: {a: {external: true}}",
        "networks: {a: {ipam: {config: [{subnet: 10.0.0.1/8}]}}}",
        "networks: {a: {ipam: {config: [{gateway: 10.0.0.1}]}}}",
        "networks: {a: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.1.0.1}]}}}",
        "networks: {a: {enable_ipv6: true}}",
        "networks: {a: {name: b}, b: {}}",
        "networks: {host: {}}",
        "volumes: {a: {driver: nfs}}",
        "volumes: {a: {driver_opts: {type: nfs}}}",
        "volumes: {a: {external: true}}",
        "volumes: [a]",
        "services: []",
    ];
    for text in rows {
        let layer = layer(text);
        assert_eq!(layer.workloads, None, "{text}");
        assert_eq!(layer.problems.len(), 1, "{text}: {:#?}", layer.problems);
    }
}

#[test]
fn saying_none_differs_from_saying_nothing() {
    assert_eq!(layer("hostname: a").workloads, None);
    for none in ["services:\n", "services: {}\n", "services: {x-a: 1}\n"] {
        assert!(layer(none).workloads.unwrap().containers.is_empty(), "{none}");
    }
}

#[test]
fn unset_variables_are_reported_and_empty() {
    let layer = layer("services: {web: {image: x, environment: {A: 'a${NOPE}b', HULL_OS: null, Z: null}}}");
    assert_eq!(layer.problems.len(), 2, "{:#?}", layer.problems);
    assert!(layer.problems.iter().all(|p| p.severity == Severity::Warning));
    let workloads = layer.workloads.unwrap();
    let web = workloads.containers.values().next().unwrap();
    assert_eq!((&*web.env["A"], &*web.env["HULL_OS"], web.env.get("Z")), ("ab", "", None));
}
