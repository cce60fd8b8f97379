//! Teardown, off the path that somebody waits for: removing an interface takes the kernel some 30 ms, of many hardly more
//! when they go together.

use crate::error::{Failure, Outcome};
use crate::namespace::Shelf;
use crate::netlink::{Batch, Socket};
use crate::{conntrack, links};
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

/// Something to be done soon.
#[derive(Debug)]
enum Order {
    /// Remove a container's namespace and all retired interfaces.
    Bury(ContainerId),
    /// Forget tracked UDP connections to these host ports.
    Forget(Vec<u16>),
}

/// The thread that removes them. Ends, with its work done, when this is dropped.
#[derive(Debug)]
pub(crate) struct Reaper {
    queue: Option<Sender<Order>>,
    leaving: Arc<Leaving>,
    thread: Option<JoinHandle<()>>,
}

impl Reaper {
    /// Starts the thread in the caller's namespaces.
    pub(crate) fn start(shelf: Shelf) -> Outcome<Self> {
        let (queue, orders) = channel();
        let leaving = Arc::new(Leaving::default());
        let mut kernel = Kernel { route: Socket::route()?, netfilter: Socket::netfilter(0)?, shelf };
        let theirs = Arc::clone(&leaving);
        let thread = std::thread::Builder::new()
            .name("hull-net-reaper".to_owned())
            .stack_size(256 << 10)
            .spawn(move || work(&orders, &mut kernel, &theirs))
            .map_err(Failure::system("starting the teardown thread"))?;
        Ok(Self { queue: Some(queue), leaving, thread: Some(thread) })
    }

    /// Removes the container's namespace and all interfaces of the retired group, soon.
    pub(crate) fn bury(&self, container: &ContainerId) {
        self.leaving.containers.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone());
        self.send(Order::Bury(container.clone()));
    }

    /// Forgets tracked UDP connections to these host ports, soon.
    pub(crate) fn forget(&self, ports: Vec<u16>) {
        if !ports.is_empty() {
            self.send(Order::Forget(ports));
        }
    }

    fn send(&self, order: Order) {
        if let Some(queue) = &self.queue {
            // The thread ends only after the queue does.
            let _ = queue.send(order);
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

struct Kernel {
    route: Socket,
    netfilter: Socket,
    shelf: Shelf,
}

fn work(orders: &Receiver<Order>, kernel: &mut Kernel, leaving: &Leaving) {
    while let Ok(first) = orders.recv() {
        let (mut containers, mut ports) = (HashSet::new(), Vec::new());
        for order in std::iter::once(first).chain(orders.try_iter()) {
            match order {
                Order::Bury(container) => {
                    containers.insert(container);
                }
                Order::Forget(some) => ports.extend(some),
            }
        }
        report(conntrack::forget(&mut kernel.netfilter, &ports));
        if !containers.is_empty() {
            report(kernel.remove_retired());
        }
        for container in &containers {
            report(kernel.shelf.release(container.as_str()));
        }
        let mut waiting = leaving.containers.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|container| !containers.contains(container));
        leaving.changed.notify_all();
    }
}

impl Kernel {
    fn remove_retired(&mut self) -> Outcome<()> {
        let mut batch = Batch::default();
        batch.push(links::remove_retired(), "removing interfaces of ended containers");
        match self.route.transact(batch) {
            Err(failure) if failure.number() == Some(nix::errno::Errno::ENODEV as i32) => Ok(()),
            other => other,
        }
    }
}

fn report(outcome: Outcome<()>) {
    if let Err(failure) = outcome {
        let error = hull_ports::Error::from(failure).chain();
        tracing::warn!(error, "something of an ended container is left until the next start");
    }
}
