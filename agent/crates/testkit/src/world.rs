//! The state behind the fakes.

use hull_model::{ContainerId, Digest, ExitStatus, HostSettings, Image, ImageConfig, Name, Reference};
use hull_ports::{Clock, Drivers, Error, ErrorClass, ProcessRecord, Result, RuntimeEvent, SystemEntropy};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// A call that reached a driver: the operation's name and its object.
pub type Call = (String, String);

/// A clock that only moves when told.
#[derive(Debug, Clone)]
pub struct FixedClock(Arc<Mutex<Timestamp>>);

impl FixedClock {
    /// Moves the clock on.
    pub fn advance(&self, by: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything the fakes know.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) calls: Vec<Call>,
    pub(crate) fail_at: Option<(usize, ErrorClass)>,
    pub(crate) registry: BTreeSet<Reference>,
    pub(crate) images: Vec<Image>,
    pub(crate) configs: BTreeMap<Reference, ImageConfig>,
    pub(crate) documents: BTreeMap<Digest, serde_json::Value>,
    pub(crate) layers: BTreeSet<ContainerId>,
    pub(crate) processes: BTreeMap<ContainerId, ProcessRecord>,
    pub(crate) bridges: BTreeSet<Name>,
    pub(crate) sandboxes: BTreeSet<ContainerId>,
    pub(crate) volumes: BTreeSet<Name>,
    pub(crate) host: Option<HostSettings>,
    pub(crate) pids: i32,
}

/// A host in memory. Cheap to clone; all clones are the same host.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) events: broadcast::Sender<RuntimeEvent>,
    /// The host's clock.
    pub clock: FixedClock,
    manages_host: bool,
}

impl Default for World {
    fn default() -> Self {
        let start = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        Self {
            state: Arc::default(),
            events: broadcast::channel(64).0,
            clock: FixedClock(Arc::new(Mutex::new(start))),
            manages_host: false,
        }
    }
}

impl World {
    /// A host whose registry has these images.
    pub fn with_images(images: &[&str]) -> Self {
        let world = Self::default();
        world.lock().registry = images.iter().map(|i| crate::reference(i)).collect();
        world
    }

    /// The same, where the agent also configures the host itself.
    #[must_use]
    pub fn managed(mut self) -> Self {
        self.manages_host = true;
        self
    }

    /// The doors to this host.
    pub fn drivers(&self) -> Drivers {
        Drivers {
            images: Arc::new(self.clone()),
            runtime: Arc::new(self.clone()),
            networks: Arc::new(self.clone()),
            volumes: Arc::new(self.clone()),
            archives: Arc::new(self.clone()),
            host: self.manages_host.then(|| Arc::new(self.clone()) as Arc<dyn hull_ports::Host>),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Makes the `n`-th changing call from now on fail once (0 is the next).
    pub fn fail_call(&self, n: usize, class: ErrorClass) {
        let mut state = self.lock();
        let at = state.calls.len() + n;
        state.fail_at = Some((at, class));
    }

    /// All changing calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Puts an image into the registry.
    pub fn publish(&self, image: &str) {
        self.lock().registry.insert(crate::reference(image));
    }

    /// How containers of an image run. Counts for pulls from now on.
    pub fn configure(&self, image: &str, config: ImageConfig) {
        self.lock().configs.insert(crate::reference(image), config);
    }

    /// Names of the volumes on the disk.
    pub fn volumes(&self) -> Vec<String> {
        self.lock().volumes.iter().map(ToString::to_string).collect()
    }

    /// Number of containers whose process runs.
    pub fn running(&self) -> usize {
        self.lock().processes.values().filter(|p| p.exit.is_none()).count()
    }

    /// What is left in kernel and on disk: writable layers, processes known, namespaces, bridges.
    pub fn leftovers(&self) -> [usize; 4] {
        let state = self.lock();
        [state.layers.len(), state.processes.len(), state.sandboxes.len(), state.bridges.len()]
    }

    /// Ends a container's process.
    pub fn exit(&self, id: &ContainerId, code: i32) {
        let at = self.clock.now();
        let exit = ExitStatus { code, ..ExitStatus::default() };
        {
            let mut state = self.lock();
            let Some(process) = state.processes.get_mut(id).filter(|p| p.exit.is_none()) else { return };
            process.exit = Some((exit.clone(), at));
        }
        // Without a listener nobody has to be told.
        _ = self.events.send(RuntimeEvent::Exited { id: id.clone(), exit, at });
    }

    /// The host goes down and comes up: processes and networks are gone, disks are not.
    pub fn reboot(&self) {
        let mut state = self.lock();
        state.processes.clear();
        state.sandboxes.clear();
        state.bridges.clear();
        state.host = None;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a changing call, and fails it if the test asked for that.
    pub(crate) fn call(&self, operation: &str, object: impl ToString) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let index = state.calls.len();
        state.calls.push((operation.to_owned(), object.to_string()));
        match state.fail_at {
            Some((at, class)) if at == index => {
                state.fail_at = None;
                Err(Error::new(class, format!("{operation}: the test asked for a failure")))
            }
            _ => Ok(state),
        }
    }
}
