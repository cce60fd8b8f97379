//! Bringing ledger and kernel together after the agent or the host started.

use crate::engine::Engine;
use crate::ledger::{Durability, Ledger};
use crate::remove::remove_dir;
use crate::start;
use hull_model::{ContainerId, ContainerRecord, ContainerState, Owner, RestartPolicy};
use hull_ports::{Error, ProcessRecord, Result};

impl Engine {
    pub(crate) async fn adopt(&self) -> Result<()> {
        self.settle_all().await?;
        self.forget_stops().await?;
        let containers = self.containers().await?;
        let networks = self.ledger(Ledger::networks).await?;
        let running: Vec<_> = containers.iter().filter(|c| c.state.is_running()).collect();
        let sandboxes = running
            .iter()
            .filter(|c| start::has_sandbox(c))
            .map(|c| start::sandbox(c, &networks))
            .collect::<Vec<_>>();
        self.inner.drivers.networks.restore(&networks, &sandboxes).await?;
        let ids: Vec<ContainerId> = containers.iter().map(|c| c.id.clone()).collect();
        self.inner.drivers.images.sweep(&ids).await?;
        self.sweep_files(&ids)?;
        for process in self.inner.drivers.runtime.list().await? {
            if !ids.contains(&process.id) {
                self.abandon(&process).await?;
            }
        }
        Ok(())
    }

    /// Removes files of containers that are not there any more.
    fn sweep_files(&self, ids: &[ContainerId]) -> Result<()> {
        let dir = &self.inner.settings.files_dir;
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(Error::retryable(format!("reading {}", dir.display())).because(error));
            }
        };
        for entry in entries.flatten() {
            if !ids.iter().any(|id| entry.file_name() == id.as_str()) {
                remove_dir(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Ends a process whose container the ledger does not know: its creation or removal was cut short.
    async fn abandon(&self, process: &ProcessRecord) -> Result<()> {
        let runtime = &self.inner.drivers.runtime;
        if process.exit.is_none() {
            runtime.kill(&process.id).await?;
            runtime.wait(&process.id).await?;
        }
        runtime.remove(&process.id).await
    }

    /// After the host restarted, what must always run does so again although a person had stopped it.
    async fn forget_stops(&self) -> Result<()> {
        for stored in self.inner.records.all() {
            let mut record = stored.record.as_ref().clone();
            if stored.boot == self.inner.settings.boot || record.wanted || !comes_back(&record) {
                continue;
            }
            if let ContainerState::Exited { exit, .. } = &mut record.state {
                exit.interrupted = true;
            }
            record.wanted = true;
            self.put(record, Durability::Synced).await?;
        }
        Ok(())
    }

    /// Containers that go with their process, and whose process ended while nobody was there to remove them.
    pub(crate) async fn remove_ended(&self) {
        for stored in self.inner.records.all() {
            let record = stored.record;
            let ended = matches!(record.state, ContainerState::Exited { .. });
            if record.spec.auto_remove && ended {
                self.remove_by_itself(&record.id).await;
            }
        }
    }
}

/// Whether a container that a person stopped runs again once the host was restarted.
fn comes_back(record: &ContainerRecord) -> bool {
    let ran = matches!(&record.state, ContainerState::Exited { started: Some(_), .. });
    record.owner == Owner::HostSpec || (ran && record.spec.restart == RestartPolicy::Always)
}
