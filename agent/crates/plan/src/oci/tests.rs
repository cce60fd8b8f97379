use super::*;
use hull_model::{
    EndpointSpec, IpcMode, MountKind, MountOptions, MountSpec, NetworkMode, PortSpec, Protocol, Reference,
};
use std::collections::BTreeSet;

mod mounts;

fn spec() -> ContainerSpec {
    ContainerSpec::new(Name::new("web").unwrap(), Reference::parse("web").unwrap())
}

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["default".into()],
        env: vec!["PATH=/bin".into(), "A=image".into()],
        ..ImageConfig::default()
    }
}

fn describe(spec: &ContainerSpec) -> Value {
    let id = ContainerId::from_random([7; 32]);
    let volumes = BTreeMap::from([(Name::new("data").unwrap(), PathBuf::from("/v/data/_data"))]);
    let etc = BTreeMap::new();
    let (image, numbers, cdi) = (image(), DeviceNumbers::new(), Edits::default());
    let input = input(&id, spec, &image, (&volumes, &etc, &numbers, &cdi));
    serde_json::to_value(runtime_spec(&input).unwrap()).unwrap()
}

type Places<'a> = (&'a BTreeMap<Name, PathBuf>, &'a BTreeMap<PathBuf, PathBuf>, &'a DeviceNumbers, &'a Edits);

fn input<'a>(
    id: &'a ContainerId,
    spec: &'a ContainerSpec,
    image: &'a ImageConfig,
    (volumes, etc, numbers, cdi): Places<'a>,
) -> OciInput<'a> {
    let (joined, devices) = (Joined::default(), &[]);
    OciInput { id, spec, image, netns: None, joined, volumes, etc, devices, numbers, cdi, seccomp: None }
}

#[test]
fn an_own_entrypoint_clears_the_images_command() {
    let list = |items: &[&str]| Some(items.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    let rows = [
        (None, None, "/entry default"),
        (None, list(&["x"]), "/entry x"),
        (list(&["/own"]), None, "/own"),
        (list(&["/own"]), list(&["x"]), "/own x"),
        (list(&[]), list(&["x"]), "x"),
        (None, list(&[]), "/entry"),
    ];
    for (entrypoint, cmd, expected) in rows {
        let spec = ContainerSpec { entrypoint, command: cmd, ..spec() };
        assert_eq!(command(&spec, &image()).join(" "), expected);
    }
}

#[test]
fn an_image_without_a_program_is_named() {
    let id = ContainerId::from_random([7; 32]);
    let (volumes, etc, image) = (BTreeMap::new(), BTreeMap::new(), ImageConfig::default());
    let (spec, numbers, cdi) = (spec(), DeviceNumbers::new(), Edits::default());
    let input = input(&id, &spec, &image, (&volumes, &etc, &numbers, &cdi));
    assert!(runtime_spec(&input).unwrap_err().to_string().contains("web:latest"));
}

#[test]
fn the_environment_is_layered() {
    let mut spec = spec();
    spec.env.insert("A".into(), "own=1".into());
    spec.hostname = Some("box".into());
    let env = environment(&ContainerId::from_random([7; 32]), &spec, &image());
    assert_eq!(env, ["PATH=/bin", "HOSTNAME=box", "A=own=1"]);
}

#[test]
fn capabilities_follow_docker() {
    let with = |add: &[&str], drop: &[&str]| {
        let strings = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        capabilities(&ContainerSpec { cap_add: strings(add), cap_drop: strings(drop), ..spec() })
    };
    assert_eq!(with(&[], &[]).unwrap().len(), 14);
    assert_eq!(with(&["CAP_NET_ADMIN"], &["CAP_CHOWN"]).unwrap().len(), 14);
    assert_eq!(with(&["CAP_CHOWN"], &["ALL"]).unwrap(), BTreeSet::from(["CAP_CHOWN".to_owned()]));
    assert_eq!(with(&["ALL"], &["CAP_SYS_ADMIN"]).unwrap().len(), 40);
    assert!(with(&["CAP_FLY"], &[]).is_err());
    let capabilities = &describe(&spec())["process"]["capabilities"];
    assert!(capabilities["inheritable"].is_null() && capabilities["ambient"].is_null());
}

#[test]
fn shared_memory_is_never_without_limit() {
    for (asked, size) in [(None, 64 << 20), (Some(0), 64 << 20), (Some(4096), 4096)] {
        let mut spec = spec();
        spec.shm_size = asked;
        let config = describe(&spec);
        let mounts = config["mounts"].as_array().unwrap();
        let shm = mounts.iter().find(|m| m["destination"] == "/dev/shm").unwrap();
        assert!(shm["options"].as_array().unwrap().contains(&json!(format!("size={size}"))), "{shm}");
    }
}

#[test]
fn only_privileged_containers_see_the_kernel() {
    let plain = describe(&spec());
    assert!(plain["linux"]["maskedPaths"].as_array().unwrap().len() > 5);
    let privileged = describe(&ContainerSpec { privileged: true, ..spec() });
    assert!(privileged["linux"]["maskedPaths"].as_array().is_none_or(Vec::is_empty));
}

#[test]
fn volumes_become_binds_of_their_data() {
    let mut with_volume = spec();
    let kind = MountKind::Volume { name: Name::new("data").unwrap() };
    with_volume.mounts.push(MountSpec {
        kind,
        target: "/data".into(),
        read_only: true,
        options: Default::default(),
    });
    let value = describe(&with_volume);
    let mount = value["mounts"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&mount["source"], &mount["destination"]), (&json!("/v/data/_data"), &json!("/data")));
    assert!(mount["options"].as_array().unwrap().contains(&json!("rro")));
}

#[test]
fn hosts_and_resolver_name_the_container() {
    let mut spec = spec();
    spec.extra_hosts.insert("gw".into(), "host-gateway".into());
    let addresses = BTreeMap::from([(Name::new("default").unwrap(), "10.88.0.2".parse().unwrap())]);
    let text = hosts_file(&ContainerId::from_random([7; 32]), &spec, &addresses, "10.88.0.1".parse().ok());
    assert!(text.contains("10.88.0.1\tgw\n") && text.contains("10.88.0.2\t070707070707\n"));
    assert_eq!(resolv_conf(&spec), None);
    spec.networks.insert(Name::new("default").unwrap(), Default::default());
    assert!(resolv_conf(&spec).unwrap().starts_with("nameserver 127.0.0.11\n"));
}

/// A container that joins whatever it names.
fn joined(spec: &ContainerSpec) -> Value {
    let id = ContainerId::from_random([7; 32]);
    let (volumes, etc, image, numbers, cdi) =
        (BTreeMap::new(), BTreeMap::new(), image(), DeviceNumbers::new(), Edits::default());
    let netns = Path::new("/proc/9/ns/net");
    let shared = matches!(spec.network, NetworkMode::Container(_));
    let joined = Joined {
        pid: Some("/proc/9/ns/pid".into()),
        ipc: Some("/proc/9/ns/ipc".into()),
        shm: Some("/proc/9/root/dev/shm".into()),
    };
    let input = input(&id, spec, &image, (&volumes, &etc, &numbers, &cdi));
    let input = OciInput { joined, netns: shared.then_some(netns), ..input };
    serde_json::to_value(runtime_spec(&input).unwrap()).unwrap()
}

fn namespaces_of(spec: &ContainerSpec) -> Vec<String> {
    let config = joined(spec);
    let list = config["linux"]["namespaces"].as_array().unwrap().clone();
    let text = |n: &Value| format!("{}{}", n["type"].as_str().unwrap(), n["path"].as_str().unwrap_or(""));
    list.iter().map(text).collect()
}

#[test]
fn namespaces_are_made_shared_or_joined() {
    let other = || NamespaceMode::Container("x".into());
    let base = spec();
    let rows = [
        (base.clone(), "mount pid ipc uts cgroup network"),
        (ContainerSpec { pid: NamespaceMode::Host, ..spec() }, "mount ipc uts cgroup network"),
        (ContainerSpec { pid: other(), ..spec() }, "mount pid/proc/9/ns/pid ipc uts cgroup network"),
        (ContainerSpec { ipc: IpcMode::Host, ..spec() }, "mount pid uts cgroup network"),
        (
            ContainerSpec { ipc: IpcMode::Container("x".into()), ..spec() },
            "mount pid ipc/proc/9/ns/ipc uts cgroup network",
        ),
        (ContainerSpec { uts: NamespaceMode::Host, ..spec() }, "mount pid ipc cgroup network"),
        (ContainerSpec { cgroupns: NamespaceMode::Host, ..spec() }, "mount pid ipc uts network"),
        (ContainerSpec { network: NetworkMode::Host, ..spec() }, "mount pid ipc uts cgroup"),
        (
            ContainerSpec { network: NetworkMode::Container("x".into()), ..spec() },
            "mount pid ipc uts cgroup network/proc/9/ns/net",
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(namespaces_of(&spec).join(" "), expected);
    }
    assert!(joined(&ContainerSpec { uts: NamespaceMode::Host, ..spec() })["hostname"].is_null());
    let sysctl =
        |spec: &ContainerSpec| joined(spec)["linux"]["sysctl"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!((sysctl(&base), sysctl(&ContainerSpec { network: NetworkMode::Host, ..spec() })), (2, 0));
}

#[test]
fn shared_memory_goes_with_the_mode() {
    let shm = |ipc: IpcMode| {
        let config = joined(&ContainerSpec { ipc, ..spec() });
        let mounts = config["mounts"].as_array().unwrap();
        mounts
            .iter()
            .find(|m| m["destination"] == "/dev/shm")
            .map(|m| format!("{} {}", m["type"], m["source"]))
    };
    assert_eq!(shm(IpcMode::Private), shm(IpcMode::Shareable));
    assert_eq!(shm(IpcMode::None), None);
    assert_eq!(shm(IpcMode::Host).as_deref(), Some("\"bind\" \"/dev/shm\""));
    assert_eq!(shm(IpcMode::Container("x".into())).as_deref(), Some("\"bind\" \"/proc/9/root/dev/shm\""));
}

#[test]
fn options_that_exclude_each_other_are_refused_in_dockers_words() {
    let joined = || ContainerSpec { network: NetworkMode::Container("x".into()), ..spec() };
    let port = PortSpec { host_ip: None, host_port: 1, container_port: 1, protocol: Protocol::Tcp };
    let named = |spec: ContainerSpec| ContainerSpec { hostname: Some("h".into()), ..spec };
    let rows = [
        (named(ContainerSpec { uts: NamespaceMode::Host, ..spec() }), "hostname and the UTS mode"),
        (named(joined()), "hostname and the network mode"),
        (ContainerSpec { dns: vec!["1.1.1.1".into()], ..joined() }, "dns and the network mode"),
        (
            ContainerSpec { ports: vec![port], ..joined() },
            "port publishing and the container type network mode",
        ),
        (
            ContainerSpec { publish_all: true, ..joined() },
            "port publishing and the container type network mode",
        ),
        (
            ContainerSpec { exposed: vec!["1/tcp".into()], ..joined() },
            "port exposing and the container type network mode",
        ),
    ];
    for (spec, words) in rows {
        assert_eq!(conflicts(&spec).unwrap_err().to_string(), format!("conflicting options: {words}"));
    }
    assert!(conflicts(&named(ContainerSpec { network: NetworkMode::Host, ..spec() })).is_ok());
}

#[test]
fn what_is_said_goes_before_what_privileged_means() {
    let linux = |spec: &ContainerSpec| describe(spec)["linux"].clone();
    let paths = |spec: &ContainerSpec| linux(spec)["maskedPaths"].as_array().map_or(0, Vec::len);
    assert_eq!(paths(&spec()), MASKED_PATHS.len());
    assert_eq!(paths(&ContainerSpec { masked_paths: Some(vec![]), ..spec() }), 0);
    let one = Some(vec!["/proc/x".to_owned()]);
    assert_eq!(paths(&ContainerSpec { privileged: true, masked_paths: one, ..spec() }), 1);
    let rules = |spec: &ContainerSpec| linux(spec)["resources"]["devices"].as_array().unwrap().clone();
    assert_eq!(
        rules(&ContainerSpec { privileged: true, ..spec() }),
        [json!({"allow": true, "access": "rwm"})]
    );
    assert_eq!(rules(&spec())[0]["allow"], false);
    let own = ContainerSpec { device_cgroup_rules: vec!["c 42:* r".into()], ..spec() };
    assert_eq!(rules(&own).last().unwrap()["major"], 42);
    let networks = BTreeMap::from([(Name::new("n").unwrap(), EndpointSpec::default())]);
    let process = |spec: &ContainerSpec| describe(spec)["process"].clone();
    let spec = ContainerSpec { networks, oom_score_adj: Some(-5), apparmor: Some("p".into()), ..spec() };
    assert_eq!(
        (&process(&spec)["oomScoreAdj"], &process(&spec)["apparmorProfile"]),
        (&json!(-5), &json!("p"))
    );
}
