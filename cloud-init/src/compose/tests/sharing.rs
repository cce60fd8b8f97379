use super::*;

#[test]
fn what_a_service_shares() {
    use hull_model::{IpcMode, NamespaceMode, NetworkMode};
    let s = service(
        "pid: host, ipc: shareable, uts: host, cgroup: host, network_mode: host, cgroup_parent: work.slice",
    );
    assert_eq!((s.pid, s.ipc, s.uts), (NamespaceMode::Host, IpcMode::Shareable, NamespaceMode::Host));
    assert_eq!((s.cgroupns, s.network), (NamespaceMode::Host, NetworkMode::Host));
    assert!(s.networks.is_empty() && s.cgroup_parent.as_deref() == Some("work.slice"));
    let layer = layer(
        "services:\n  db: {image: x, container_name: base, ipc: shareable}\n  \
         web: {image: x, pid: 'service:db', ipc: 'service:db', network_mode: 'service:db'}\n  \
         other: {image: x, pid: 'container:elsewhere'}\n",
    );
    let web = container(&layer, "web");
    let base = || "base".to_owned();
    assert_eq!((web.pid, web.ipc), (NamespaceMode::Container(base()), IpcMode::Container(base())));
    assert_eq!(
        (web.network, web.depends_on),
        (NetworkMode::Container(base()), vec![Name::new("base").unwrap()])
    );
    assert_eq!(container(&layer, "other").pid, NamespaceMode::Container("elsewhere".into()));
}

#[test]
fn devices_and_limits_of_them() {
    let s = service(
        "devices: ['/dev/a', '/dev/a:/dev/b', '/dev/a:/dev/b:r', '/dev/a:rw', 'v.com/gpu=all', {source: /dev/c, permissions: w}],\n\
         device_cgroup_rules: ['c 188:* rmw'], oom_score_adj: -500, oom_kill_disable: true, mem_swappiness: 0,\n\
         cpu_quota: 50ms, cpu_period: 100000, memswap_limit: -1, mem_limit: 1g",
    );
    let all: Vec<String> = s
        .devices
        .iter()
        .map(|d| format!("{} {} {}", d.host.display(), d.container.display(), d.permissions))
        .collect();
    let expected =
        ["/dev/a /dev/a rwm", "/dev/a /dev/b rwm", "/dev/a /dev/b r", "/dev/a /dev/a rw", "/dev/c /dev/c w"];
    assert_eq!(all, expected);
    assert_eq!(
        (s.cdi_devices[0].as_str(), s.device_cgroup_rules[0].as_str()),
        ("v.com/gpu=all", "c 188:* rmw")
    );
    assert_eq!((s.oom_score_adj, s.resources.memory_swappiness), (Some(-500), Some(0)));
    assert_eq!((s.resources.cpu_quota, s.resources.cpu_period), (Some(50_000), Some(100_000)));
    assert!(s.resources.oom_kill_disable && s.resources.memory_swap == Some(u64::MAX));
    let s = service(
        "blkio_config: {weight: 300, weight_device: [{path: /dev/a, weight: 400}],\n\
         device_read_bps: [{path: /dev/a, rate: 12mb}], device_write_iops: [{path: /dev/b, rate: 30}]}",
    );
    assert_eq!((s.resources.blkio_weight, s.resources.blkio_weight_device[0].value), (Some(300), 400));
    assert_eq!(
        (s.resources.device_read_bps[0].value, s.resources.device_write_iops[0].value),
        (12 << 20, 30)
    );
}

#[test]
fn health_and_logs() {
    let check = |keys: &str| service(&format!("healthcheck: {{{keys}}}")).healthcheck.unwrap();
    let c = check(
        "test: 'curl -f x', interval: 90s, timeout: 10s, retries: 3, start_period: 1m, start_interval: 5s",
    );
    assert_eq!(c.test, ["CMD-SHELL", "curl -f x"]);
    assert_eq!(
        (c.interval, c.timeout, c.retries, c.start_period),
        (90_000_000_000, 10_000_000_000, 3, 60_000_000_000)
    );
    assert_eq!(check("test: [CMD, a, b]").test, ["CMD", "a", "b"]);
    assert_eq!(check("disable: true").test, ["NONE"]);
    assert!(check("interval: 5s").test.is_empty(), "as the image says");
    let log = |keys: &str| service(&format!("logging: {{{keys}}}")).log;
    use hull_model::LogDriver;
    assert_eq!(log("driver: json-file").driver, LogDriver::JsonFile);
    let l =
        log("options: {tag: x, syslog-address: 'udp://192.0.2.1:514', mode: non-blocking}, driver: syslog");
    assert_eq!((l.driver, l.options["tag"].as_str(), l.non_blocking), (LogDriver::Syslog, "x", true));
    assert_eq!(
        (log("driver: none").driver, log("options: {compress: 'false'}").compress),
        (LogDriver::None, false)
    );
    let s = service(
        "security_opt: ['apparmor=web', 'label:disable', 'systempaths=unconfined'], dns_opt: [use-vc]",
    );
    assert_eq!(
        (s.apparmor.as_deref(), s.masked_paths, s.dns_options),
        (Some("web"), Some(vec![]), vec!["use-vc".into()])
    );
}

#[test]
fn options_of_mounts() {
    let s = service(
        "volumes: ['/srv:/a:ro,rslave,z', 'data:/b:nocopy', {type: bind, source: /srv, target: /c, bind: {propagation: shared, recursive: writable}},\n\
         {type: volume, source: data, target: /d, volume: {nocopy: true, subpath: x/y}},\n\
         {type: bind, source: /srv, target: /e, bind: {recursive: disabled}}], tmpfs: ['/f:exec,uid=5,ro']",
    );
    let options: Vec<_> = s.mounts.iter().map(|m| m.options.clone()).collect();
    assert_eq!((options[0].propagation.as_deref(), s.mounts[0].read_only), (Some("rslave"), true));
    assert!(
        options[1].no_copy && options[3].no_copy && options[4].not_recursive && options[2].writable_below
    );
    assert_eq!(
        (options[2].propagation.as_deref(), options[3].subpath.as_deref()),
        (Some("shared"), Some("x/y"))
    );
    assert_eq!((options[5].tmpfs.join(","), s.mounts[5].read_only), ("exec,uid=5".into(), true));
}
