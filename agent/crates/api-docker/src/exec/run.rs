//! Starting a process and connecting a client with it.

use super::registry::Exec;
use super::{announce, size, usable};
use crate::State;
use crate::connection::{self, Reader, Writer};
use crate::descriptor::Descriptor;
use crate::error::{Answer, ApiError};
use crate::logs::content_type;
use crate::pump::{self, Departure, Streams, Wanted};
use crate::request::{self, ExecStart};
use crate::version::Spoken;
use axum::Extension;
use axum::extract::{Path, Request, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use http_body_util::{BodyExt as _, Limited};
use hull_model::ContainerRecord;
use hull_ports::{ErrorClass, ExecIo, ExecSpec};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// Bytes of a start request's document.
const START_LIMIT: usize = 64 << 10;

/// `POST /exec/{id}/start`
pub(crate) async fn start(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    Path(id): Path<String>,
    mut request: Request,
) -> Answer {
    let exec = state.execs.get(&id)?;
    let upgrade = connection::asked(&mut request);
    // The document is read to its end before the connection turns raw: its bytes are not the process's.
    let body = Limited::new(request.into_body(), START_LIMIT).collect().await;
    let too_large = |e| ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("reading the request: {e}"));
    let body = body.map_err(too_large)?.to_bytes();
    let asked: ExecStart = request::optional_document(&body)?;
    let launched = launch(&state, &exec, asked.console_size.and_then(size)).await;
    if asked.detach {
        if let Some(streams) = launched.map_err(Failure::told)? {
            tokio::spawn(drain(exec, streams));
        }
        return Ok(StatusCode::OK.into_response());
    }
    let launched = match launched {
        // Before the connection is raw there is still a status to say it with.
        Err(failure) if failure.early => return Err(failure.error),
        other => other,
    };
    let framed = !exec.spec.tty;
    let mut response = connection::answer(upgrade, move |reader, writer| async move {
        match launched {
            Ok(Some(streams)) => connect(state, exec, streams, reader, writer).await,
            Ok(None) => pump::farewell(writer, "", framed).await,
            Err(failure) => {
                let text = failure.error.message + "\r\n";
                pump::farewell(writer, &text, framed).await;
            }
        }
    });
    response.headers_mut().insert(CONTENT_TYPE, content_type(framed, spoken));
    Ok(response)
}

/// Why a process does not run.
struct Failure {
    error: ApiError,
    /// It was not even tried.
    early: bool,
}

impl Failure {
    fn told(self) -> ApiError {
        self.error
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { error, early: true }
    }
}

async fn launch(
    state: &State,
    exec: &Arc<Exec>,
    console: Option<(u16, u16)>,
) -> Result<Option<Streams>, Failure> {
    let record = state.engine.find(exec.container.as_str()).await.map_err(ApiError::from)?;
    let size = {
        let mut progress = exec.progress();
        if exec.ended.borrow().is_some() {
            let why = format!("exec command {} has already run", exec.id);
            return Err(ApiError::conflict(why).into());
        }
        if progress.started {
            let why = format!("exec command {} is already running", exec.id);
            return Err(ApiError::conflict(why).into());
        }
        usable(&record, record.id.as_str())?;
        progress.started = true;
        console.or(progress.size)
    };
    announce(state, &record, "exec_start", exec);
    let spec = ExecSpec { size: size.or(exec.spec.size), ..exec.spec.clone() };
    match state.engine.drivers().runtime.exec(&exec.container, &spec).await {
        Ok(io) => {
            tokio::spawn(watch(state.clone(), record, exec.clone(), io.exec.clone()));
            Ok(Some(streams(exec, io)?))
        }
        Err(error) => {
            let (code, error) = failed(error);
            exec.ended.send_replace(Some(code));
            announce(state, &record, "exec_die", exec);
            Err(Failure { error, early: false })
        }
    }
}

/// What a process that could not be executed ends with, and Docker's words for it.
fn failed(error: hull_ports::Error) -> (i32, ApiError) {
    let code = match error.class {
        ErrorClass::NotFound => 127,
        ErrorClass::Permanent => 126,
        ErrorClass::Retryable | ErrorClass::Conflict => 125,
    };
    // Clients match on the end of it: no advice is added.
    let message = error.chain();
    let told = ApiError { message, ..ApiError::from(error) };
    let already = told.message.starts_with("OCI runtime");
    let message = match code {
        126 | 127 if !already => {
            format!(
                "OCI runtime exec failed: exec failed: unable to start container process: {}",
                told.message
            )
        }
        _ => told.message,
    };
    let status = if code == 125 { told.status } else { StatusCode::BAD_REQUEST };
    (code, ApiError::new(status, message))
}

/// Waits for the end of a process, and remembers how it ended.
async fn watch(state: State, record: ContainerRecord, exec: Arc<Exec>, name: String) {
    let code = match state.engine.drivers().runtime.exec_wait(&name).await {
        Ok(exit) => exit.code,
        Err(error) => {
            tracing::warn!(error = error.chain(), "waiting for a process in a container");
            255
        }
    };
    exec.progress().terminal = None;
    exec.ended.send_replace(Some(code));
    announce(&state, &record, "exec_die", &exec);
}

fn streams(exec: &Exec, io: ExecIo) -> Result<Streams, ApiError> {
    let failed = |e: std::io::Error| ApiError::internal(format!("connecting to the process: {e}"));
    let open = |fd: Option<std::os::fd::OwnedFd>| fd.map(Descriptor::new).transpose().map_err(failed);
    let terminal = open(io.terminal)?.map(Arc::new);
    let streams =
        Streams { stdin: open(io.stdin)?, stdout: open(io.stdout)?, stderr: open(io.stderr)?, terminal };
    let mut progress = exec.progress();
    progress.pid = io.pid;
    progress.terminal.clone_from(&streams.terminal);
    // A size that came while it was being started.
    if let (Some(terminal), Some((rows, columns))) = (&streams.terminal, progress.size) {
        _ = terminal.set_size(rows, columns);
    }
    Ok(streams)
}

/// Reads what nobody wants to see, so that the process is never held up.
async fn drain(exec: Arc<Exec>, mut streams: Streams) {
    streams.stdin = None;
    let nothing = Wanted { stdout: false, stderr: false, framed: false };
    let ended = Some(exec.ended.subscribe());
    _ = pump::output(&mut streams, tokio::io::sink(), nothing, ended).await;
}

/// Connects a client with a process until the process has ended, or the client detaches or goes away. The process runs on
/// without it, as in Docker, whose client detaches by going away; only its standard input has ended.
async fn connect(state: State, exec: Arc<Exec>, mut streams: Streams, reader: Reader, mut writer: Writer) {
    let stdin = streams.stdin.take();
    let typing = streams.terminal.clone().filter(|_| exec.spec.stdin);
    let keys = typing.is_some().then(|| exec.keys.clone());
    let wanted = Wanted { stdout: exec.stdout, stderr: exec.stderr, framed: !exec.spec.tty };
    let left = {
        let talk = async {
            let said = pump::output(&mut streams, &mut writer, wanted, Some(exec.ended.subscribe())).await;
            if said.is_ok() {
                // It may have closed its output long before its end.
                _ = exec.ended.subscribe().wait_for(Option::is_some).await;
            }
            said.is_err()
        };
        tokio::select! {
            biased;
            broken = talk => broken.then_some(Departure::Gone),
            left = pump::input(reader, stdin, typing, keys) => Some(left),
        }
    };
    // Whether or not the client is still there, it has been told all it will be.
    _ = writer.shutdown().await;
    drop(writer);
    let Some(departure) = left else { return };
    if departure == Departure::Detached
        && let Ok(record) = state.engine.find(exec.container.as_str()).await
    {
        announce(&state, &record, "exec_detach", &exec);
    }
    drain(exec, streams).await;
}
