//! Namespaces kept ready, so that a start does not wait for one to be made.

use crate::error::Outcome;
use crate::namespace::{self, Blank};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Ready namespaces. They are held by descriptors alone: if the agent dies, so do they.
#[derive(Debug)]
pub(crate) struct Pool {
    ready: Mutex<Vec<Blank>>,
    size: usize,
    taken: Notify,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        Self { ready: Mutex::new(Vec::with_capacity(size)), size, taken: Notify::new() }
    }

    /// A ready namespace, or a new one if none is left. Blocks.
    pub(crate) fn take(&self) -> Outcome<Blank> {
        let blank = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.taken.notify_one();
        blank.map_or_else(namespace::make, Ok)
    }

    fn missing(&self) -> bool {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).len() < self.size
    }

    /// Lets go of all of them.
    pub(crate) fn drain(&self) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps the pool full, until its task is ended. Making fails only where the next start will report why.
    pub(crate) async fn keep_full(self: Arc<Self>) {
        loop {
            while self.missing() {
                match tokio::task::spawn_blocking(namespace::make).await {
                    Ok(Ok(blank)) => self.ready.lock().unwrap_or_else(PoisonError::into_inner).push(blank),
                    Ok(Err(failure)) => {
                        tracing::warn!(error = %hull_ports::Error::from(failure).chain(), "no namespace kept ready");
                        break;
                    }
                    Err(_) => return,
                }
            }
            self.taken.notified().await;
        }
    }
}
