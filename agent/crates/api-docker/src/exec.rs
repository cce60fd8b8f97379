//! Further processes in running containers.

use crate::State;
use crate::descriptor::Descriptor;
use crate::error::{Answer, ApiError};
use crate::escape;
use crate::frame::{self, Channel};
use crate::logs::content_type;
use crate::pump::{self, Streams, Wanted};
use crate::query::Query;
use crate::version::Spoken;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, Request, State as Shared};
use axum::http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http_body_util::{BodyExt as _, Limited};
use hull_model::ContainerId;
use hull_ports::{ErrorClass, ExecIo, ExecSpec};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

/// How many ended processes are remembered, for clients that ask for their exit code late.
const KEPT: usize = 512;
/// Bytes of a start request's document.
const START_LIMIT: usize = 64 << 10;

/// The processes that clients asked for.
#[derive(Clone, Default)]
pub(crate) struct Execs(Arc<Mutex<VecDeque<Arc<Exec>>>>);

struct Exec {
    id: String,
    container: ContainerId,
    spec: ExecSpec,
    wanted: Wanted,
    keys: Vec<u8>,
    progress: Mutex<Progress>,
    /// The exit code, once there is one.
    ended: watch::Sender<Option<i32>>,
}

#[derive(Default)]
struct Progress {
    started: bool,
    pid: i32,
    size: Option<(u16, u16)>,
    terminal: Option<Arc<Descriptor>>,
}

impl Exec {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> bool {
        self.progress().started && self.ended.borrow().is_none()
    }
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, exec: Exec) {
        let mut execs = self.lock();
        while execs.len() >= KEPT {
            // Those that run are never forgotten; one more than that many is no harm.
            let Some(oldest) = execs.iter().position(|e| !e.running()) else { break };
            execs.remove(oldest);
        }
        execs.push_back(Arc::new(exec));
    }

    fn get(&self, id: &str) -> Result<Arc<Exec>, ApiError> {
        let missing = || ApiError::not_found(format!("No such exec instance: {id}"));
        self.lock().iter().find(|e| e.id == id).cloned().ok_or_else(missing)
    }

    /// Ids of the processes that run in a container.
    pub(crate) fn of(&self, container: &ContainerId) -> Vec<String> {
        self.lock()
            .iter()
            .filter(|e| e.container == *container && e.running())
            .map(|e| e.id.clone())
            .collect()
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct CreateRequest {
    user: String,
    privileged: bool,
    tty: bool,
    console_size: Option<[u16; 2]>,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    detach_keys: String,
    env: Option<Vec<String>>,
    working_dir: String,
    cmd: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StartRequest {
    detach: bool,
    tty: bool,
    console_size: Option<[u16; 2]>,
}

fn document<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| ApiError::bad_request(format!("invalid JSON: {e}")))
}

fn size([rows, columns]: [u16; 2]) -> Option<(u16, u16)> {
    (rows > 0 && columns > 0).then_some((rows, columns))
}

/// `POST /containers/{id}/exec`
pub(crate) async fn create(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    let request: CreateRequest = document(&body)?;
    let args = request.cmd.unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(ApiError::bad_request("No exec command specified"));
    }
    let env = request.env.unwrap_or_default();
    if let Some(bad) = env.iter().find(|e| !e.contains('=') || e.starts_with('=')) {
        return Err(ApiError::bad_request(format!(
            "invalid environment variable: {bad:?}; write it like NAME=value"
        )));
    }
    if !request.working_dir.is_empty() && !request.working_dir.starts_with('/') {
        return Err(ApiError::bad_request(format!(
            "the working directory {:?} must be an absolute path",
            request.working_dir
        )));
    }
    let keys = escape::parse(&request.detach_keys).map_err(|why| {
        ApiError::bad_request(format!("Invalid escape keys ({}) provided: {why}", request.detach_keys))
    })?;
    let record = state.engine.find(&id).await?;
    if !record.state.is_running() {
        return Err(not_running(&record.id));
    }
    let exec = Exec {
        id: state.engine.drivers().entropy.bytes().iter().map(|b| format!("{b:02x}")).collect(),
        container: record.id,
        spec: ExecSpec {
            args,
            env,
            cwd: Some(request.working_dir).filter(|d| !d.is_empty()).map(Into::into),
            user: request.user,
            tty: request.tty,
            size: request.console_size.and_then(size),
            stdin: request.attach_stdin,
            privileged: request.privileged,
        },
        wanted: Wanted { stdout: request.attach_stdout, stderr: request.attach_stderr },
        keys,
        progress: Mutex::default(),
        ended: watch::channel(None).0,
    };
    let answer = Json(json!({ "Id": exec.id }));
    state.execs.add(exec);
    Ok((StatusCode::CREATED, answer).into_response())
}

fn not_running(id: &ContainerId) -> ApiError {
    ApiError::conflict(format!("container {id} is not running"))
}

/// `POST /exec/{id}/start`
pub(crate) async fn start(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    Path(id): Path<String>,
    mut request: Request,
) -> Answer {
    let exec = state.execs.get(&id)?;
    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    // The document is read to its end before the connection turns raw: its bytes are not the process's.
    let body = Limited::new(request.into_body(), START_LIMIT).collect().await;
    let body = body.map_err(|e| ApiError::bad_request(format!("reading the request: {e}")))?.to_bytes();
    let request: StartRequest = document(&body)?;
    if request.tty != exec.spec.tty && !request.detach && !body.is_empty() {
        return Err(ApiError::bad_request(
            "a terminal must be asked for when the process is created and when it is started, or at neither",
        ));
    }
    let process = launch(&state, &exec, request.console_size.and_then(size)).await?;
    if request.detach {
        if let Some((streams, _)) = process.streams {
            tokio::spawn(drain(exec, streams));
        }
        return match process.failure {
            Some(failure) => Err(failure),
            None => Ok(StatusCode::OK.into_response()),
        };
    }
    let framed = !exec.spec.tty;
    let mut response = match upgrade {
        Some(upgrade) => {
            tokio::spawn(async move {
                match upgrade.await {
                    Ok(connection) => connect(exec, process, TokioIo::new(connection)).await,
                    Err(error) => tracing::debug!(%error, "a client left before its process was connected"),
                }
            });
            upgraded()
        }
        // A client that does not upgrade sees the output only.
        None => {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            tokio::spawn(connect(exec, process, ours));
            Response::new(Body::from_stream(pieces(theirs)))
        }
    };
    response.headers_mut().insert(CONTENT_TYPE, content_type(framed, spoken));
    Ok(response)
}

fn upgraded() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.extensions_mut().insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("tcp"));
    response
}

fn pieces(from: tokio::io::DuplexStream) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    use tokio::io::AsyncReadExt as _;
    futures_util::stream::unfold(from, |mut from| async move {
        let mut buffer = vec![0; 32 << 10];
        match from.read(&mut buffer).await {
            Ok(0) => None,
            Ok(n) => {
                buffer.truncate(n);
                Some((Ok(buffer.into()), from))
            }
            Err(error) => Some((Err(error), from)),
        }
    })
}

/// A process that was started, or the reason why not, to be told in the stream as Docker does.
struct Launched {
    streams: Option<(Streams, Option<Arc<Descriptor>>)>,
    failure: Option<ApiError>,
}

async fn launch(state: &State, exec: &Arc<Exec>, console: Option<(u16, u16)>) -> Result<Launched, ApiError> {
    let record = state.engine.find(exec.container.as_str()).await?;
    if !record.state.is_running() {
        return Err(not_running(&record.id));
    }
    let size = {
        let mut progress = exec.progress();
        if progress.started {
            return Err(ApiError::conflict(format!("exec command {} is already running", exec.id)));
        }
        progress.started = true;
        console.or(progress.size)
    };
    let spec = ExecSpec { size: size.or(exec.spec.size), ..exec.spec.clone() };
    let runtime = state.engine.drivers().runtime.clone();
    match runtime.exec(&exec.container, &spec).await {
        Ok(io) => {
            let name = io.exec.clone();
            let waiting = exec.clone();
            tokio::spawn(async move {
                let code = match runtime.exec_wait(&name).await {
                    Ok(exit) => exit.code,
                    Err(error) => {
                        tracing::warn!(error = error.chain(), "waiting for a process in a container");
                        255
                    }
                };
                waiting.progress().terminal = None;
                waiting.ended.send_replace(Some(code));
            });
            streams(exec, io)
        }
        Err(error) => {
            let code = match error.class {
                ErrorClass::NotFound => 127,
                ErrorClass::Permanent => 126,
                ErrorClass::Retryable | ErrorClass::Conflict => 125,
            };
            exec.ended.send_replace(Some(code));
            Ok(Launched { streams: None, failure: Some(error.into()) })
        }
    }
}

fn streams(exec: &Exec, io: ExecIo) -> Result<Launched, ApiError> {
    let failed = |e: std::io::Error| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("connecting to the process: {e}"))
    };
    let open = |fd: Option<std::os::fd::OwnedFd>| fd.map(Descriptor::new).transpose().map_err(failed);
    let terminal = open(io.terminal)?.map(Arc::new);
    let streams =
        Streams { stdin: open(io.stdin)?, stdout: open(io.stdout)?, stderr: open(io.stderr)?, terminal };
    let terminal = streams.terminal.clone();
    let mut progress = exec.progress();
    progress.pid = io.pid;
    progress.terminal.clone_from(&terminal);
    // A size that came while it was being started.
    if let (Some(terminal), Some((rows, columns))) = (&terminal, progress.size) {
        _ = terminal.set_size(rows, columns);
    }
    Ok(Launched { streams: Some((streams, terminal)), failure: None })
}

/// Reads what nobody wants to see, so that the process is never held up.
async fn drain(exec: Arc<Exec>, mut streams: Streams) {
    streams.stdin = None;
    let mut ended = exec.ended.subscribe();
    let nothing = Wanted { stdout: false, stderr: false };
    _ = pump::output(&mut streams, tokio::io::sink(), nothing, &mut ended).await;
}

/// Connects a client with a process until the process has ended, or the client detaches.
async fn connect(exec: Arc<Exec>, process: Launched, client: impl AsyncRead + AsyncWrite + Send + 'static) {
    let (reader, mut writer) = tokio::io::split(client);
    let Some((mut streams, terminal)) = process.streams else {
        let message = process.failure.map(|f| f.message).unwrap_or_default() + "\r\n";
        let bytes = message.into_bytes();
        let bytes = if exec.spec.tty { bytes } else { frame::encode(Channel::Stdout, &bytes) };
        // A client that is gone needs no reason any more.
        _ = writer.write_all(&bytes).await;
        _ = writer.shutdown().await;
        return;
    };
    let stdin = streams.stdin.take();
    let typing = terminal.filter(|_| exec.spec.stdin);
    let mut input = tokio::spawn(pump::input(reader, stdin, typing, exec.keys.clone()));
    let detached = {
        let output = say(&exec, &mut streams, &mut writer);
        tokio::pin!(output);
        tokio::select! {
            () = &mut output => false,
            asked = &mut input => {
                let detach = asked.unwrap_or(false);
                if !detach {
                    output.await;
                }
                detach
            }
        }
    };
    input.abort();
    // Whether or not the client is still there, the process has been told all it will be.
    _ = writer.shutdown().await;
    drop(writer);
    if detached {
        drain(exec, streams).await;
    }
}

/// Tells the client all that the process says, until its end. If the client goes away first, the process loses its streams:
/// a terminal hangs up, a pipe breaks.
async fn say(exec: &Exec, streams: &mut Streams, writer: impl AsyncWrite + Unpin) {
    let mut ended = exec.ended.subscribe();
    if pump::output(streams, writer, exec.wanted, &mut ended).await.is_err() {
        *streams = Streams::default();
        exec.progress().terminal = None;
        return;
    }
    // It may have closed its output long before its end.
    _ = ended.wait_for(Option::is_some).await;
}

/// `POST /exec/{id}/resize`
pub(crate) async fn resize(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let missing = |what: &str| {
        ApiError::bad_request(format!("invalid resize {what}: it must be a number from 0 to 65535"))
    };
    let rows: u16 = query.number("h")?.ok_or_else(|| missing("height"))?;
    let columns: u16 = query.number("w")?.ok_or_else(|| missing("width"))?;
    let exec = state.execs.get(&id)?;
    let terminal = {
        let mut progress = exec.progress();
        progress.size = Some((rows, columns));
        progress.terminal.clone()
    };
    if let Some(terminal) = terminal {
        let failed =
            |e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("resizing the terminal: {e}"));
        terminal.set_size(rows, columns).map_err(failed)?;
    }
    Ok(StatusCode::OK.into_response())
}

/// `GET /exec/{id}/json`
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    let exec = state.execs.get(&id)?;
    let code = *exec.ended.borrow();
    let mut process = json!({
        "tty": exec.spec.tty,
        "entrypoint": exec.spec.args[0],
        "arguments": exec.spec.args[1..],
        "privileged": exec.spec.privileged,
    });
    if !exec.spec.user.is_empty() {
        process["user"] = Value::from(exec.spec.user.clone());
    }
    let body = json!({
        "ID": exec.id,
        "Running": exec.running(),
        "ExitCode": code,
        "ProcessConfig": process,
        "OpenStdin": exec.spec.stdin,
        "OpenStderr": exec.wanted.stderr,
        "OpenStdout": exec.wanted.stdout,
        "CanRemove": code.is_some(),
        "ContainerID": exec.container,
        "DetachKeys": "",
        "Pid": exec.progress().pid,
    });
    Ok(Json(body).into_response())
}
