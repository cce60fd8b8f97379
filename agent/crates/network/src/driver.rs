//! The driver: what it holds, and the port it implements.

use crate::dns::{Directory, Server};
use crate::error::{Failure, Outcome};
use crate::namespace::Shelf;
use crate::netlink::Socket;
use crate::pool::Pool;
use crate::ports::PortBook;
use crate::reaper::Reaper;
use crate::rules::Rules;
use async_trait::async_trait;
use hull_model::{ContainerId, Ipv4Net, NetworkRecord};
use hull_ports::{Error, Networks, Result, Sandbox, SandboxSpec};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// What may differ between hosts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Namespaces kept ready.
    pub pool: usize,
    /// Bytes of a packet in container networks; that of the host's default route, or 1500, if `None`.
    pub mtu: Option<u32>,
    /// Where the host's resolvers are read from. A file that names only systemd-resolved's own listener (127.0.0.53) is
    /// passed over for the next.
    pub resolv_conf: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
        Self { pool: 4, mtu: None, resolv_conf: files.map(PathBuf::from).to_vec() }
    }
}

/// Networks of containers on this host, or in the network namespace in which `open` was called. One driver per network
/// namespace: everything in it that is named as ours is ours.
#[derive(Debug)]
pub struct Driver {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

/// A network that exists.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) record: NetworkRecord,
    /// The bridge's index.
    pub(crate) index: u32,
    pub(crate) mtu: u32,
}

/// A container that has its namespace.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) spec: SandboxSpec,
    /// Ends with this value.
    pub(crate) _resolver: Option<Server>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// By id.
    pub(crate) networks: BTreeMap<String, Network>,
    pub(crate) attached: HashMap<ContainerId, Attached>,
    pub(crate) ports: PortBook,
    /// Containers being attached or detached right now.
    pub(crate) busy: HashSet<ContainerId>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) shelf: Shelf,
    pub(crate) pool: Arc<Pool>,
    pub(crate) reaper: Reaper,
    route: Mutex<Socket>,
    rules: Mutex<Rules>,
    state: Mutex<State>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) runtime: Handle,
    pub(crate) ipv6: bool,
}

impl Driver {
    /// Opens the driver with its files in `run_dir`, which must not survive a reboot. Changes nothing but that
    /// directory; `restore` brings the kernel in line.
    ///
    /// # Errors
    /// If the kernel lacks netlink or nf_tables, or refuses them to us.
    pub async fn open(run_dir: PathBuf, options: Options) -> Result<Self> {
        let runtime = Handle::current();
        let inner = blocking(move || {
            let shelf = Shelf::open(&run_dir)?;
            Ok(Inner {
                reaper: Reaper::start(shelf.clone())?,
                shelf,
                pool: Arc::new(Pool::new(options.pool)),
                route: Mutex::new(Socket::route()?),
                rules: Mutex::new(Rules::open()?),
                state: Mutex::default(),
                directory: Arc::new(Directory::new(options.resolv_conf.clone())),
                runtime,
                ipv6: std::path::Path::new("/proc/sys/net/ipv6").exists(),
                options,
            })
        })
        .await?;
        let inner = Arc::new(inner);
        let watch = crate::watch::open(&inner)?;
        let tasks = vec![
            tokio::spawn(Arc::clone(&inner.pool).keep_full()).abort_handle(),
            tokio::spawn(watch).abort_handle(),
        ];
        Ok(Self { inner, tasks })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(&inner)).await
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Kernel work takes a millisecond or so: not on a thread that others wait for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Error::from),
        Err(ended) => Err(Error::retryable("changing networks").because(ended)),
    }
}

impl Inner {
    /// Route netlink of the host.
    pub(crate) fn route(&self) -> MutexGuard<'_, Socket> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host's table. Never taken while `state` is held.
    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What exists. Held for lookups only, never across a system call.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a container as being changed.
    pub(crate) fn begin(&self, container: &ContainerId) -> Outcome<Busy<'_>> {
        if !self.state().busy.insert(container.clone()) {
            let message = format!("the network of container {} is being changed", container.short());
            return Err(Failure::Refused(Error::conflict(message).remedy("try again")));
        }
        Ok(Busy { inner: self, container: container.clone() })
    }
}

/// A container that is being changed, until this is dropped.
pub(crate) struct Busy<'a> {
    inner: &'a Inner,
    container: ContainerId,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.inner.state().busy.remove(&self.container);
    }
}

#[async_trait]
impl Networks for Driver {
    async fn create(&self, network: &NetworkRecord) -> Result<()> {
        let network = network.clone();
        self.run(move |inner| inner.create_network(&network)).await
    }

    async fn remove(&self, network: &NetworkRecord) -> Result<()> {
        let network = network.clone();
        self.run(move |inner| inner.remove_network(&network)).await
    }

    async fn attach(&self, sandbox: &SandboxSpec) -> Result<Sandbox> {
        let spec = sandbox.clone();
        self.run(move |inner| inner.attach(spec)).await
    }

    async fn detach(&self, container: &ContainerId) -> Result<()> {
        let container = container.clone();
        self.run(move |inner| inner.detach(&container)).await
    }

    async fn host_routes(&self) -> Result<Vec<Ipv4Net>> {
        self.run(|inner| inner.host_routes()).await
    }

    async fn restore(&self, networks: &[NetworkRecord], sandboxes: &[SandboxSpec]) -> Result<()> {
        let (networks, sandboxes) = (networks.to_vec(), sandboxes.to_vec());
        self.run(move |inner| inner.restore(&networks, sandboxes)).await
    }

    async fn reset(&self) -> Result<()> {
        self.run(|inner| inner.reset()).await
    }
}
