use super::*;
use hull_model::{MountKind, MountSpec, Reference, Resources};
use std::collections::BTreeSet;

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
fn limits_are_in_the_kernels_units() {
    let resources = Resources {
        memory: Some(1 << 20),
        nano_cpus: Some(1_500_000_000),
        pids: Some(9),
        ..Resources::default()
    };
    let value = describe(&ContainerSpec { resources, ..spec() });
    let resources = &value["linux"]["resources"];
    assert_eq!(resources["memory"]["limit"], 1 << 20);
    assert_eq!(resources["memory"]["swap"], 2 << 20);
    assert_eq!((&resources["cpu"]["quota"], &resources["cpu"]["period"]), (&json!(150_000), &json!(100_000)));
    assert_eq!(resources["pids"]["limit"], 9);
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
