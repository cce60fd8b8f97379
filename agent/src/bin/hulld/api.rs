//! The API's doors.

use crate::tcp::Proven;
use anyhow::{Context as _, Result, bail};
use hull_api_docker::{Api, Service};
use hull_engine::Engine;
use hull_reconcile::Handle;
use nix::unistd::{Group, chown};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::sync::watch;

/// Listens on the socket, which root and the group `docker`, where there is one, may use. What is left over at the path is
/// replaced; somebody who listens there is left alone.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("another program answers on {}; end it first, or use another --docker-socket", path.display());
    }
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

/// Where the API is served.
pub(crate) struct Doors {
    pub(crate) socket: UnixListener,
    pub(crate) tcp: Option<Proven>,
}

/// Serves the API until the agent ends.
pub(crate) async fn serve(
    doors: Doors,
    engine: Engine,
    handle: Handle,
    root: PathBuf,
    version: String,
    reset: watch::Sender<bool>,
) {
    let status: hull_api_docker::StatusSource = Arc::new(move || {
        let handle = handle.clone();
        Box::pin(async move { handle.status().await })
    });
    let shutdown = Arc::new(move || _ = reset.send_replace(true));
    let service = Service::new(Api { engine, status, version, root, shutdown });
    let over_tcp = async {
        match doors.tcp {
            Some(proven) => service.clone().serve(proven).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = service.clone().serve(doors.socket) => ended,
        ended = over_tcp => ended,
    };
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "serving the API");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_taken_over_only_from_nobody() {
        let path = std::env::temp_dir().join(format!("hulld-api-{}.sock", std::process::id()));
        let first = listen(&path).unwrap();
        let refused = listen(&path).unwrap_err().to_string();
        assert!(refused.contains("another program answers"), "{refused}");
        drop(first);
        listen(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
