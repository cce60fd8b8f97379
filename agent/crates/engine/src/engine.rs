//! The engine: opened once, shared by the reconciler and the APIs.

use crate::SeccompProfile;
use crate::events::{Bus, Event};
use crate::failures::Failures;
use crate::find::{FindError, find};
use crate::health::Checks;
use crate::ledger::{Durability, Ledger, LedgerError};
use crate::locks::Locks;
use crate::progress::{Board, Mark};
use crate::records::Records;
use hull_model::{ContainerId, ContainerRecord, ContainerState, HostFacts, InProgress, Inventory, StepKey};
use hull_ports::{Drivers, Error, ProcessRecord, Result};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;

/// What an engine is opened with, besides its drivers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory for files that containers see below /etc. On the disk: a container may write to them.
    pub files_dir: PathBuf,
    /// Identifies this boot of the host (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// The default system call filter.
    pub seccomp: SeccompProfile,
}

/// Objects, ledger and executor. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) drivers: Drivers,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) records: Records,
    pub(crate) checks: Checks,
    /// Containers that go with their process, but not with its next end.
    pub(crate) kept: Mutex<BTreeSet<ContainerId>>,
    pub(crate) settings: Settings,
    pub(crate) locks: Locks,
    pub(crate) board: Board,
    pub(crate) failures: Failures,
    /// Steps under way.
    pub(crate) steps: Mutex<JoinSet<()>>,
    pub(crate) registries: Mutex<BTreeMap<String, hull_model::Registry>>,
    pub(crate) item_problems: Mutex<Vec<hull_model::Problem>>,
    notices: Mutex<Vec<hull_model::Problem>>,
    /// Addresses are chosen one container at a time.
    pub(crate) allocation: tokio::sync::Mutex<()>,
    changed: Notify,
    events: Bus,
    stopping: watch::Sender<bool>,
}

impl From<LedgerError> for Error {
    fn from(source: LedgerError) -> Self {
        Self::retryable("using the ledger")
            .remedy("check that the state directory is on a healthy file system with free space")
            .because(source)
    }
}

impl Engine {
    /// Opens the engine: settles what happened while no agent ran, adopts what runs, and begins to watch it.
    pub async fn open(drivers: Drivers, ledger: Ledger, settings: Settings) -> Result<Self> {
        let ledger = Arc::new(ledger);
        let reading = ledger.clone();
        let read = tokio::task::spawn_blocking(move || reading.containers()).await;
        let records = read.map_err(|e| Error::retryable("reading the ledger").because(e))??;
        let inner = Inner {
            drivers,
            ledger,
            records: Records::new(records),
            checks: Checks::default(),
            kept: Mutex::default(),
            settings,
            locks: Locks::default(),
            board: Board::default(),
            failures: Failures::default(),
            steps: Mutex::default(),
            registries: Mutex::default(),
            item_problems: Mutex::default(),
            notices: Mutex::default(),
            allocation: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            events: Bus::default(),
            stopping: watch::channel(false).0,
        };
        let engine = Self { inner: Arc::new(inner) };
        // Subscribed before anything is read, so that no end of a process falls between the two.
        let events = engine.inner.drivers.runtime.events();
        engine.adopt().await?;
        tokio::spawn(engine.clone().watch_runtime(events));
        engine.watch_health_of_all();
        engine.remove_ended().await;
        Ok(engine)
    }

    /// A mark to be taken before observing, and to be handed on with the plan.
    pub fn mark(&self) -> Mark {
        self.inner.board.mark()
    }

    /// What the host is, re-read.
    pub async fn observe(&self) -> Result<Inventory> {
        let drivers = &self.inner.drivers;
        let networks = self.ledger(Ledger::networks).await?;
        let host = match &drivers.host {
            Some(host) => host.applied().await?,
            None => None,
        };
        let routes = drivers.networks.host_routes().await?;
        Ok(Inventory {
            images: drivers.images.list().await?,
            containers: self.containers().await?,
            volumes: self.ledger(Ledger::volumes).await?,
            host,
            manages_host: drivers.host.is_some(),
            failures: self.inner.failures.all(),
            host_routes: routes.into_iter().filter(|r| !networks.iter().any(|n| n.subnet == *r)).collect(),
            networks,
        })
    }

    /// All containers: the ledger joined with what the runtime says right now.
    pub async fn containers(&self) -> Result<Vec<ContainerRecord>> {
        let processes = self.processes().await?;
        let stored = self.inner.records.all();
        Ok(stored.into_iter().map(|s| join(s.record.as_ref().clone(), &processes)).collect())
    }

    pub(crate) async fn processes(&self) -> Result<HashMap<ContainerId, ProcessRecord>> {
        let list = self.inner.drivers.runtime.list().await?;
        Ok(list.into_iter().map(|p| (p.id.clone(), p)).collect())
    }

    /// The container that a person means by a name, an id or the beginning of one.
    pub async fn find(&self, text: &str) -> Result<ContainerRecord> {
        let containers = self.containers().await?;
        find(&containers, text).cloned().map_err(|error| match error {
            FindError::NotFound(_) => Error::not_found(error.to_string()),
            FindError::Ambiguous(_) => Error::conflict(error.to_string()),
        })
    }

    /// The drivers, for what goes straight through: logs and exec.
    pub fn drivers(&self) -> &Drivers {
        &self.inner.drivers
    }

    /// The ledger.
    pub fn ledger_handle(&self) -> Arc<Ledger> {
        self.inner.ledger.clone()
    }

    /// What the host is, for people; only names and sizes that any process may read where the agent does not manage it.
    pub async fn facts(&self) -> Result<HostFacts> {
        match &self.inner.drivers.host {
            Some(host) => host.facts().await,
            None => Ok(HostFacts::default()),
        }
    }

    /// Steps under way.
    pub fn in_progress(&self) -> Vec<InProgress> {
        self.inner.board.list()
    }

    /// What was wrong with single host settings when they were last applied, and what was told by [`Engine::notice`].
    pub fn item_problems(&self) -> Vec<hull_model::Problem> {
        let told = self.inner.notices.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let items = self.inner.item_problems.lock().unwrap_or_else(PoisonError::into_inner);
        told.into_iter().chain(items.iter().cloned()).collect()
    }

    /// Shows a problem in the status for as long as this agent runs.
    pub fn notice(&self, problem: hull_model::Problem) {
        self.inner.notices.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }

    /// How registries are reached from now on.
    pub fn set_registries(&self, registries: BTreeMap<String, hull_model::Registry>) {
        *self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner) = registries;
    }

    /// Forgets failures of steps that are not planned any more.
    pub fn retain_failures(&self, planned: impl Fn(&StepKey) -> bool) {
        self.inner.failures.retain(planned);
    }

    /// Returns after something changed that may need a new plan. Changes between two calls are not lost.
    pub async fn wait_for_change(&self) {
        self.inner.changed.notified().await;
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The last events, at most 1024, oldest first, and all that follow them: none is missed or told twice.
    pub fn history(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        self.inner.events.since_ever()
    }

    /// Tells when a reset begins.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    /// Whether a reset has begun: the agent is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.inner.stopping.borrow()
    }

    pub(crate) fn changed(&self) {
        self.inner.changed.notify_one();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.drivers.clock.now()
    }

    pub(crate) fn publish(
        &self,
        kind: &str,
        action: &str,
        record: &ContainerRecord,
        more: BTreeMap<String, String>,
    ) {
        let mut attributes = record.spec.labels.clone();
        attributes.insert("image".to_owned(), record.spec.image.familiar());
        attributes.insert("name".to_owned(), record.spec.name.to_string());
        attributes.extend(more);
        self.announce(kind, action, record.id.as_str(), attributes);
    }

    pub(crate) fn announce(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let event = Event {
            at: self.now(),
            kind: kind.to_owned(),
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
        };
        self.inner.events.tell(event);
    }

    /// Uses the ledger on a thread that may block.
    pub(crate) async fn ledger<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> std::result::Result<T, LedgerError> + Send + 'static,
    ) -> Result<T> {
        let ledger = self.inner.ledger.clone();
        let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
        Ok(done.map_err(|e| Error::retryable("using the ledger").because(e))??)
    }

    pub(crate) fn stored(&self, id: &ContainerId) -> Option<ContainerRecord> {
        self.inner.records.get(id).map(|record| record.as_ref().clone())
    }

    /// The container, or Docker's words for one that is not there.
    pub(crate) fn existing(&self, id: &ContainerId) -> Result<ContainerRecord> {
        self.stored(id).ok_or_else(|| Error::not_found(format!("No such container: {id}")))
    }

    /// One container: the ledger joined with what the runtime says right now.
    pub(crate) async fn container(&self, id: &ContainerId) -> Result<ContainerRecord> {
        let record = self.existing(id)?;
        Ok(join(record, &self.processes().await?))
    }

    pub(crate) async fn put(&self, record: ContainerRecord, durability: Durability) -> Result<()> {
        let boot = self.inner.settings.boot.clone();
        let (row, of) = (record.clone(), boot.clone());
        self.ledger(move |l| l.put_container(&row, &of, durability)).await?;
        self.inner.records.put(record, boot);
        Ok(())
    }

    /// Ends and removes every container and everything the drivers made in the kernel. Images and volumes stay. Steps
    /// under way are cut off, as a crash of the agent would; none is begun any more.
    pub async fn reset(&self) -> Result<()> {
        self.inner.stopping.send_replace(true);
        let steps = std::mem::take(&mut *self.inner.steps.lock().unwrap_or_else(PoisonError::into_inner));
        { steps }.shutdown().await;
        for container in self.containers().await?.into_iter().filter(|c| c.state.is_running()) {
            let _turn = self.inner.locks.lock(container.id.as_str()).await;
            self.inner.drivers.runtime.kill(&container.id).await?;
            self.wait_for_end(&container).await?;
        }
        for container in self.containers().await? {
            self.remove_container(&container.id).await?;
        }
        self.forget_networks().await?;
        self.inner.drivers.networks.reset().await?;
        self.inner.drivers.images.release().await?;
        self.inner.drivers.runtime.reset().await
    }
}

/// What the runtime says about a process wins over what the ledger last wrote.
fn join(record: ContainerRecord, processes: &HashMap<ContainerId, ProcessRecord>) -> ContainerRecord {
    let Some(process) = processes.get(&record.id) else { return record };
    let state = match (&process.exit, &record.state) {
        (None, _) => ContainerState::Running {
            pid: process.started.pid,
            started: process.started.at,
            paused: process.paused,
        },
        // The ledger knows more about an end that it has settled.
        (Some(_), ContainerState::Exited { .. } | ContainerState::Created) => return record,
        (Some((exit, at)), ContainerState::Running { .. }) => {
            ContainerState::Exited { exit: exit.clone(), started: Some(process.started.at), finished: *at }
        }
    };
    ContainerRecord { state, ..record }
}
