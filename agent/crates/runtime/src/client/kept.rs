//! What the supervisor wrote down about a container, as far as it concerns us.

use crate::cgroup::Cgroup;
use hull_model::{ContainerId, LogConfig};
use hull_ports::{Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A container that was started; whatever else is written down is passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Kept {
    pub(super) pid: i32,
    pub(super) cgroup: Cgroup,
    #[serde(default)]
    pub(super) log: LogConfig,
}

/// Where a container's files are.
pub(super) fn directory(state_dir: &Path, id: &ContainerId) -> PathBuf {
    state_dir.join("containers").join(id.as_str())
}

/// `None` if it was never started.
pub(super) fn load(directory: &Path) -> Option<Kept> {
    serde_json::from_slice(&std::fs::read(directory.join("state.json")).ok()?).ok()
}

/// Looks at a running container, on a thread that may wait.
pub(super) async fn look<T: Send + 'static>(
    state_dir: &Path,
    id: &ContainerId,
    look: impl FnOnce(&Kept) -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let not_running = || Error::conflict(format!("container {id} is not running"));
    let directory = directory(state_dir, id);
    let ended = directory.join("exit.json");
    let read = move || load(&directory).filter(|_| !ended.exists()).map(|kept| (look(&kept), ended.exists()));
    let failed = || Error::retryable(format!("looking at container {}", id.short()));
    match tokio::task::spawn_blocking(read).await.map_err(|error| failed().because(error))? {
        None => Err(not_running()),
        Some((Ok(found), _)) => Ok(found),
        // It ended while we looked: its group is going away.
        Some((Err(_), true)) => Err(not_running()),
        Some((Err(error), false)) if error.raw_os_error() == Some(libc::ENODEV) => Err(not_running()),
        Some((Err(error), false)) if error.kind() == std::io::ErrorKind::NotFound => Err(not_running()),
        Some((Err(error), false)) => Err(failed().because(error)),
    }
}
