//! The connection to the supervisor: made, kept, made again, and the supervisor started if need be.

use super::connection::{Answered, CallError, Connection, Told};
use crate::failure::{Class, Failure};
use crate::protocol::{Answer, Exit, Request};
use crate::supervisor::SOCKET;
use futures_util::future::BoxFuture;
use hull_model::ContainerId;
use hull_ports::{Error, ErrorClass, Result, RuntimeEvent};
use jiff::Timestamp;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};

/// How long a supervisor may take to answer its socket after it was started, by us or by the service manager.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a supervisor may take to answer what it knows by heart. Longer than to be replaced.
const PROMPT: Duration = Duration::from_secs(15);
/// Where a supervisor that we start writes its messages, in the run directory.
pub(super) const MESSAGES: &str = "runtime.log";

/// The driver for container processes.
///
/// It reconnects when the supervisor was restarted: waiting goes on, and ends of containers that happened meanwhile are told
/// as events. A receiver of events that lags re-reads `list`.
#[derive(Clone)]
pub struct Driver(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) run_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    binary: Option<PathBuf>,
    pub(super) events: broadcast::Sender<RuntimeEvent>,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// Ends that were told, so that none is told twice or forgotten over a reconnection.
    pub(super) told: Mutex<HashSet<(ContainerId, Timestamp)>>,
    /// A reset ended the supervisor: whatever is asked for afterwards must not bring it back.
    pub(super) resting: AtomicBool,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("run_dir", &self.0.run_dir).finish_non_exhaustive()
    }
}

impl Driver {
    /// Connects to the supervisor of `run_dir`. If none listens and `binary` is given, that program is started as the
    /// supervisor, in a session of its own, to outlive us; otherwise the service manager is given time to start it.
    ///
    /// # Errors
    /// `Retryable` if no supervisor answers within ten seconds.
    pub async fn connect(run_dir: &Path, state_dir: &Path, binary: Option<PathBuf>) -> Result<Self> {
        let inner = Arc::new(Inner {
            run_dir: run_dir.to_owned(),
            state_dir: state_dir.to_owned(),
            binary,
            events: broadcast::channel(1024).0,
            connection: tokio::sync::Mutex::default(),
            told: Mutex::default(),
            resting: AtomicBool::new(false),
        });
        inner.connected().await?;
        Ok(Self(inner))
    }
}

impl Inner {
    /// The connection, made anew if it was lost.
    pub(super) async fn connected(self: &Arc<Self>) -> Result<Arc<Connection>> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|c| !c.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        if self.resting.load(Ordering::Acquire) {
            return Err(Error::conflict("asking the supervisor, which a reset has ended")
                .remedy("start the agent again"));
        }
        let deadline = Instant::now() + PATIENCE;
        let connection = loop {
            match self.subscribe().await? {
                Ok(connection) => break connection,
                // A supervisor that is being killed may still have taken the connection: the next one answers.
                Err(CallError::Lost) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                Err(error) => return Err(unreachable_error(&self.run_dir).because(error)),
            }
        };
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// A new connection that tells what happens. What ended before it did is told now.
    async fn subscribe(self: &Arc<Self>) -> Result<std::result::Result<Arc<Connection>, CallError>> {
        let (tell, told) = mpsc::unbounded_channel();
        let connection = Arc::new(self.open(tell).await?);
        if let Err(error) = connection.call(Request::Subscribe).await {
            return Ok(Err(error));
        }
        match connection.call(Request::List).await {
            Ok((Answer::Records(records), _)) => {
                let ended = records.into_iter().filter_map(|r| r.exit.map(|exit| (r.id, exit)));
                ended.for_each(|(id, exit)| self.tell(id, exit));
            }
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
        tokio::spawn(keep(Arc::downgrade(self), told));
        Ok(Ok(connection))
    }

    async fn open(&self, tell: mpsc::UnboundedSender<Told>) -> Result<Connection> {
        let socket = self.run_dir.join(SOCKET);
        let deadline = Instant::now() + PATIENCE;
        let mut started: Option<Instant> = None;
        loop {
            let error = match Connection::open(&socket, tell.clone()).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            if Instant::now() >= deadline {
                return Err(unreachable_error(&self.run_dir).because(error));
            }
            // One that was just killed may still hold the lock against the next one.
            if let Some(binary) = &self.binary
                && started.is_none_or(|at| at.elapsed() > Duration::from_secs(1))
            {
                self.start_supervisor(binary)?;
                started = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Starts the supervisor. Another one that came first wins by its lock, and ours ends by itself.
    fn start_supervisor(&self, binary: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::retryable(format!("starting the supervisor {}", binary.display())).because(error)
        };
        std::fs::create_dir_all(&self.run_dir).map_err(failed)?;
        let messages = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.run_dir.join(MESSAGES))
            .map_err(failed)?;
        let mut child = Command::new(binary)
            .arg("serve")
            .arg("--run-dir")
            .arg(&self.run_dir)
            .arg("--state-dir")
            .arg(&self.state_dir)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .map_err(failed)?;
        // Somebody has to take its status; it usually ends after us.
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    fn tell(&self, id: ContainerId, exit: Exit) {
        let new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((id.clone(), exit.at));
        if new {
            // Nobody listens: then nobody misses it.
            let _ = self.events.send(RuntimeEvent::Exited { id, exit: exit.status, at: exit.at });
        }
    }

    pub(super) async fn call(self: &Arc<Self>, request: Request) -> Result<Answered> {
        let connection = self.connected().await?;
        connection.call(request).await.map_err(|error| match error {
            CallError::Lost => unreachable_error(&self.run_dir).because(error),
            CallError::Unsendable(_) => Error::permanent("asking the supervisor").because(error),
        })
    }

    /// A call that may be repeated. The supervisor may be restarted under it any number of times.
    pub(super) async fn persistent(self: &Arc<Self>, request: Request) -> Result<Answer> {
        loop {
            let connection = self.connected().await?;
            match connection.call(request.clone()).await {
                Ok((Answer::Failed(failure), _)) => return Err(into_error(failure)),
                Ok((answer, _)) => return Ok(answer),
                Err(CallError::Lost) => {}
                Err(error) => return Err(Error::permanent("asking the supervisor").because(error)),
            }
        }
    }
}

impl Inner {
    /// A call that may be repeated and that a healthy supervisor answers at once.
    pub(super) async fn prompt(self: &Arc<Self>, request: Request) -> Result<Answer> {
        let answered = tokio::time::timeout(PROMPT, self.persistent(request)).await;
        answered.unwrap_or_else(|late| Err(unreachable_error(&self.run_dir).because(late)))
    }
}

/// Passes on what the supervisor tells; when the connection is lost, makes another, so that no event is missed.
///
/// Boxed, because making a connection begins with starting this for it.
fn keep(inner: Weak<Inner>, told: mpsc::UnboundedReceiver<Told>) -> BoxFuture<'static, ()> {
    Box::pin(pass_on(inner, told))
}

async fn pass_on(inner: Weak<Inner>, mut told: mpsc::UnboundedReceiver<Told>) {
    while let Some(told) = told.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        match told {
            Told::Exited(id, exit) => inner.tell(id, exit),
            // Nobody listens: then nobody misses it.
            Told::OutOfMemory(id) => drop(inner.events.send(RuntimeEvent::OutOfMemory { id })),
        }
    }
    loop {
        let Some(strong) = inner.upgrade() else { return };
        if strong.resting.load(Ordering::Acquire) {
            return;
        }
        match strong.connected().await {
            Ok(_) => return,
            Err(error) => tracing::warn!(error = %error.chain(), "supervisor"),
        }
        drop(strong);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

pub(super) fn unreachable_error(run_dir: &Path) -> Error {
    Error::retryable(format!("talking to the supervisor in {}", run_dir.display()))
        .remedy("look at the service hull-runtime, or at runtime.log in that directory")
}

/// A cause as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

pub(super) fn into_error(failure: Failure) -> Error {
    let class = match failure.class {
        Class::Retryable => ErrorClass::Retryable,
        Class::Permanent => ErrorClass::Permanent,
        Class::NotFound => ErrorClass::NotFound,
        Class::Conflict => ErrorClass::Conflict,
    };
    let error = Error::new(class, failure.doing).remedy(failure.remedy);
    if failure.reason.is_empty() { error } else { error.because(Reason(failure.reason)) }
}

pub(super) fn unexpected(answer: &Answer) -> Error {
    let kind = format!("{answer:?}");
    let kind = kind.split(['(', ' ']).next().unwrap_or_default().to_owned();
    Error::retryable("talking to the supervisor")
        .because(Reason(format!("it gave an answer of another kind: {kind}")))
}
