//! The Docker Engine API over a Unix socket, and Hull's own few routes beside it.
//!
//! This crate owns the translation between Docker's wire shapes and the host's nouns, and nothing else: what happens is
//! asked of the engine. What is not there yet is refused in a sentence; it never answers with a wrong success.

mod changes;
mod containers;
mod create;
mod descriptor;
mod error;
mod escape;
mod events;
mod exec;
mod filters;
pub mod frame;
mod hull;
pub mod human;
mod images;
mod lifecycle;
mod lines;
mod logs;
mod moment;
mod networks;
mod pump;
mod query;
mod request;
mod routes;
mod system;
mod unsupported;
mod version;
mod wait;
mod wire;

pub use version::{MAX_API_VERSION, MIN_API_VERSION};

use events::History;
use exec::Execs;
use futures_util::future::BoxFuture;
use hull_engine::Engine;
use hull_model::HostStatus;
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
    pub(crate) history: History,
}

/// Answers requests on a listening socket until the listener fails. Dropping the future ends it.
pub async fn serve(listener: UnixListener, api: Api) -> std::io::Result<()> {
    let history = History::default();
    let recording = tokio::spawn(history.clone().record(api.engine.subscribe()));
    let state = State {
        engine: api.engine,
        status: api.status,
        execs: Execs::default(),
        version: api.version,
        shutdown: api.shutdown,
        history,
    };
    let served = axum::serve(listener, routes::service(state)).await;
    recording.abort();
    served
}
