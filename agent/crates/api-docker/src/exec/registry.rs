//! The processes that clients asked for, running or ended.

use crate::descriptor::Descriptor;
use crate::error::ApiError;
use hull_model::ContainerId;
use hull_ports::ExecSpec;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// How many ended processes are remembered, for clients that ask for their exit code late.
const KEPT: usize = 512;

/// All of them.
#[derive(Clone, Default)]
pub(crate) struct Execs(Arc<Mutex<VecDeque<Arc<Exec>>>>);

/// One process.
pub(super) struct Exec {
    pub(super) id: String,
    pub(super) container: ContainerId,
    pub(super) spec: ExecSpec,
    /// Output that the client wants.
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// Keys that detach; those that were asked for, as inspections show them.
    pub(super) keys: Vec<u8>,
    pub(super) asked_keys: Option<Vec<u8>>,
    progress: Mutex<Progress>,
    /// The exit code, once there is one.
    pub(super) ended: watch::Sender<Option<i32>>,
}

#[derive(Default)]
pub(super) struct Progress {
    pub(super) started: bool,
    pub(super) pid: i32,
    pub(super) size: Option<(u16, u16)>,
    pub(super) terminal: Option<Arc<Descriptor>>,
}

/// What a client asks for when it makes one.
pub(super) struct Wish {
    pub(super) spec: ExecSpec,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) keys: Vec<u8>,
    pub(super) asked_keys: Option<Vec<u8>>,
}

impl Exec {
    pub(super) fn new(id: String, container: ContainerId, wish: Wish) -> Self {
        let Wish { spec, stdout, stderr, keys, asked_keys } = wish;
        Self {
            id,
            container,
            spec,
            stdout,
            stderr,
            keys,
            asked_keys,
            progress: Mutex::default(),
            ended: watch::channel(None).0,
        }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn running(&self) -> bool {
        self.progress().started && self.ended.borrow().is_none()
    }
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, exec: Exec) {
        let mut execs = self.lock();
        while execs.len() >= KEPT {
            // Those that run are never forgotten; one more than that many is no harm.
            let Some(oldest) = execs.iter().position(|e| !e.running()) else { break };
            execs.remove(oldest);
        }
        execs.push_back(Arc::new(exec));
    }

    pub(super) fn get(&self, id: &str) -> Result<Arc<Exec>, ApiError> {
        let missing = || ApiError::not_found(format!("No such exec instance: {id}"));
        self.lock().iter().find(|e| e.id == id).cloned().ok_or_else(missing)
    }

    /// Ids of the processes that run in a container.
    pub(crate) fn of(&self, container: &ContainerId) -> Vec<String> {
        let execs = self.lock();
        let own = execs.iter().filter(|e| e.container == *container && e.running());
        own.map(|e| e.id.clone()).collect()
    }
}
