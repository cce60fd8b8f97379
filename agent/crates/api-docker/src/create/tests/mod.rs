//! Whole requests, as clients send them, and what becomes of them: translated, or refused in Docker's words.

mod refused;

use super::machine::Machine;
use super::{Surroundings, Translated, check, translate};
use crate::error::ApiError;
use crate::request::{CreateRequest, document};
use crate::version::Spoken;
use hull_model::{
    ContainerSpec, Digest, Image, ImageConfig, IpcMode, MountKind, Name, NetworkMode, PortSpec, Protocol,
    Reference, RestartPolicy,
};
use serde_json::{Value, json};

fn image() -> Image {
    Image {
        id: Digest::from_sha256([1; 32]),
        manifest: Digest::from_sha256([2; 32]),
        references: [Reference::parse("busybox").unwrap()].into(),
        layers: Vec::new(),
        config: ImageConfig {
            env: vec!["PATH=/bin".into()],
            cmd: vec!["sh".into()],
            ..ImageConfig::default()
        },
        architecture: "amd64".into(),
        size: 0,
        created: String::new(),
        os: "linux".into(),
        variant: String::new(),
        author: String::new(),
        comment: String::new(),
        repo_digests: Default::default(),
        tagged: None,
        parent: None,
    }
}

fn at(spoken: Spoken, body: &Value) -> Result<Translated, ApiError> {
    let request: CreateRequest = document(&serde_json::to_vec(body).unwrap())?;
    check(&request)?;
    let machine = Machine { cpus: "0-1".into(), nodes: "0".into(), blkio_weight: false, unified: false };
    let around = Surroundings {
        spoken,
        machine: &machine,
        networks: &[],
        taken: &[],
        exists: &|path| path.starts_with("/tmp"),
    };
    let reference = Reference::parse("busybox").unwrap();
    let mut number = 0;
    let names = move || {
        number += 1;
        Name::new(format!("anonymous{number}")).unwrap()
    };
    translate(request, Name::new("web").unwrap(), reference, &image(), &around, names)
}

fn read(body: Value) -> Result<Translated, ApiError> {
    at(Spoken(1, 51), &body)
}

fn host(options: Value) -> Value {
    json!({ "Image": "busybox", "HostConfig": options })
}

fn refused(body: Value, status: u16, words: &str) {
    let shown = body.to_string();
    match read(body) {
        Ok(_) => panic!("{shown} is not refused"),
        Err(error) => assert_eq!((error.status.as_u16(), error.message.as_str()), (status, words), "{shown}"),
    }
}

#[test]
fn limits_are_checked_in_dockers_words() {
    let mib = 1 << 20;
    for (options, words) in [
        (json!({ "Memory": 1 }), "Minimum memory limit allowed is 6MB"),
        (json!({ "Memory": -1 }), "Minimum memory limit allowed is 6MB"),
        (
            json!({ "Memory": 64 * mib, "MemorySwap": 32 * mib }),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            json!({ "MemorySwap": 64 * mib }),
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (json!({ "MemoryReservation": 1 }), "Minimum memory reservation allowed is 6MB"),
        (
            json!({ "Memory": 64 * mib, "MemoryReservation": 128 * mib }),
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (json!({ "MemorySwappiness": 101 }), "Invalid value: 101, valid memory swappiness range is 0-100"),
        (
            json!({ "NanoCpus": 1_000_000_000, "CpuQuota": 1000 }),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            json!({ "NanoCpus": 1_000_000_000, "CpuPeriod": 100_000 }),
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            json!({ "NanoCpus": 100_000_000_000_u64 }),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            json!({ "CpuPeriod": 1 }),
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (json!({ "CpuQuota": 1 }), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (json!({ "CpuShares": -1 }), "invalid CPU shares (-1): value must be a positive integer"),
        (json!({ "CpusetCpus": "99" }), "Requested CPUs are not available - requested 99, available: 0-1"),
        (json!({ "CpusetCpus": "a" }), "Invalid value a for cpuset cpus: invalid format: a"),
        (
            json!({ "CpusetMems": "9" }),
            "Requested memory nodes are not available - requested 9, available: 0",
        ),
        (
            json!({ "IOMaximumBandwidth": 5 }),
            "invalid option: QoS maximum bandwidth configuration is not supported on linux",
        ),
        (json!({ "ShmSize": -1 }), "SHM size can not be less than 0"),
        (json!({ "OomScoreAdj": 1001 }), "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    ] {
        refused(host(options), 400, words);
    }
}

#[test]
fn policies_and_modes_are_checked_in_dockers_words() {
    for (options, words) in [
        (
            json!({ "RestartPolicy": { "Name": "bogus" } }),
            "invalid restart policy: unknown policy 'bogus'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            json!({ "RestartPolicy": { "Name": "always", "MaximumRetryCount": 3 } }),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            json!({ "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": -1 } }),
            "invalid restart policy: maximum retry count cannot be negative",
        ),
        (
            json!({ "AutoRemove": true, "RestartPolicy": { "Name": "always" } }),
            "can't create 'AutoRemove' container with restart policy",
        ),
        (json!({ "UTSMode": "bogus" }), "invalid UTS mode: bogus"),
        (json!({ "PidMode": "bogus" }), "invalid PID mode: bogus"),
        (json!({ "PidMode": "container:" }), "invalid PID mode: container:"),
        (json!({ "IpcMode": "bogus" }), "invalid IPC mode: bogus"),
        (json!({ "CgroupnsMode": "bogus" }), "invalid cgroup namespace mode: bogus"),
        (
            json!({ "NetworkMode": "container:" }),
            "invalid network mode: invalid container format container:<name|id>",
        ),
        (
            json!({ "NetworkMode": "container:x", "PortBindings": { "80/tcp": [{}] } }),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            json!({ "NetworkMode": "container:x", "Dns": ["1.1.1.1"] }),
            "conflicting options: dns and the network mode",
        ),
        (json!({ "Isolation": "hyperv" }), "invalid isolation (hyperv): linux only supports 'default'"),
        (json!({ "Runtime": "bogus" }), "unknown or invalid runtime name: bogus"),
        (json!({ "CapAdd": ["bogus"] }), "invalid CapAdd: unknown capability: \"CAP_BOGUS\""),
        (json!({ "ExtraHosts": ["x"] }), "bad format for add-host: \"x\""),
        (json!({ "ExtraHosts": ["x:y"] }), "invalid IP address in add-host: \"y\""),
        (
            json!({ "Annotations": { "": "x" } }),
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ),
    ] {
        refused(host(options), 400, words);
    }
    refused(host(json!({ "NetworkMode": "nope" })), 400, "network nope not found");
    refused(host(json!({ "StorageOpt": { "bogus": "1" } })), 500, "Unknown option bogus");
    refused(host(json!({ "Links": ["a:b:c"] })), 500, "bad format for links: a:b:c");
    let named = json!({ "Image": "busybox", "Hostname": "foo", "HostConfig": { "UTSMode": "host" } });
    refused(named, 400, "conflicting options: hostname and the UTS mode");
}

#[test]
fn configs_are_checked_in_dockers_words() {
    for (field, value, words) in [
        ("Env", json!(["=x"]), "invalid environment variable: =x"),
        ("WorkingDir", json!("x"), "the working directory 'x' is invalid, it needs to be an absolute path"),
        ("StopSignal", json!("bogus"), "invalid signal: bogus"),
        ("Healthcheck", json!({ "Interval": 1 }), "Interval in Healthcheck cannot be less than 1ms"),
        (
            "Healthcheck",
            json!({ "StartInterval": -1 }),
            "StartInterval in Healthcheck cannot be less than 1ms",
        ),
        ("Healthcheck", json!({ "Retries": -1 }), "Retries in Healthcheck cannot be negative"),
    ] {
        let mut body = json!({ "Image": "busybox" });
        body[field] = value;
        refused(body, 400, words);
    }
    refused(json!({}), 400, "config cannot be empty in order to create a container");
    refused(json!({ "HostConfig": {} }), 400, "config cannot be empty in order to create a container");
}

#[test]
fn a_plain_request_is_a_plain_container() {
    let made = read(json!({ "Image": "busybox" })).unwrap();
    let mut plain = ContainerSpec::new(Name::new("web").unwrap(), Reference::parse("busybox").unwrap());
    plain.networks.insert(Name::new("bridge").unwrap(), Default::default());
    assert_eq!(made.spec, plain);
    let (config, host) = (&made.request["Config"], &made.request["HostConfig"]);
    assert_eq!((&config["Cmd"], &config["Env"]), (&json!(["sh"]), &json!(["PATH=/bin"])));
    assert_eq!((&host["NetworkMode"], &host["ShmSize"]), (&json!("bridge"), &json!(67_108_864)));
    assert_eq!((&host["RestartPolicy"]["Name"], &host["PortBindings"]), (&json!("no"), &Value::Null));
    assert_eq!((&host["Binds"], &host["CapAdd"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_full_request_says_everything() {
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "5"], "Entrypoint": [], "Env": ["A=b", "C"], "User": "1:2", "Tty": true,
        "OpenStdin": true, "StdinOnce": true, "Hostname": "h", "ExposedPorts": { "77/tcp": {} },
        "Volumes": { "/anon": {}, "/y": {} }, "StopTimeout": 3, "Labels": { "a": "b" },
        "Healthcheck": { "Test": ["CMD-SHELL", "true"] },
        "HostConfig": {
            "Binds": ["/tmp:/x:ro,rslave", "volume:/y"], "Memory": 67_108_864, "NanoCpus": 500_000_000, "CapAdd": ["net_admin"],
            "PortBindings": { "80": [{ "HostPort": "8088" }], "53/udp": [{}] }, "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
            "Tmpfs": { "/t": "size=1m" }, "IpcMode": "shareable", "PidsLimit": -1, "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": -1 }],
            "DeviceRequests": [{ "Count": -1, "Capabilities": [["gpu"]] }], "Init": true, "VolumesFrom": ["other:ro"],
        },
    });
    let made = read(body).unwrap();
    let spec = made.spec;
    assert_eq!(
        (spec.entrypoint, spec.command),
        (Some(vec![]), Some(vec!["sleep".to_owned(), "5".to_owned()]))
    );
    assert_eq!(spec.env.into_iter().collect::<Vec<_>>(), [("A".to_owned(), "b".to_owned())]);
    let targets: Vec<_> = spec.mounts.iter().map(|m| m.target.to_str().unwrap()).collect();
    assert_eq!(targets, ["/anon", "/t", "/x", "/y"]);
    assert!(spec.mounts[0].options.anonymous && !spec.mounts[3].options.anonymous);
    assert_eq!(spec.mounts[2].kind, MountKind::Bind { source: "/tmp".into(), create: true });
    assert!(spec.mounts[2].read_only && spec.mounts[2].options.propagation.as_deref() == Some("rslave"));
    let port =
        |host_port, container_port, protocol| PortSpec { host_ip: None, host_port, container_port, protocol };
    assert_eq!(spec.ports, [port(0, 53, Protocol::Udp), port(8088, 80, Protocol::Tcp)]);
    assert_eq!(spec.restart, RestartPolicy::OnFailure { max_retries: Some(3) });
    assert_eq!((spec.ipc, spec.resources.pids), (IpcMode::Shareable, None));
    assert_eq!((spec.ulimits["nofile"].soft, spec.ulimits["nofile"].hard), (1, u64::MAX));
    assert_eq!(spec.cdi_devices, ["nvidia.com/gpu=all"]);
    assert_eq!(made.volumes_from, [("other".to_owned(), true)]);
    assert_eq!(made.request["HostConfig"]["MemorySwap"], 134_217_728);
    assert_eq!(
        made.request["HostConfig"]["PortBindings"]["80/tcp"],
        json!([{ "HostIp": "", "HostPort": "8088" }])
    );
}

#[test]
fn the_hosts_network_publishes_nothing() {
    let options = json!({ "NetworkMode": "host", "PortBindings": { "80/tcp": [{ "HostPort": "80" }] } });
    let made = read(host(options)).unwrap();
    assert_eq!((made.spec.network, made.spec.ports.len()), (NetworkMode::Host, 0));
    assert_eq!(made.warnings, ["Published ports are discarded when using host network mode"]);
}

#[test]
fn older_clients_get_what_they_had() {
    let plain = host(json!({}));
    let old = at(Spoken(1, 24), &plain).unwrap().spec;
    assert_eq!((old.ipc, old.cgroupns), (IpcMode::Shareable, hull_model::NamespaceMode::Host));
    let several =
        json!({ "Image": "busybox", "NetworkingConfig": { "EndpointsConfig": { "a": {}, "b": {} } } });
    let words = "Container cannot be created with multiple network endpoints: a, b";
    assert_eq!(at(Spoken(1, 43), &several).unwrap_err().message, words);
}

#[test]
fn places_in_networks_are_checked_in_dockers_words() {
    let endpoint = |settings: Value| json!({ "Image": "busybox", "NetworkingConfig": { "EndpointsConfig": { "bridge": settings } } });
    let prefix = "invalid config for network bridge: ";
    for (settings, words) in [
        (Value::Null, "EndpointsConfig is nil"),
        (json!({ "MacAddress": "zz" }), "invalid MAC address zz"),
        (
            json!({ "Aliases": ["x"] }),
            "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks",
        ),
        (
            json!({ "IPAMConfig": { "IPv4Address": "x" } }),
            "invalid endpoint settings:\n* user specified IP address is supported on user defined networks only\n* invalid IPv4 address: x\n* user specified IP address is supported only when connecting to networks with user configured subnets",
        ),
    ] {
        refused(endpoint(settings), 400, &format!("{prefix}{words}"));
    }
    let mac = json!({ "MacAddress": "02:42:ac:11:00:02" });
    refused(endpoint(mac), 501, "choosing a MAC address is not supported by Hull");
}
