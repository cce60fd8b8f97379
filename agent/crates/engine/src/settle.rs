//! Recording how processes end.

use crate::engine::Engine;
use crate::ledger::Durability;
use hull_model::{ContainerId, ContainerRecord, ContainerState, ExitStatus};
use hull_ports::{Result, RuntimeEvent};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use tokio::sync::broadcast;

impl Engine {
    pub(crate) async fn watch_runtime(self, mut events: broadcast::Receiver<RuntimeEvent>) {
        let mut stopping = self.stopping();
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = stopping.changed() => return,
            };
            let settled = match event {
                Ok(RuntimeEvent::Exited { id, exit, at }) => self.settle(&id, exit, at).await,
                Ok(RuntimeEvent::OutOfMemory { id }) => {
                    self.announce_by_id(&id, "oom");
                    Ok(())
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.settle_all().await,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            if let Err(error) = settled {
                tracing::error!(error = error.chain(), "recording the end of a container");
            }
        }
    }

    fn announce_by_id(&self, id: &ContainerId, action: &str) {
        if let Some(record) = self.stored(id) {
            self.publish("container", action, &record, BTreeMap::new());
        }
    }

    /// Records the end of every container that the ledger still believes to run.
    pub(crate) async fn settle_all(&self) -> Result<()> {
        let processes = self.processes().await?;
        let now = self.now();
        for stored in self.inner.records.all() {
            let ContainerState::Running { .. } = stored.record.state else { continue };
            let process = processes.get(&stored.record.id);
            if process.is_some_and(|p| p.exit.is_none()) {
                continue;
            }
            let interrupted = stored.boot != self.inner.settings.boot;
            let (exit, at) = match process.and_then(|p| p.exit.clone()) {
                Some((exit, at)) if !interrupted => (exit, at),
                _ => (ExitStatus { code: 137, interrupted: true, ..ExitStatus::default() }, now),
            };
            self.settle(&stored.record.id, exit, at).await?;
        }
        Ok(())
    }

    /// Records the end of one container's process and takes its network down. Does nothing if it runs (again).
    pub(crate) async fn settle(&self, id: &ContainerId, exit: ExitStatus, at: Timestamp) -> Result<()> {
        if self.stored(id).is_none() {
            return Ok(());
        }
        let turn = self.inner.locks.lock(id.as_str()).await;
        let Some(record) = self.stored(id) else { return Ok(()) };
        let settled = self.settle_record(record, exit, at).await?;
        drop(turn);
        if settled.is_some_and(|record| record.spec.auto_remove) && !self.is_kept(id) {
            self.remove_by_itself(id).await;
        }
        Ok(())
    }

    fn is_kept(&self, id: &ContainerId) -> bool {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// The same, for a caller that has the object's turn. `None` if there was nothing to settle.
    pub(crate) async fn settle_record(
        &self,
        record: ContainerRecord,
        exit: ExitStatus,
        at: Timestamp,
    ) -> Result<Option<ContainerRecord>> {
        let ContainerState::Running { started, .. } = record.state else { return Ok(None) };
        if at < started {
            return Ok(None);
        }
        self.inner.drivers.networks.detach(&record.id).await?;
        let attributes = BTreeMap::from([
            ("exitCode".to_owned(), exit.code.to_string()),
            ("execDuration".to_owned(), at.duration_since(started).as_secs().to_string()),
        ]);
        let state = ContainerState::Exited { exit, started: Some(started), finished: at };
        let record = ContainerRecord { state, ..record };
        self.put(record.clone(), Durability::Relaxed).await?;
        self.inner.checks.forget(&record.id);
        self.publish("container", "die", &record, attributes);
        self.changed();
        Ok(Some(record))
    }

    /// Settles a container whose process has ended, before its event comes round.
    pub(crate) async fn settle_now(&self, id: &ContainerId) -> Result<()> {
        let ended = self.processes().await?.remove(id).and_then(|p| p.exit);
        match ended {
            Some((exit, at)) => self.settle(id, exit, at).await,
            None => Ok(()),
        }
    }
}
