use super::*;
use hull_model::{
    ContainerId, Digest, EndpointSpec, ExitStatus, Image, ImageConfig, MountKind, MountSpec, Reference,
    VolumeRecord, VolumeSpec,
};
use proptest::prelude::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A service of a generated spec: which image, network, volume, port and version it has.
#[derive(Debug, Clone)]
struct Service {
    image: u8,
    network: Option<u8>,
    volume: Option<u8>,
    env: u8,
    after_previous: bool,
}

fn host_spec(services: &[Option<Service>], internal: bool) -> HostSpec {
    let mut spec = HostSpec::default();
    let mut previous: Option<Name> = None;
    for (index, service) in services.iter().enumerate() {
        let Some(service) = service else { continue };
        let mut container = ContainerSpec::new(
            name(&format!("s{index}")),
            Reference::parse(&format!("i{}", service.image)).unwrap(),
        );
        container.env.insert("V".into(), service.env.to_string());
        if let Some(network) = service.network {
            let network = name(&format!("n{network}"));
            container.networks.insert(network.clone(), EndpointSpec::default());
            spec.workloads.networks.insert(
                network.clone(),
                NetworkSpec { name: network, subnet: None, gateway: None, internal, labels: BTreeMap::new() },
            );
        }
        if let Some(volume) = service.volume {
            let volume = name(&format!("v{volume}"));
            let kind = MountKind::Volume { name: volume.clone() };
            container.mounts.push(MountSpec {
                kind,
                target: "/v".into(),
                read_only: false,
                options: Default::default(),
            });
            spec.workloads
                .volumes
                .insert(volume.clone(), VolumeSpec { name: volume, labels: BTreeMap::new() });
        }
        if service.after_previous {
            container.depends_on.extend(previous.clone());
        }
        previous = Some(container.name.clone());
        spec.workloads.containers.insert(container.name.clone(), container);
    }
    spec
}

/// An id that no other container of this test run has.
fn fresh_id() -> ContainerId {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes());
    ContainerId::from_random(bytes)
}

/// What a step does to a host, without a host.
fn apply(step: &Step, inventory: &mut Inventory) {
    match step {
        Step::ConfigureHost { settings } => inventory.host = Some((**settings).clone()),
        Step::PullImage { reference } => inventory.images.push(Image {
            id: Digest::from_sha256([0; 32]),
            manifest: Digest::from_sha256([0; 32]),
            references: BTreeSet::from([reference.clone()]),
            layers: vec![],
            config: ImageConfig::default(),
            architecture: "amd64".into(),
            size: 0,
            created: String::new(),
            os: "linux".into(),
            variant: String::new(),
            author: String::new(),
            comment: String::new(),
            repo_digests: BTreeSet::new(),
            tagged: None,
            parent: None,
        }),
        Step::CreateVolume { spec } => inventory.volumes.push(VolumeRecord {
            name: spec.name.clone(),
            owner: Owner::HostSpec,
            path: "/v".into(),
            labels: BTreeMap::new(),
            created: now(),
            anonymous: false,
        }),
        Step::CreateNetwork { spec, subnet, gateway } => inventory.networks.push(NetworkRecord {
            id: String::new(),
            name: spec.name.clone(),
            owner: Owner::HostSpec,
            bridge: String::new(),
            subnet: *subnet,
            gateway: *gateway,
            internal: spec.internal,
            labels: spec.labels.clone(),
            created: now(),
        }),
        Step::RemoveNetwork { name } => inventory.networks.retain(|n| n.name != *name),
        Step::StopContainer { id, .. } => set_state(inventory, |c| c.id == *id, exited(137)),
        Step::RemoveContainer { id, .. } => inventory.containers.retain(|c| c.id != *id),
        Step::CreateContainer { spec, .. } => {
            inventory.containers.push(ContainerRecord {
                id: fresh_id(),
                spec: (**spec).clone(),
                image: inventory.image(&spec.image).expect("the image is there").id.clone(),
                owner: Owner::HostSpec,
                created: now(),
                state: ContainerState::Created,
                wanted: true,
                restarts: 0,
                addresses: BTreeMap::new(),
                published: Vec::new(),
                request: None,
            });
        }
        Step::StartContainer { name, .. } => {
            let state = ContainerState::Running { pid: 1, started: now(), paused: false };
            set_state(inventory, |c| c.spec.name == *name, state);
        }
    }
}

fn exited(code: i32) -> ContainerState {
    let exit = ExitStatus { code, ..ExitStatus::default() };
    ContainerState::Exited { exit, started: Some(now()), finished: now() }
}

fn set_state(inventory: &mut Inventory, which: impl Fn(&ContainerRecord) -> bool, state: ContainerState) {
    for container in inventory.containers.iter_mut().filter(|c| which(c)) {
        container.state = state.clone();
    }
}

/// Plans and does up to `count` steps, as the executor does: only those whose needs are met.
fn run(desired: &HostSpec, inventory: &mut Inventory, count: usize) -> Vec<Step> {
    let mut done = Vec::new();
    for planned in plan(desired, inventory, now()).steps.into_iter().take(count) {
        let met: Vec<StepKey> = done.iter().map(Step::key).collect();
        assert!(planned.needs.iter().all(|n| met.contains(n)), "{planned:?} comes before what it needs");
        apply(&planned.step, inventory);
        done.push(planned.step);
    }
    done
}

fn foreign(called: &str) -> ContainerRecord {
    ContainerRecord {
        id: ContainerId::from_random([9; 32]),
        spec: ContainerSpec::new(name(called), Reference::parse("foreign").unwrap()),
        image: Digest::from_sha256([9; 32]),
        owner: Owner::Docker,
        created: now(),
        state: ContainerState::Running { pid: 7, started: now(), paused: false },
        wanted: true,
        restarts: 0,
        addresses: BTreeMap::new(),
        published: Vec::new(),
        request: None,
    }
}

prop_compose! {
    fn service()(
        image in 0u8..3,
        network in proptest::option::of(0u8..3),
        volume in proptest::option::of(0u8..2),
        env in 0u8..2,
        after_previous: bool,
    ) -> Service {
        Service { image, network, volume, env, after_previous }
    }
}

fn services() -> impl Strategy<Value = Vec<Option<Service>>> {
    proptest::collection::vec(proptest::option::of(service()), 0..6)
}

proptest! {
    #[test]
    fn a_converged_host_has_an_empty_plan(before in services(), after in services()) {
        let mut inventory = Inventory { manages_host: true, ..Inventory::default() };
        for desired in [host_spec(&before, false), host_spec(&after, true)] {
            run(&desired, &mut inventory, usize::MAX);
            let rest = plan(&desired, &inventory, now());
            prop_assert_eq!(rest, Plan::default());
        }
    }

    #[test]
    fn any_prefix_followed_by_a_new_plan_converges(before in services(), after in services(), prefix in 0usize..12) {
        let mut inventory = Inventory::default();
        run(&host_spec(&before, false), &mut inventory, usize::MAX);
        let desired = host_spec(&after, false);
        run(&desired, &mut inventory, prefix);
        run(&desired, &mut inventory, usize::MAX);
        prop_assert_eq!(plan(&desired, &inventory, now()), Plan::default());
        let running = inventory.containers.iter().filter(|c| c.state.is_running()).count();
        prop_assert_eq!(running, desired.workloads.containers.len());
    }

    #[test]
    fn only_the_owner_plans_an_object_away(before in services(), after in services(), taken in 0usize..6) {
        let mut inventory = Inventory::default();
        inventory.containers.push(foreign(&format!("s{taken}")));
        for desired in [host_spec(&before, false), host_spec(&after, true)] {
            let steps = run(&desired, &mut inventory, usize::MAX);
            let touched = steps.iter().any(|s| s.key().object == format!("container s{taken}"));
            prop_assert!(!touched);
            let is_declared = desired.workloads.containers.contains_key(&name(&format!("s{taken}")));
            prop_assert_eq!(plan(&desired, &inventory, now()).blocked.is_empty(), !is_declared);
        }
        let survived = inventory.containers.contains(&foreign(&format!("s{taken}")));
        prop_assert!(survived);
    }

    #[test]
    fn nothing_is_stopped_before_its_replacement_can_start(before in services(), after in services()) {
        let mut inventory = Inventory::default();
        run(&host_spec(&before, false), &mut inventory, usize::MAX);
        let desired = host_spec(&after, false);
        let steps = plan(&desired, &inventory, now()).steps;
        for (index, planned) in steps.iter().enumerate() {
            let Step::StopContainer { name, .. } = &planned.step else { continue };
            let Some(replacement) = desired.workloads.containers.get(name) else { continue };
            let late = steps[index..].iter().any(|s| match &s.step {
                Step::PullImage { reference } => *reference == replacement.image,
                Step::CreateVolume { spec } => replacement.volumes().any(|v| *v == spec.name),
                _ => false,
            });
            prop_assert!(!late, "{:?}", steps);
        }
    }

    #[test]
    fn a_failed_pull_stops_nothing(before in services(), after in services()) {
        let mut inventory = Inventory::default();
        run(&host_spec(&before, false), &mut inventory, usize::MAX);
        let desired = host_spec(&after, false);
        for planned in plan(&desired, &inventory, now()).steps {
            if matches!(planned.step, Step::PullImage { .. }) {
                let failure = failed(&planned.step, None, now(), "down".into(), String::new(), false);
                inventory.failures.insert(planned.step.key(), failure);
            }
        }
        let plan = plan(&desired, &inventory, now());
        for planned in &plan.steps {
            let Step::StopContainer { name, .. } = &planned.step else { continue };
            let has_image = desired.workloads.containers.get(name).is_none_or(|c| inventory.image(&c.image).is_some());
            prop_assert!(has_image, "{name} is stopped although its replacement's image cannot be had");
        }
        prop_assert_eq!(plan.wake.is_some(), !inventory.failures.is_empty());
    }
}

#[test]
fn back_off_ends_and_a_changed_step_starts_afresh() {
    let service = |image| Some(Service { image, network: None, volume: None, env: 0, after_previous: false });
    let desired = host_spec(&[service(0)], false);
    let mut inventory = Inventory::default();
    let step = plan(&desired, &inventory, now()).steps[0].step.clone();
    let first = failed(&step, None, now(), "down".into(), String::new(), false);
    let second = failed(&step, Some(&first), now(), "down".into(), String::new(), false);
    assert_eq!((first.count, second.count), (1, 2));
    inventory.failures.insert(step.key(), second);
    assert!(plan(&desired, &inventory, now()).steps.is_empty());
    let later = Timestamp::from_second(now().as_second() + 2).unwrap();
    assert_eq!(plan(&desired, &inventory, now()).wake, Some(later));
    assert_eq!(plan(&desired, &inventory, later).steps.len(), 3);
    inventory.failures.values_mut().for_each(|f| f.permanent = true);
    assert!(plan(&desired, &inventory, Timestamp::MAX).steps.is_empty());
    assert_eq!(plan(&host_spec(&[service(1)], false), &inventory, now()).steps.len(), 3);
}

#[test]
fn a_network_that_changes_takes_its_containers_with_it() {
    let service = Some(Service { image: 0, network: Some(0), volume: None, env: 0, after_previous: false });
    let mut inventory = Inventory::default();
    run(&host_spec(std::slice::from_ref(&service), false), &mut inventory, usize::MAX);
    let keys: Vec<String> = plan(&host_spec(&[service], true), &inventory, now())
        .steps
        .iter()
        .map(|s| s.step.key().to_string())
        .collect();
    let expected = [
        "stop container s0",
        "remove container s0",
        "remove network n0",
        "create network n0",
        "create container s0",
        "start container s0",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_host_without_a_spec_restarts_peoples_containers_and_touches_nothing_else() {
    let mut restarting = foreign("restarting");
    restarting.spec.restart = hull_model::RestartPolicy::Always;
    restarting.state = exited(1);
    let mut lost = foreign("lost");
    lost.owner = Owner::HostSpec;
    lost.state = exited(1);
    lost.spec.restart = hull_model::RestartPolicy::Always;
    let inventory = Inventory { containers: vec![restarting, lost, foreign("calm")], ..Inventory::default() };
    let later = now() + jiff::SignedDuration::from_secs(3600);
    let steps: Vec<String> =
        restarts_alone(&inventory, later).steps.iter().map(|s| s.step.key().to_string()).collect();
    assert_eq!(steps, ["start container restarting"]);
}
