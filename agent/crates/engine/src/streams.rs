//! What flows in and out of a running container, and what it uses.

use crate::engine::Engine;
use hull_model::{ContainerId, ContainerRecord};
use hull_ports::{AttachIo, AttachSpec, Error, Result, Stats};
use std::collections::BTreeMap;

impl Engine {
    /// Connects to a container's streams; also before it is started, for its next run.
    pub async fn attach(&self, id: &ContainerId, spec: AttachSpec) -> Result<AttachIo> {
        let record = self.existing(id)?;
        let io = self.inner.drivers.runtime.attach(id, &spec).await?;
        self.publish("container", "attach", &record, BTreeMap::new());
        Ok(io)
    }

    /// Sets the size of its terminal, in rows and columns.
    pub async fn resize(&self, id: &ContainerId, rows: u16, columns: u16) -> Result<()> {
        let record = self.running(id).await?;
        self.inner.drivers.runtime.resize(id, rows, columns).await?;
        let size = [("height", rows), ("width", columns)];
        let size = size.map(|(k, v)| (k.to_owned(), v.to_string()));
        self.publish("container", "resize", &record, BTreeMap::from(size));
        Ok(())
    }

    /// What it uses. `Conflict` if it does not run.
    pub async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        self.inner.drivers.runtime.stats(id).await
    }

    /// Process ids, on the host, of all that runs in it.
    pub async fn processes_of(&self, id: &ContainerId) -> Result<Vec<i32>> {
        let record = self.running(id).await?;
        let pids = self.inner.drivers.runtime.processes(id).await?;
        self.publish("container", "top", &record, BTreeMap::new());
        Ok(pids)
    }

    /// Bytes of its writable layer, and of its whole root file system.
    pub async fn sizes(&self, id: &ContainerId) -> Result<(u64, u64)> {
        let record = self.existing(id)?;
        let drivers = &self.inner.drivers;
        let rootfs = drivers.images.prepare(id, &record.image).await?;
        drivers.archives.sizes(&rootfs).await
    }

    /// The container, if it runs; Docker's words otherwise.
    pub(crate) async fn running(&self, id: &ContainerId) -> Result<ContainerRecord> {
        let record = self.container(id).await?;
        match record.state.is_running() {
            true => Ok(record),
            false => Err(Error::conflict(format!("container {id} is not running"))),
        }
    }

    /// Tells that something happened to a container: `exec_create: sh -c x`, `archive-path`.
    pub fn announce_container(
        &self,
        record: &ContainerRecord,
        action: &str,
        attributes: BTreeMap<String, String>,
    ) {
        self.publish("container", action, record, attributes);
    }
}
