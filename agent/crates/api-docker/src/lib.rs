//! The Docker Engine API over a Unix socket, and Hull's own few routes beside it.
//!
//! This crate owns the translation between Docker's wire shapes and the host's nouns, and nothing else: what happens is
//! asked of the engine. What is not there yet is refused in a sentence; it never answers with a wrong success.

mod archive;
mod attach;
mod changes;
mod commit;
mod connection;
mod container_routes;
mod containers;
mod create;
mod descriptor;
mod error;
mod escape;
mod events;
mod exec;
mod filters;
pub mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hull;
pub mod human;
mod images;
mod lifecycle;
mod lines;
mod logs;
mod moment;
mod networks;
mod owner;
mod prune;
mod pump;
mod query;
mod request;
mod routes;
mod stats;
mod system;
mod top;
mod unsupported;
mod update;
mod version;
mod volumes;
mod wait;
mod wire;

pub use axum::serve::Listener;
pub use version::{MAX_API_VERSION, MIN_API_VERSION};

use events::Listeners;
use exec::Execs;
use futures_util::future::BoxFuture;
use hull_engine::Engine;
use hull_model::HostStatus;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::UnixListener;

/// Writes the host's status whenever it is asked for.
pub type StatusSource = Arc<dyn Fn() -> BoxFuture<'static, HostStatus> + Send + Sync>;

/// What the routes answer from.
#[derive(Clone)]
pub struct Api {
    /// Objects and what is done to them.
    pub engine: Engine,
    /// The host's status.
    pub status: StatusSource,
    /// Version of the agent.
    pub version: String,
    /// Where images, volumes and logs are.
    pub root: PathBuf,
    /// Called once everything was removed on request and that was answered: the agent should exit.
    pub shutdown: Arc<dyn Fn() + Send + Sync>,
}

/// The routes with what they remember between requests.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) status: StatusSource,
    pub(crate) version: String,
    pub(crate) shutdown: Arc<dyn Fn() + Send + Sync>,
    pub(crate) execs: Execs,
    pub(crate) removals: lifecycle::Removals,
    pub(crate) listeners: Listeners,
    pub(crate) root: PathBuf,
}

/// What answers requests: one for all the sockets of an agent.
#[derive(Clone)]
pub struct Service(axum::Router);

impl Service {
    /// Makes the routes. What they remember between requests is theirs alone.
    pub fn new(api: Api) -> Self {
        let state = State {
            engine: api.engine,
            status: api.status,
            execs: Execs::default(),
            removals: lifecycle::Removals::default(),
            version: api.version,
            shutdown: api.shutdown,
            listeners: Listeners::default(),
            root: api.root,
        };
        Self(routes::service(state))
    }

    /// Answers requests on a listening socket until it fails. Dropping the future ends it.
    pub async fn serve<L>(self, listener: L) -> std::io::Result<()>
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        axum::serve(listener, self.0).await
    }
}

/// Answers requests on a Unix socket until it fails. Dropping the future ends it.
pub async fn serve(listener: UnixListener, api: Api) -> std::io::Result<()> {
    Service::new(api).serve(listener).await
}
