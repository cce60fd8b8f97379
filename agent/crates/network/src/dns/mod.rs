//! Name resolution for containers: a resolver inside each namespace at 127.0.0.11, nothing on the host.
//!
//! `zone` knows names, `answer` decides (both pure), `server` listens in a container's namespace, `upstream` asks the
//! host's resolvers from the host's namespace.

mod answer;
mod server;
mod upstream;
mod zone;

pub(crate) use server::Server;
pub(crate) use zone::Scope;

use hull_model::ContainerId;
use hull_ports::SandboxSpec;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use zone::Zones;

/// What all resolvers of this host share.
#[derive(Debug)]
pub(crate) struct Directory {
    zones: RwLock<Zones>,
    resolv_conf: Vec<PathBuf>,
}

impl Directory {
    pub(crate) fn new(resolv_conf: Vec<PathBuf>) -> Self {
        Self { zones: RwLock::default(), resolv_conf }
    }

    /// Makes a container's names known in its networks.
    pub(crate) fn add(&self, spec: &SandboxSpec) {
        self.zones.write().unwrap_or_else(PoisonError::into_inner).add(spec);
    }

    /// Forgets a container's names.
    pub(crate) fn remove(&self, container: &ContainerId) {
        self.zones.write().unwrap_or_else(PoisonError::into_inner).remove(container);
    }

    fn read<T>(&self, look: impl FnOnce(&Zones) -> T) -> T {
        look(&self.zones.read().unwrap_or_else(PoisonError::into_inner))
    }
}
