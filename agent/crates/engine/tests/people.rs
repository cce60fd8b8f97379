//! Containers that people make: what they take with them, what they leave behind, and what a crash leaves.

use hull_engine::{CreateRequest, Engine, Ledger, RemoveRequest, Settings, StopRequest, Until, Update};
use hull_model::{
    ContainerRecord, ContainerSpec, ContainerState, ImageConfig, IpcMode, Link, MountKind, MountOptions,
    MountSpec, PortSpec, Protocol, Resources, RestartPolicy,
};
use hull_ports::{Error, ErrorClass, Result};
use hull_testkit::{World, container, name, reference};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

fn no_filter(_: &BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

async fn open(world: &World, dir: &Path, boot: &str) -> Engine {
    let ledger = Ledger::open(&dir.join("ledger.sqlite")).unwrap();
    let settings = Settings { files_dir: dir.join("etc"), boot: boot.to_owned(), seccomp: no_filter };
    Engine::open(world.drivers(), ledger, settings).await.unwrap()
}

/// A host with an image that declares a volume and a port.
fn world() -> World {
    let world = World::with_images(&["app"]);
    let mut config = ImageConfig { cmd: vec!["/run".into()], ..ImageConfig::default() };
    config.volumes.insert("/data".into());
    config.exposed_ports.insert("80/tcp".into());
    world.configure("app", config);
    world
}

async fn create(engine: &Engine, world: &World, spec: ContainerSpec) -> Result<ContainerRecord> {
    let app = reference("app");
    let image = hull_ports::Images::pull(world, &app, &Default::default(), &hull_ports::Silent).await?;
    let request =
        CreateRequest { spec, image: image.id, request: json!({"Config": {}}), volumes_from: vec![] };
    engine.create_by_hand(request).await.map(|created| created.record)
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.unwrap_or_else(|_| panic!("not {what}"));
}

fn volume(volume: &str, target: &str) -> MountSpec {
    let options = MountOptions::default();
    let kind = MountKind::Volume { name: name(volume) };
    MountSpec { kind, target: target.into(), read_only: false, options }
}

#[tokio::test]
async fn volumes_come_with_a_container_and_the_anonymous_ones_go_with_it() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let mut spec = container("first", "app");
    spec.mounts.push(volume("kept", "/kept"));
    let first = create(&engine, &world, spec).await.unwrap();
    assert_eq!(first.spec.mounts.len(), 2, "the image's volume is added");
    assert_eq!(world.volumes().len(), 2);
    let populated = world.calls().iter().filter(|(what, _)| what == "populate").count();
    assert_eq!(populated, 2);
    let mut request = container("second", "app");
    request.mounts.push(volume("kept", "/data"));
    let second = create(&engine, &world, request).await.unwrap();
    assert_eq!(second.spec.mounts.len(), 1, "an own mount at the image's volume wins");
    let refused = engine.remove_volume(&name("kept"), false).await.unwrap_err();
    assert!(refused.message.starts_with("remove kept: volume is in use - ["), "{}", refused.message);
    engine.remove_by_hand(&first.id, RemoveRequest { force: false, volumes: true }).await.unwrap();
    assert_eq!(world.volumes(), ["kept"]);
    engine.remove_by_hand(&second.id, RemoveRequest { force: false, volumes: true }).await.unwrap();
    engine.remove_volume(&name("kept"), false).await.unwrap();
    let missing = engine.remove_volume(&name("kept"), false).await.unwrap_err();
    assert_eq!((missing.class, missing.message.as_str()), (ErrorClass::NotFound, "get kept: no such volume"));
}

#[tokio::test]
async fn mounts_of_another_container_are_shared() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let first = create(&engine, &world, container("first", "app")).await.unwrap();
    let image = first.image.clone();
    let request = CreateRequest {
        spec: container("second", "app"),
        image,
        request: json!({}),
        volumes_from: vec![("first".into(), true)],
    };
    let second = engine.create_by_hand(request).await.unwrap().record;
    assert_eq!(second.spec.mounts[0].kind, first.spec.mounts[0].kind);
    assert!(second.spec.mounts[0].read_only && second.spec.mounts.len() == 1);
    // It is still the first one's: as long as the second uses it, it stays.
    engine.remove_by_hand(&first.id, RemoveRequest { force: false, volumes: true }).await.unwrap();
    assert_eq!(world.volumes().len(), 1);
    engine.remove_by_hand(&second.id, RemoveRequest { force: false, volumes: true }).await.unwrap();
    assert!(world.volumes().is_empty());
}

#[tokio::test]
async fn a_container_that_goes_with_its_process_leaves_its_exit_code() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let spec = ContainerSpec { auto_remove: true, ..container("brief", "app") };
    let brief = create(&engine, &world, spec).await.unwrap();
    let removed = engine.wait_until(&brief.id, Until::Removed).await.unwrap();
    assert!(engine.start_by_hand(&brief.id).await.unwrap());
    world.exit(&brief.id, 42);
    let exit = tokio::time::timeout(Duration::from_secs(10), removed).await.expect("it is removed");
    assert_eq!(exit.code, 42);
    until("everything is gone", async || world.volumes().is_empty()).await;
    assert_eq!(world.leftovers(), [0, 0, 0, 0]);
}

#[tokio::test]
async fn restarting_by_hand_keeps_a_container_that_goes_with_its_process() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let spec = ContainerSpec { auto_remove: true, ..container("brief", "app") };
    let brief = create(&engine, &world, spec).await.unwrap();
    engine.start_by_hand(&brief.id).await.unwrap();
    engine.restart_by_hand(&brief.id, StopRequest::default()).await.unwrap();
    assert!(engine.find("brief").await.unwrap().state.is_running());
    engine.stop_by_hand(&brief.id, StopRequest::default()).await.unwrap();
    until("it is gone", async || engine.find("brief").await.is_err()).await;
}

#[tokio::test]
async fn a_start_that_fails_is_remembered_or_leaves_nothing() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    for auto_remove in [false, true] {
        let spec = ContainerSpec { auto_remove, ..container("broken", "app") };
        let broken = create(&engine, &world, spec).await.unwrap();
        // Its writable layer is there already: only starting the process is left.
        world.fail_call(1, ErrorClass::NotFound);
        let error = engine.start_by_hand(&broken.id).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "the container was found, its program was not");
        match (engine.find("broken").await, auto_remove) {
            (Err(gone), true) => assert_eq!(gone.class, ErrorClass::NotFound),
            (Ok(record), false) => {
                let ContainerState::Exited { exit, started: None, .. } = record.state else {
                    panic!("{record:?}")
                };
                assert_eq!(exit.code, 127);
                assert!(!record.wanted, "nobody starts it again");
                engine
                    .remove_by_hand(&broken.id, RemoveRequest { force: false, volumes: true })
                    .await
                    .unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((world.leftovers(), world.volumes().len()), ([0, 0, 0, 0], 0));
    }
}

#[tokio::test]
async fn whatever_call_fails_what_is_half_made_can_be_removed() {
    for failing in 0..14 {
        let (world, dir) = (world(), tempfile::tempdir().unwrap());
        let engine = open(&world, dir.path(), "one").await;
        engine.ensure_default_network().await.unwrap();
        let mut spec = container("app", "app");
        spec.networks.insert(name("bridge"), Default::default());
        spec.mounts.push(volume("named", "/named"));
        world.fail_call(failing, ErrorClass::Retryable);
        let mut made = create(&engine, &world, spec).await;
        if let Ok(record) = &made
            && let Err(error) = engine.start_by_hand(&record.id).await
        {
            made = Err(error);
        }
        if let Ok(record) = engine.find("app").await {
            let request = RemoveRequest { force: true, volumes: true };
            let removed = engine.remove_by_hand(&record.id, request).await;
            if removed.is_err() {
                engine.remove_by_hand(&record.id, request).await.unwrap();
            }
        }
        until("nothing is left", async || world.leftovers() == [0, 0, 0, 1]).await;
        assert!(world.volumes().iter().all(|v| v == "named"), "call {failing}: {:?}", world.volumes());
        assert!(made.is_err() || failing > 5, "call {failing} was to fail");
    }
}

#[tokio::test]
async fn names_and_limits_change_and_conflicts_are_dockers() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let first = create(&engine, &world, container("first", "app")).await.unwrap();
    let clash = create(&engine, &world, container("first", "app")).await.unwrap_err();
    let words = format!(
        "Conflict. The container name \"/first\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
        first.id
    );
    assert_eq!((clash.class, clash.message), (ErrorClass::Conflict, words));
    create(&engine, &world, container("second", "app")).await.unwrap();
    assert!(engine.rename_by_hand(&first.id, &name("second")).await.is_err());
    engine.rename_by_hand(&first.id, &name("third")).await.unwrap();
    engine.start_by_hand(&first.id).await.unwrap();
    let update = Update {
        resources: Resources { memory: Some(64 << 20), ..Resources::default() },
        restart: Some(RestartPolicy::Always),
        request: None,
    };
    engine.update_by_hand(&first.id, update).await.unwrap();
    let found = open(&world, dir.path(), "one").await.find("third").await.unwrap();
    assert_eq!((found.spec.resources.memory, found.spec.restart), (Some(64 << 20), RestartPolicy::Always));
    assert!(world.calls().iter().any(|(what, _)| what == "update"));
}

#[tokio::test]
async fn pausing_is_refused_where_it_makes_no_sense() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let app = create(&engine, &world, container("app", "app")).await.unwrap();
    let message = |result: Result<()>| result.map_err(|e: Error| e.message).unwrap_err();
    assert!(message(engine.pause_by_hand(&app.id).await).ends_with("is not running"));
    engine.start_by_hand(&app.id).await.unwrap();
    assert!(message(engine.unpause_by_hand(&app.id).await).ends_with("is not paused"));
    engine.pause_by_hand(&app.id).await.unwrap();
    assert!(message(engine.pause_by_hand(&app.id).await).ends_with("is already paused"));
    let start = engine.start_by_hand(&app.id).await.map(drop);
    assert_eq!(message(start), "cannot start a paused container, try unpause instead");
    engine.unpause_by_hand(&app.id).await.unwrap();
    assert!(!engine.start_by_hand(&app.id).await.unwrap(), "it runs");
}

#[tokio::test]
async fn ports_are_chosen_and_others_that_are_taken_are_left_out() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let published =
        |record: ContainerRecord| record.published.iter().map(|p| p.host_port).collect::<Vec<_>>();
    for (called, expected) in [("a", vec![32768]), ("b", vec![32770])] {
        let mut spec = container(called, "app");
        spec.publish_all = true;
        spec.networks.insert(name("bridge"), Default::default());
        let record = create(&engine, &world, spec).await.unwrap();
        if called == "b" {
            // A program of the host has the next one.
            world.fail_call(1, ErrorClass::Conflict);
        }
        engine.start_by_hand(&record.id).await.unwrap();
        assert_eq!(published(engine.find(called).await.unwrap()), expected);
    }
    let mut spec = container("c", "app");
    spec.networks.insert(name("bridge"), Default::default());
    let (host_ip, protocol) = (None, Protocol::Tcp);
    spec.ports.push(PortSpec { host_ip, host_port: 8080, container_port: 80, protocol });
    let record = create(&engine, &world, spec).await.unwrap();
    world.fail_call(1, ErrorClass::Conflict);
    assert!(engine.start_by_hand(&record.id).await.is_err(), "a port that was asked for is not exchanged");
}

#[tokio::test]
async fn other_containers_are_remembered_by_id() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let other = create(&engine, &world, container("other", "app")).await.unwrap();
    let mut spec = container("app", "app");
    spec.ipc = IpcMode::Container("other".into());
    assert!(create(&engine, &world, spec.clone()).await.unwrap_err().message.contains("non-shareable IPC"));
    spec.ipc = IpcMode::Private;
    spec.links.push(Link { target: "other".into(), alias: "db".into() });
    let app = create(&engine, &world, spec).await.unwrap();
    assert_eq!(app.spec.links[0].target, other.id.to_string());
    let refused = engine.start_by_hand(&app.id).await.unwrap_err();
    assert_eq!(refused.message, "Cannot link to a non running container: /other AS /app/db");
    engine.start_by_hand(&other.id).await.unwrap();
    engine.start_by_hand(&app.id).await.unwrap();
}

#[tokio::test]
async fn a_restart_of_the_host_brings_back_what_its_policy_says() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let policies = [
        ("always", RestartPolicy::Always),
        ("unless", RestartPolicy::UnlessStopped),
        ("failing", RestartPolicy::OnFailure { max_retries: None }),
        ("never", RestartPolicy::No),
    ];
    for (called, restart) in policies {
        for stopped in [false, true] {
            let called = if stopped { format!("{called}-stopped") } else { called.to_owned() };
            let spec = ContainerSpec { restart, ..container(&called, "app") };
            let record = create(&engine, &world, spec).await.unwrap();
            engine.start_by_hand(&record.id).await.unwrap();
            if stopped {
                engine.stop_by_hand(&record.id, StopRequest::default()).await.unwrap();
            }
        }
    }
    drop(engine);
    world.reboot();
    let engine = open(&world, dir.path(), "two").await;
    let records = engine.containers().await.unwrap();
    let mut back: Vec<&str> =
        records.iter().filter(|r| engine.will_restart(r)).map(|r| r.spec.name.as_str()).collect();
    back.sort_unstable();
    assert_eq!(back, ["always", "always-stopped", "failing", "unless"]);
}
