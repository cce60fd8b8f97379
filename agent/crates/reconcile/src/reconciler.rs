//! The loop.

use hull_engine::{Engine, LedgerError};
use hull_model::{Condition, Generation, HostFacts, HostSpec, HostStatus, Layer, Phase, Plan, Problem};
use hull_plan::{StatusInput, accept, plan, restarts_alone, status};
use hull_ports::Host;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The host is looked at this often although nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(60);
/// The wait after the host could not be observed.
const OBSERVE_RETRY: Duration = Duration::from_secs(1);

/// What the sources say, all of them together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intent {
    /// One layer per source. `None` while no source could be read: the last good spec stays.
    pub layers: Option<Vec<Layer>>,
    /// Where they come from, for people.
    pub datasource: String,
    /// What is wrong with reaching the sources.
    pub problems: Vec<Problem>,
}

/// What the loop and those who ask for the status share.
struct Shared {
    engine: Engine,
    host: Arc<dyn Host>,
    agent_version: String,
    now: Mutex<Now>,
}

/// The loop's memory.
#[derive(Debug, Clone, Default)]
struct Now {
    desired: Option<HostSpec>,
    datasource: String,
    problems: Vec<Problem>,
    observed_generation: Generation,
}

/// Asks a running reconciler. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// The loop itself, to be spawned.
pub struct Reconciler {
    shared: Arc<Shared>,
    intent: watch::Receiver<Intent>,
}

impl Reconciler {
    /// Begins with the last accepted spec, so that a host without any source runs what it ran before. `host` is only
    /// asked what the host is.
    pub fn new(
        engine: Engine,
        host: Arc<dyn Host>,
        intent: watch::Receiver<Intent>,
        agent_version: String,
    ) -> Result<Self, LedgerError> {
        let desired = engine.ledger_handle().host_spec()?;
        if let Some(spec) = &desired {
            engine.set_registries(spec.hull.registries.clone());
        }
        let now = Mutex::new(Now { desired, ..Now::default() });
        Ok(Self { shared: Arc::new(Shared { engine, host, agent_version, now }), intent })
    }

    /// Somebody to ask while the loop runs.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Runs until the sender of intents is gone. `alive` is called after every pass.
    pub async fn run(mut self, alive: impl Fn()) {
        self.accept();
        loop {
            let pause = self.pass().await;
            alive();
            tokio::select! {
                changed = self.intent.changed() => match changed {
                    Ok(()) => self.accept(),
                    Err(_) => return,
                },
                () = self.shared.engine.wait_for_change() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes the newest intent, as far as it is good.
    fn accept(&mut self) {
        let intent = self.intent.borrow_and_update().clone();
        let mut now = self.shared.lock();
        now.datasource = intent.datasource;
        now.problems = intent.problems;
        let Some(layers) = intent.layers else { return };
        let accepted = accept(&layers, now.desired.as_ref());
        now.problems.extend(accepted.problems);
        if now.desired.as_ref() == Some(&accepted.spec) {
            return;
        }
        tracing::info!(generation = accepted.spec.generation.0, "accepted a host spec");
        let engine = &self.shared.engine;
        if let Err(error) = engine.ledger_handle().put_host_spec(&accepted.spec, self.shared.time()) {
            // The spec is acted on all the same: not to be remembered after a crash is no reason to do nothing now.
            tracing::error!(error = &error as &dyn std::error::Error, "remembering the host spec");
        }
        engine.set_registries(accepted.spec.hull.registries.clone());
        now.desired = Some(accepted.spec);
    }

    /// Looks, decides, begins. Returns when to look again if nothing happens before.
    async fn pass(&self) -> Duration {
        let desired = self.shared.lock().desired.clone();
        let engine = &self.shared.engine;
        let mark = engine.mark();
        let inventory = match engine.observe().await {
            Ok(inventory) => inventory,
            Err(error) => {
                tracing::error!(error = error.chain(), "observing the host");
                return OBSERVE_RETRY;
            }
        };
        let time = self.shared.time();
        let plan = match &desired {
            Some(desired) => plan(desired, &inventory, time),
            None => restarts_alone(&inventory, time),
        };
        engine.retain_failures(|key| {
            plan.waiting.contains(key) || plan.steps.iter().any(|s| s.step.key() == *key)
        });
        engine.begin(&plan, mark);
        pause(&plan, time)
    }
}

/// Until the plan asks to be made again.
fn pause(plan: &Plan, now: Timestamp) -> Duration {
    let due = plan.wake.map(|wake| Duration::try_from(wake.duration_since(now)).unwrap_or(Duration::ZERO));
    due.map_or(RESYNC, |d| d.min(RESYNC))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> Timestamp {
        self.engine.drivers().clock.now()
    }
}

impl Handle {
    /// What the host should be, what it is, and what is being done about it, as of now.
    pub async fn status(&self) -> HostStatus {
        let shared = &self.shared;
        let now = shared.lock().clone();
        let time = shared.time();
        let facts = shared.host.facts().await.unwrap_or_else(|_| HostFacts::default());
        let inventory = match shared.engine.observe().await {
            Ok(inventory) => inventory,
            Err(error) => return unobservable(&now, facts, &error, time),
        };
        let none = HostSpec::default();
        let plan = plan(now.desired.as_ref().unwrap_or(&none), &inventory, time);
        let mut problems = now.problems;
        problems.extend(shared.engine.item_problems());
        let status = status(StatusInput {
            desired: now.desired.as_ref(),
            inventory: &inventory,
            plan: &plan,
            in_progress: shared.engine.in_progress(),
            problems,
            datasource: now.datasource,
            facts,
            agent_version: shared.agent_version.clone(),
            observed_generation: now.observed_generation,
            now: time,
        });
        shared.lock().observed_generation = status.observed_generation;
        status
    }
}

fn unobservable(now: &Now, host: HostFacts, error: &hull_ports::Error, time: Timestamp) -> HostStatus {
    let condition = Condition {
        object: "host".to_owned(),
        reason: error.chain(),
        remedy: error.remedy.clone(),
        retry: Some(time),
        since: time,
    };
    HostStatus {
        phase: Phase::Degraded,
        generation: now.desired.as_ref().map(|d| d.generation).unwrap_or_default(),
        observed_generation: now.observed_generation,
        datasource: now.datasource.clone(),
        host,
        conditions: vec![condition],
        problems: now.problems.clone(),
        at: Some(time),
        ..HostStatus::default()
    }
}
