//! What a person does by hand holds against the reconciler, and the host spec holds against a person.

use hull_engine::{Engine, Ledger, RemoveRequest, Settings, StopRequest};
use hull_model::{ContainerRecord, ContainerState, HostSpec, MountKind, MountSpec, Owner, RestartPolicy};
use hull_ports::ErrorClass;
use hull_testkit::{World, container};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const FORCE: RemoveRequest = RemoveRequest { force: true, volumes: false };

fn no_filter(_: &BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

async fn open(world: &World, dir: &Path, boot: &str) -> Engine {
    let ledger = Ledger::open(&dir.join("ledger.sqlite")).unwrap();
    let settings = Settings { files_dir: dir.join("etc"), boot: boot.to_owned(), seccomp: no_filter };
    Engine::open(world.drivers(), ledger, settings).await.unwrap()
}

fn declared() -> HostSpec {
    let mut spec = HostSpec::default();
    let mut web = container("web", "web");
    web.restart = RestartPolicy::Always;
    spec.workloads.containers.insert(web.name.clone(), web);
    spec
}

/// Waits until the container is in a state that the test wants.
async fn until(engine: &Engine, wanted: impl Fn(&ContainerRecord) -> bool) -> ContainerRecord {
    let looking = async {
        loop {
            match engine.find("web").await {
                Ok(record) if wanted(&record) => return record,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looking).await.expect("the state is reached")
}

async fn bring_up(engine: &Engine, world: &World, owner: Owner) -> ContainerRecord {
    let spec = declared();
    let web = spec.workloads.containers.values().next().unwrap();
    hull_ports::Images::pull(world, &web.image, &Default::default(), &hull_ports::Silent).await.unwrap();
    let record = engine.create_container(web, None, owner).await.unwrap();
    engine.start_container(&record.id, false).await.unwrap();
    until(engine, |r| r.state.is_running()).await
}

#[tokio::test]
async fn a_container_stopped_by_hand_stays_stopped_until_the_host_restarts() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let web = bring_up(&engine, &world, Owner::HostSpec).await;
    let request = StopRequest { signal: Some(2), grace: Some(Duration::from_secs(1)) };
    assert!(engine.stop_by_hand(&web.id, request).await.unwrap());
    let stopped = until(&engine, |r| matches!(r.state, ContainerState::Exited { .. })).await;
    assert!(!stopped.wanted && !engine.will_restart(&stopped));
    assert!(!engine.stop_by_hand(&web.id, StopRequest::default()).await.unwrap(), "nothing left to stop");
    let plan = |inventory| hull_plan::plan(&declared(), &inventory, hull_ports::Clock::now(&world.clock));
    assert_eq!(plan(engine.observe().await.unwrap()).steps, vec![]);

    let same_boot = open(&world, dir.path(), "one").await;
    assert_eq!(plan(same_boot.observe().await.unwrap()).steps, vec![]);
    world.reboot();
    let next_boot = open(&world, dir.path(), "two").await;
    assert_eq!(
        plan(next_boot.observe().await.unwrap()).steps[0].step.key().to_string(),
        "start container web"
    );
}

#[tokio::test]
async fn what_the_host_spec_declares_cannot_be_removed_by_hand() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let web = bring_up(&engine, &world, Owner::HostSpec).await;
    let refused = engine.remove_by_hand(&web.id, FORCE).await.unwrap_err();
    assert_eq!(refused.class, ErrorClass::Conflict);
    assert!(refused.message.contains("declared in the host spec"), "{refused}");
    assert!(engine.find("web").await.unwrap().state.is_running());
}

#[tokio::test]
async fn a_running_container_is_removed_by_force_only() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let web = bring_up(&engine, &world, Owner::Docker).await;
    assert_eq!(
        engine.remove_by_hand(&web.id, RemoveRequest::default()).await.unwrap_err().class,
        ErrorClass::Conflict
    );
    engine.remove_by_hand(&web.id, FORCE).await.unwrap();
    assert_eq!(engine.find("web").await.unwrap_err().class, ErrorClass::NotFound);
}

#[tokio::test]
async fn killing_for_good_counts_as_stopping_and_other_signals_do_not() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let web = bring_up(&engine, &world, Owner::HostSpec).await;
    // In this world every signal ends a process: what differs is whether its policy may start it again.
    engine.kill_by_hand(&web.id, 10).await.unwrap();
    let ended = until(&engine, |r| matches!(r.state, ContainerState::Exited { .. })).await;
    assert!(ended.wanted && engine.will_restart(&ended));
    assert_eq!(engine.kill_by_hand(&web.id, 9).await.unwrap_err().class, ErrorClass::Conflict);
    engine.start_container(&web.id, false).await.unwrap();
    engine.kill_by_hand(&web.id, 9).await.unwrap();
    let ended = until(&engine, |r| matches!(r.state, ContainerState::Exited { .. })).await;
    assert!(!ended.wanted);
}

#[tokio::test]
async fn a_file_of_the_host_can_be_mounted() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let engine = open(&world, dir.path(), "one").await;
    let mut web = container("web", "web");
    let (file, missing) = (dir.path().join("web.conf"), dir.path().join("made/for/it"));
    std::fs::write(&file, "x").unwrap();
    for source in [&file, &missing] {
        let kind = MountKind::Bind { source: source.clone(), create: true };
        web.mounts.push(MountSpec {
            target: Path::new("/mnt").join(file.file_name().unwrap()),
            kind,
            read_only: true,
            options: Default::default(),
        });
    }
    hull_ports::Images::pull(&world, &web.image, &Default::default(), &hull_ports::Silent).await.unwrap();
    let record = engine.create_container(&web, None, Owner::Docker).await.unwrap();
    engine.start_container(&record.id, false).await.unwrap();
    assert!(missing.is_dir() && file.is_file());
}
