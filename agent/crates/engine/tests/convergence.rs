//! The engine on fakes: whatever call fails, and wherever the agent is cut off, the host converges.

use hull_engine::{Engine, Ledger, Settings};
use hull_model::{
    ContainerState, EndpointSpec, HostSpec, MountKind, MountSpec, NetworkSpec, Owner, RestartPolicy,
    VolumeSpec,
};
use hull_ports::ErrorClass;
use hull_testkit::{World, container, name};
use jiff::SignedDuration;
use std::path::Path;
use std::time::Duration;

fn no_filter(_: &std::collections::BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

async fn open(world: &World, dir: &Path, boot: &str) -> Engine {
    let ledger = Ledger::open(&dir.join("ledger.sqlite")).unwrap();
    let settings = Settings { files_dir: dir.join("etc"), boot: boot.to_owned(), seccomp: no_filter };
    Engine::open(world.drivers(), ledger, settings).await.unwrap()
}

fn demo() -> HostSpec {
    let mut spec = HostSpec::default();
    let network = NetworkSpec {
        name: name("default"),
        subnet: None,
        gateway: None,
        internal: false,
        labels: Default::default(),
    };
    let volume = VolumeSpec { name: name("data"), labels: Default::default() };
    let mut web = container("web", "web");
    web.networks.insert(name("default"), EndpointSpec::default());
    let kind = MountKind::Volume { name: name("data") };
    web.mounts.push(MountSpec {
        kind,
        target: "/data".into(),
        read_only: false,
        options: Default::default(),
    });
    web.restart = RestartPolicy::Always;
    let mut client = container("client", "client");
    client.networks.insert(name("default"), EndpointSpec::default());
    client.depends_on.push(name("web"));
    client.restart = RestartPolicy::Always;
    spec.workloads.containers = [web, client].into_iter().map(|c| (c.name.clone(), c)).collect();
    spec.workloads.networks.insert(network.name.clone(), network);
    spec.workloads.volumes.insert(volume.name.clone(), volume);
    spec
}

/// Plans and executes, moving the clock over back-offs, until there is nothing to do.
async fn converge(engine: &Engine, world: &World, desired: &HostSpec) {
    for _ in 0..500 {
        let mark = engine.mark();
        let inventory = engine.observe().await.unwrap();
        let plan = hull_plan::plan(desired, &inventory, hull_ports::Clock::now(&world.clock));
        if plan.steps.is_empty() && plan.wake.is_none() && engine.in_progress().is_empty() {
            return;
        }
        if plan.steps.is_empty() && engine.in_progress().is_empty() {
            world.clock.advance(SignedDuration::from_secs(1));
            continue;
        }
        engine.begin(&plan, mark);
        let change = engine.wait_for_change();
        tokio::time::timeout(Duration::from_secs(10), change).await.expect("a step ends");
    }
    panic!("the host does not converge; calls so far: {:#?}", world.calls());
}

#[tokio::test]
async fn a_declared_host_comes_up_and_goes_away() {
    let (world, dir) = (World::with_images(&["web", "client"]).managed(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    assert_eq!(world.running(), 2);
    let containers = engine.containers().await.unwrap();
    let web = containers.iter().find(|c| c.spec.name == name("web")).unwrap();
    let client = containers.iter().find(|c| c.spec.name == name("client")).unwrap();
    assert_ne!(web.addresses, client.addresses);
    let calls = world.calls();
    let start = |id: &hull_model::ContainerId| {
        calls.iter().position(|(operation, object)| operation == "start" && object == id.as_str()).unwrap()
    };
    assert!(start(&web.id) < start(&client.id), "dependencies start first");
    assert_eq!(engine.find("we").await.unwrap_err().class, ErrorClass::NotFound);
    assert_eq!(engine.find(&web.id.as_str()[..20]).await.unwrap().id, web.id);

    let quiet = world.calls().len();
    converge(&engine, &world, &demo()).await;
    assert_eq!(world.calls().len(), quiet, "a converged host is left alone");

    converge(&engine, &world, &HostSpec::default()).await;
    assert_eq!(world.leftovers(), [0; 4]);
    assert_eq!(engine.observe().await.unwrap().volumes.len(), 1, "volumes are only removed by people");
}

#[tokio::test]
async fn whatever_call_fails_the_host_converges() {
    for n in 0..40 {
        let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
        let engine = open(&world, dir.path(), "boot").await;
        world.fail_call(n, ErrorClass::Retryable);
        converge(&engine, &world, &demo()).await;
        assert_eq!(world.running(), 2, "call {n}");
        let mut changed = demo();
        changed.workloads.containers.values_mut().for_each(|c| _ = c.env.insert("V".into(), "2".into()));
        world.fail_call(n, ErrorClass::Retryable);
        converge(&engine, &world, &changed).await;
        assert_eq!(world.running(), 2, "call {n} of the replacement");
        assert_eq!(world.leftovers(), [2, 2, 2, 1], "call {n}");
    }
}

#[tokio::test]
async fn an_agent_cut_off_anywhere_is_followed_by_one_that_converges() {
    for n in 0..30 {
        let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
        let engine = open(&world, dir.path(), "boot").await;
        // The cut: the call fails, and this engine does nothing any more.
        world.fail_call(n, ErrorClass::Permanent);
        let desired = demo();
        for _ in 0..100 {
            let mark = engine.mark();
            let inventory = engine.observe().await.unwrap();
            if !inventory.failures.is_empty() {
                break;
            }
            let plan = hull_plan::plan(&desired, &inventory, hull_ports::Clock::now(&world.clock));
            if plan.steps.is_empty() {
                break;
            }
            engine.begin(&plan, mark);
            engine.wait_for_change().await;
        }
        // Steps beside the one that was cut end first: two agents never work on one host.
        while !engine.in_progress().is_empty() {
            engine.wait_for_change().await;
        }
        drop(engine);
        let engine = open(&world, dir.path(), "boot").await;
        converge(&engine, &world, &desired).await;
        assert_eq!(world.running(), 2, "cut at call {n}");
        assert_eq!(world.leftovers(), [2, 2, 2, 1], "cut at call {n}");
    }
}

#[tokio::test]
async fn a_restarted_agent_adopts_what_runs() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    let before = engine.containers().await.unwrap();
    let calls = world.calls().len();
    drop(engine);
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    assert_eq!(engine.containers().await.unwrap(), before);
    assert_eq!(world.calls().len(), calls, "nothing that runs is disturbed");
}

#[tokio::test]
async fn what_ended_while_no_agent_ran_is_restarted() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    let web = engine.find("web").await.unwrap();
    drop(engine);
    world.clock.advance(SignedDuration::from_secs(1));
    world.exit(&web.id, 3);
    let engine = open(&world, dir.path(), "boot").await;
    let state = engine.find("web").await.unwrap().state;
    assert!(matches!(&state, ContainerState::Exited { exit, .. } if exit.code == 3), "{state:?}");
    converge(&engine, &world, &demo()).await;
    let again = engine.find("web").await.unwrap();
    assert_eq!((again.id, again.restarts, again.state.is_running()), (web.id, 1, true));
}

#[tokio::test]
async fn a_rebooted_host_starts_the_same_containers() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let mut desired = demo();
    desired.workloads.containers.values_mut().for_each(|c| c.restart = RestartPolicy::No);
    let engine = open(&world, dir.path(), "first").await;
    converge(&engine, &world, &desired).await;
    let before: Vec<_> =
        engine.containers().await.unwrap().into_iter().map(|c| (c.id, c.addresses)).collect();
    drop(engine);
    world.reboot();
    let engine = open(&world, dir.path(), "second").await;
    converge(&engine, &world, &desired).await;
    let after: Vec<_> = engine.containers().await.unwrap().into_iter().map(|c| (c.id, c.addresses)).collect();
    assert_eq!(before, after);
    assert_eq!(world.running(), 2);
}

#[tokio::test]
async fn a_missing_image_keeps_the_old_container_running() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    let web = engine.find("web").await.unwrap();
    let mut desired = demo();
    desired.workloads.containers.get_mut(&name("web")).unwrap().image = hull_testkit::reference("web:2");
    for _ in 0..4 {
        let mark = engine.mark();
        let inventory = engine.observe().await.unwrap();
        let plan = hull_plan::plan(&desired, &inventory, hull_ports::Clock::now(&world.clock));
        if !plan.steps.is_empty() {
            engine.begin(&plan, mark);
            engine.wait_for_change().await;
        }
    }
    let still = engine.find("web").await.unwrap();
    assert_eq!((still.id, still.state), (web.id.clone(), web.state));
    let failures = engine.observe().await.unwrap().failures;
    assert_eq!(failures.keys().next().unwrap().to_string(), "pull image web:2");
    world.publish("web:2");
    converge(&engine, &world, &desired).await;
    assert_ne!(engine.find("web").await.unwrap().id, web.id);
}

#[tokio::test]
async fn others_containers_are_not_ours() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    converge(&engine, &world, &demo()).await;
    let mut theirs = container("theirs", "web");
    theirs.restart = RestartPolicy::No;
    let made = engine.create_container(&theirs, None, Owner::Docker).await.unwrap();
    engine.start_container(&made.id, false).await.unwrap();
    converge(&engine, &world, &HostSpec::default()).await;
    assert!(engine.find("theirs").await.unwrap().state.is_running());
    assert_eq!(world.running(), 1);
    engine.reset().await.unwrap();
    assert_eq!(world.leftovers(), [0; 4]);
}

#[tokio::test]
async fn after_a_reset_nothing_is_begun() {
    let (world, dir) = (World::with_images(&["web", "client"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "boot").await;
    let mark = engine.mark();
    let inventory = engine.observe().await.unwrap();
    let plan = hull_plan::plan(&demo(), &inventory, hull_ports::Clock::now(&world.clock));
    engine.begin(&plan, mark);
    engine.reset().await.unwrap();
    engine.begin(&plan, mark);
    assert!(engine.in_progress().is_empty());
    assert_eq!(world.leftovers(), [0; 4]);
}
