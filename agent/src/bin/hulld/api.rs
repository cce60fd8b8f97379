//! The API's socket.

use anyhow::{Context as _, Result};
use hull_engine::Engine;
use hull_reconcile::Handle;
use nix::unistd::{Group, chown};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::sync::watch;

/// Listens on the socket, which root and the group `docker`, where there is one, may use. The caller holds the claim on
/// the agent's directories, so whatever is at the path is left over.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing the old socket {}", path.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
    let group = Group::from_name("docker").context("looking up group docker")?.map(|g| g.gid);
    chown(path, None, group).with_context(|| format!("giving {} to group docker", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .with_context(|| format!("closing {} to others", path.display()))?;
    Ok(listener)
}

/// Serves the API until the agent ends.
pub(crate) async fn serve(
    listener: UnixListener,
    engine: Engine,
    handle: Handle,
    version: String,
    reset: watch::Sender<bool>,
) {
    let status: hull_api_docker::StatusSource = Arc::new(move || {
        let handle = handle.clone();
        Box::pin(async move { handle.status().await })
    });
    let shutdown = Arc::new(move || _ = reset.send_replace(true));
    let api = hull_api_docker::Api { engine, status, version, shutdown };
    if let Err(error) = hull_api_docker::serve(listener, api).await {
        tracing::error!(error = &error as &dyn std::error::Error, "serving the API");
    }
}
