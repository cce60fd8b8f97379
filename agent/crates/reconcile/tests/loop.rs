//! The loop on a host in memory.

use hull_engine::{Engine, Ledger, Settings};
use hull_model::{Layer, Phase, Problem, Severity, Source, Workloads};
use hull_reconcile::{Handle, Intent, Reconciler};
use hull_testkit::{World, container};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

fn no_filter(_: &BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

struct Agent {
    handle: Handle,
    intent: watch::Sender<Intent>,
    engine: Engine,
}

async fn agent(world: &World, dir: &Path) -> Agent {
    let ledger = Ledger::open(&dir.join("ledger.sqlite")).unwrap();
    let settings = Settings { files_dir: dir.join("etc"), boot: "boot".into(), seccomp: no_filter };
    let engine = Engine::open(world.drivers(), ledger, settings).await.unwrap();
    let (intent, receiver) = watch::channel(Intent::default());
    let reconciler =
        Reconciler::new(engine.clone(), Arc::new(world.clone()), receiver, "test".into()).unwrap();
    let handle = reconciler.handle();
    tokio::spawn(reconciler.run(|| {}));
    Agent { handle, intent, engine }
}

fn intent(services: &[(&str, &str)]) -> Intent {
    let mut layer = Layer::empty(Source::UserData);
    let containers = services.iter().map(|(name, image)| container(name, image));
    let containers = containers.map(|c| (c.name.clone(), c)).collect();
    layer.workloads = Some(Workloads { containers, ..Workloads::default() });
    Intent { layers: Some(vec![layer]), datasource: "test".into(), problems: vec![] }
}

async fn wait_for(
    agent: &Agent,
    what: &str,
    is_so: impl Fn(&hull_model::HostStatus) -> bool,
) -> hull_model::HostStatus {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let status = agent.handle.status().await;
        if is_so(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "waiting for {what}: {status:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_intent_becomes_running_containers() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let agent = agent(&world, dir.path()).await;
    assert_eq!(agent.handle.status().await.phase, Phase::Starting);
    agent.intent.send(intent(&[("web", "web")])).unwrap();
    let status = wait_for(&agent, "ready", |s| s.phase == Phase::Ready).await;
    assert_eq!((status.generation.0, status.observed_generation.0), (1, 1));
    assert_eq!(status.containers[0].state, "running");

    let web = agent.engine.find("web").await.unwrap();
    agent.intent.send(intent(&[])).unwrap();
    wait_for(&agent, "nothing", |s| s.phase == Phase::Ready && s.generation.0 == 2).await;
    assert!(agent.engine.find(web.id.as_str()).await.is_err());
}

#[tokio::test]
async fn bad_input_is_reported_and_changes_nothing() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let agent = agent(&world, dir.path()).await;
    agent.intent.send(intent(&[("web", "web")])).unwrap();
    wait_for(&agent, "ready", |s| s.phase == Phase::Ready).await;
    let mut broken = intent(&[]);
    let problem = Problem {
        severity: Severity::Error,
        source: "user-data".into(),
        object: String::new(),
        reason: "broken".into(),
        remedy: "mend it".into(),
    };
    broken.layers.as_mut().unwrap()[0].problems.push(problem.clone());
    agent.intent.send(broken).unwrap();
    let status = wait_for(&agent, "the problem", |s| s.phase == Phase::Degraded).await;
    assert_eq!(status.problems, [problem]);
    assert_eq!((status.generation.0, status.containers[0].state.as_str()), (1, "running"));
}

#[tokio::test]
async fn a_missing_image_is_a_condition_and_others_run() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let agent = agent(&world, dir.path()).await;
    agent.intent.send(intent(&[("web", "web"), ("ghost", "ghost")])).unwrap();
    let is_so = |s: &hull_model::HostStatus| s.phase == Phase::Degraded && world.running() == 1;
    let status = wait_for(&agent, "degraded", is_so).await;
    assert_eq!(status.conditions[0].object, "image ghost:latest");
    assert!(status.conditions[0].retry.is_some());
}

#[tokio::test]
async fn without_any_source_the_last_spec_stays() {
    let (world, dir) = (World::with_images(&["web"]), tempfile::tempdir().unwrap());
    let first = agent(&world, dir.path()).await;
    first.intent.send(intent(&[("web", "web")])).unwrap();
    wait_for(&first, "ready", |s| s.phase == Phase::Ready).await;
    drop(first);
    let second = agent(&world, dir.path()).await;
    let status = wait_for(&second, "ready", |s| s.phase == Phase::Ready).await;
    assert_eq!((status.generation.0, world.running()), (1, 1));
}
