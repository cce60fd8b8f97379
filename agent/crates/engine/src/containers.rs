//! Signals, and stopping containers.

use crate::engine::Engine;
use crate::lifecycle::StopRequest;
use hull_model::{ContainerId, ContainerRecord, parse_signal};
use hull_plan::oci;
use hull_ports::{Error, ErrorClass, Result};
use std::collections::BTreeMap;
use std::time::Duration;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// Grace between the stop signal and SIGKILL, as in Docker.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long the kernel may take to end a killed container before we say so.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

impl Engine {
    /// Asks a container to stop, and kills it after its grace period. One that does not run is left as it is.
    pub async fn stop_container(&self, id: &ContainerId) -> Result<()> {
        let Some(record) = self.stored(id) else { return Ok(()) };
        self.stop_container_as(&record, StopRequest::default()).await
    }

    /// The same, with another signal or another grace period than the container's own.
    pub(crate) async fn stop_container_as(&self, record: &ContainerRecord, how: StopRequest) -> Result<()> {
        let runtime = &self.inner.drivers.runtime;
        let signal = match how.signal {
            Some(signal) => signal,
            None => self.stop_signal(record).await?,
        };
        match runtime.signal(&record.id, signal).await {
            Ok(()) => self.announce_kill(record, signal),
            Err(error) if error.class == ErrorClass::NotFound => return self.settle_now(&record.id).await,
            Err(error) => return Err(error),
        }
        let own = record.spec.stop_grace_seconds.map_or(DEFAULT_GRACE, Duration::from_secs);
        if tokio::time::timeout(how.grace.unwrap_or(own), runtime.wait(&record.id)).await.is_err() {
            runtime.kill(&record.id).await?;
            self.announce_kill(record, SIGKILL);
        }
        self.wait_for_end(record).await?;
        self.settle_now(&record.id).await?;
        self.publish("container", "stop", record, BTreeMap::new());
        Ok(())
    }

    /// Kills every process of a container and waits until it has ended.
    pub(crate) async fn kill_and_wait(&self, record: &ContainerRecord) -> Result<()> {
        self.inner.drivers.runtime.kill(&record.id).await?;
        self.announce_kill(record, SIGKILL);
        self.wait_for_end(record).await?;
        self.settle_now(&record.id).await
    }

    pub(crate) async fn stop_signal(&self, record: &ContainerRecord) -> Result<i32> {
        let image = self.inner.drivers.images.image(&record.image).await?;
        let config = image.map(|i| i.config).unwrap_or_default();
        Ok(parse_signal(&oci::stop_signal(&record.spec, &config)).unwrap_or(SIGTERM))
    }

    pub(crate) async fn wait_for_end(&self, record: &ContainerRecord) -> Result<()> {
        let ended = tokio::time::timeout(KILL_DEADLINE, self.inner.drivers.runtime.wait(&record.id)).await;
        let late = || {
            Error::retryable(format!("container {} did not end although it was killed", record.spec.name))
                .remedy("its processes may be stuck in the kernel, on a device or a network file system that does not answer")
        };
        ended.map_err(|_| late())??;
        Ok(())
    }

    /// Sends a signal to a container's main process.
    pub async fn signal_container(&self, id: &ContainerId, signal: i32) -> Result<()> {
        if signal == SIGKILL {
            return self.inner.drivers.runtime.kill(id).await;
        }
        self.inner.drivers.runtime.signal(id, signal).await
    }
}
