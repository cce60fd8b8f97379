//! Teardown, off the path that somebody waits for: removing an interface takes the kernel some 30 ms, of many hardly more
//! when they go together.

use crate::error::{Failure, Outcome};
use crate::links;
use crate::namespace::Shelf;
use crate::netlink::{Batch, Socket};
use hull_model::ContainerId;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than the kernel ever takes; then the attach goes on, and fails if something is still there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Containers whose interfaces and namespaces are being removed.
#[derive(Debug, Default)]
struct Leaving {
    containers: Mutex<HashSet<ContainerId>>,
    changed: Condvar,
}

/// The thread that removes them. Ends, with its work done, when this is dropped.
#[derive(Debug)]
pub(crate) struct Reaper {
    queue: Option<Sender<ContainerId>>,
    leaving: Arc<Leaving>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread in the caller's namespaces.
    pub(crate) fn start(shelf: Shelf) -> Outcome<Self> {
        let (queue, orders) = channel();
        let leaving = Arc::new(Leaving::default());
        let (route, theirs) = (Socket::route()?, Arc::clone(&leaving));
        let thread = std::thread::Builder::new()
            .name("hull-net-reaper".to_owned())
            .stack_size(256 << 10)
            .spawn(move || work(&orders, route, &shelf, &theirs))
            .map_err(Failure::system("starting the teardown thread"))?;
        Ok(Self { queue: Some(queue), leaving, thread: Some(thread) })
    }

    /// Removes the container's namespace and all interfaces of the retired group, soon.
    pub(crate) fn bury(&self, container: &ContainerId) {
        self.leaving.containers.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone());
        if let Some(queue) = &self.queue {
            // The thread ends only after the queue does.
            let _ = queue.send(container.clone());
        }
    }

    /// Waits until nothing is left of the container's last life; of anybody's, if `None`.
    pub(crate) fn wait(&self, container: Option<&ContainerId>) {
        let leaving = self.leaving.containers.lock().unwrap_or_else(PoisonError::into_inner);
        let still = |leaving: &mut HashSet<ContainerId>| match container {
            Some(container) => leaving.contains(container),
            None => !leaving.is_empty(),
        };
        drop(self.leaving.changed.wait_timeout_while(leaving, PATIENCE, still));
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(orders: &Receiver<ContainerId>, mut route: Socket, shelf: &Shelf, leaving: &Leaving) {
    while let Ok(first) = orders.recv() {
        let containers: Vec<ContainerId> = std::iter::once(first).chain(orders.try_iter()).collect();
        let mut batch = Batch::default();
        batch.push(links::remove_retired(), "removing interfaces of ended containers");
        let removed = match route.transact(batch) {
            Err(failure) if failure.number() == Some(nix::errno::Errno::ENODEV as i32) => Ok(()),
            other => other,
        };
        report(removed);
        for container in &containers {
            report(shelf.release(container.as_str()));
        }
        let mut waiting = leaving.containers.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|container| !containers.contains(container));
        leaving.changed.notify_all();
    }
}

fn report(outcome: Outcome<()>) {
    if let Err(failure) = outcome {
        let error = hull_ports::Error::from(failure).chain();
        tracing::warn!(error, "something of an ended container is left until the next start");
    }
}
