//! Running the health checks of containers.
//!
//! One task for each running container that has a check. What is due and what a result means is decided by
//! [`hull_plan::health`]. Results are kept in memory: after a restart of the agent a container is `starting` again.

use crate::engine::Engine;
use futures_util::FutureExt as _;
use hull_model::{ContainerId, ContainerRecord, ContainerState};
use hull_plan::health::{self, Check, Verdict};
use hull_ports::{Error, ExecIo, ExecSpec, Result};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncReadExt as _;
use tokio::task::AbortHandle;

/// Results that are kept for each container, as in Docker.
const KEPT: usize = 5;
/// Bytes of a check's output that are kept, as in Docker.
const OUTPUT: usize = 4096;

/// What a container's checks have told.
pub use health::Verdict as HealthStatus;

/// One check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// 0 for a success; -1 if it could not be run or took too long.
    pub exit_code: i32,
    /// The beginning of what it wrote.
    pub output: String,
}

/// A container's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// The last checks, oldest first, at most five.
    pub log: Vec<Probe>,
}

/// The checks of all running containers.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    state: Mutex<HashMap<ContainerId, Watched>>,
}

#[derive(Debug)]
struct Watched {
    verdict: (Verdict, u32),
    log: VecDeque<Probe>,
    task: AbortHandle,
}

impl Checks {
    fn state(&self) -> MutexGuard<'_, HashMap<ContainerId, Watched>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a container's checks. What they told is forgotten.
    pub(crate) fn forget(&self, id: &ContainerId) {
        if let Some(watched) = self.state().remove(id) {
            watched.task.abort();
        }
    }

    /// Notes a result; returns the verdict if it changed.
    fn note(&self, id: &ContainerId, verdict: (Verdict, u32), probe: Probe) -> Option<Verdict> {
        let mut state = self.state();
        let watched = state.get_mut(id)?;
        let changed = watched.verdict.0 != verdict.0;
        watched.verdict = verdict;
        if watched.log.len() == KEPT {
            watched.log.pop_front();
        }
        watched.log.push_back(probe);
        changed.then_some(verdict.0)
    }
}

impl Engine {
    /// A container's health; `None` if it does not run or is not checked.
    pub fn health(&self, id: &ContainerId) -> Option<Health> {
        let state = self.inner.checks.state();
        let watched = state.get(id)?;
        let (status, failing_streak) = watched.verdict;
        Some(Health { status, failing_streak, log: watched.log.iter().cloned().collect() })
    }

    /// Begins the checks of every container that runs already.
    pub(crate) fn watch_health_of_all(&self) {
        for stored in self.inner.records.all() {
            if stored.record.state.is_running() {
                let (engine, record) = (self.clone(), stored.record);
                tokio::spawn(async move { engine.watch_health(&record).await });
            }
        }
    }

    /// Begins the checks of a container that runs, if it has any.
    pub(crate) async fn watch_health(&self, record: &ContainerRecord) {
        let ContainerState::Running { started, .. } = record.state else { return };
        let image = self.inner.drivers.images.image(&record.image).await.ok().flatten();
        let image = image.map(|i| i.config).unwrap_or_default();
        let (own, inherited) = (record.spec.healthcheck.as_ref(), image.healthcheck.as_ref());
        let Some(check) = health::check(own, inherited, &image.shell) else { return };
        let (engine, id) = (self.clone(), record.id.clone());
        // The task looks for its own entry when it has a result: it waits first, and the entry is made right here.
        let task =
            tokio::spawn(async move { engine.keep_checking(&id, &check, started).await }).abort_handle();
        let watched = Watched { verdict: (Verdict::Starting, 0), log: VecDeque::new(), task };
        if let Some(old) = self.inner.checks.state().insert(record.id.clone(), watched) {
            old.task.abort();
        }
    }

    async fn keep_checking(&self, id: &ContainerId, check: &Check, started: Timestamp) {
        let mut verdict = (Verdict::Starting, 0);
        loop {
            let pause = health::pause(check, verdict.0, started, self.now());
            tokio::time::sleep(pause.unsigned_abs()).await;
            let Some(record) = self.stored(id) else { return };
            match record.state {
                ContainerState::Running { started: at, .. } if at == started => {}
                _ => return,
            }
            let probe = self.probe(&record, check).await;
            verdict = health::judge(check, verdict, probe.exit_code, started, probe.end);
            if let Some(changed) = self.inner.checks.note(id, verdict, probe) {
                let action = format!("health_status: {}", word(changed));
                self.publish("container", &action, &record, BTreeMap::new());
                self.changed();
            }
        }
    }

    async fn probe(&self, record: &ContainerRecord, check: &Check) -> Probe {
        let start = self.now();
        let (exit_code, output) = match self.run_check(&record.id, check).await {
            Ok(result) => result,
            Err(error) => (-1, error.chain()),
        };
        Probe { start, end: self.now(), exit_code, output }
    }

    /// Runs one check to its end or to its timeout.
    async fn run_check(&self, id: &ContainerId, check: &Check) -> Result<(i32, String)> {
        let runtime = &self.inner.drivers.runtime;
        let spec = ExecSpec { args: check.args.clone(), ..ExecSpec::default() };
        let ExecIo { exec, stdout, stderr, .. } = runtime.exec(id, &spec).await?;
        let mut output = Vec::new();
        let whole = async {
            // A check whose child keeps the streams open ends with the check itself.
            let reading = read_both(stdout, stderr, &mut output);
            let waiting = runtime.exec_wait(&exec).map(Some);
            tokio::pin!(reading, waiting);
            tokio::select! {
                exit = &mut waiting => {
                    _ = reading.now_or_never();
                    exit
                }
                _ = &mut reading => waiting.await,
            }
        };
        let limit = check.timeout.unsigned_abs();
        let ended = tokio::time::timeout(limit, whole).await;
        match ended {
            Ok(Some(exit)) => Ok((exit?.code, text(&output))),
            Ok(None) => Err(Error::retryable("running a health check")),
            Err(_) => {
                runtime.exec_kill(&exec).await?;
                _ = runtime.exec_wait(&exec).await;
                Ok((-1, format!("Health check exceeded timeout ({})", seconds(check.timeout))))
            }
        }
    }
}

/// The verdict in Docker's word.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Starting => "starting",
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy => "unhealthy",
    }
}

fn seconds(duration: jiff::SignedDuration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads both streams to their ends and keeps the beginning. The rest is read too, so that the check never blocks.
async fn read_both(stdout: Option<OwnedFd>, stderr: Option<OwnedFd>, output: &mut Vec<u8>) {
    let kept = tokio::sync::Mutex::new(output);
    let read = async |fd: Option<OwnedFd>| {
        let Some(mut stream) = fd.and_then(|fd| tokio::net::unix::pipe::Receiver::from_owned_fd(fd).ok())
        else {
            return;
        };
        let mut buffer = [0u8; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let mut kept = kept.lock().await;
            let room = OUTPUT.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(&buffer[..room]);
        }
    };
    tokio::join!(read(stdout), read(stderr));
}
