//! Further processes in running containers.

mod registry;
mod run;

pub(crate) use registry::Execs;
pub(crate) use run::start;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::escape;
use crate::query::Query;
use crate::request::{self, ExecCreate};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use hull_model::{ContainerId, ContainerRecord, ContainerState};
use hull_ports::ExecSpec;
use registry::{Exec, Wish};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn size(size: request::Size) -> Option<(u16, u16)> {
    let [rows, columns] = size.0.map(|n| u16::try_from(n).unwrap_or(u16::MAX));
    (rows > 0 && columns > 0).then_some((rows, columns))
}

/// `POST /containers/{id}/exec`
pub(crate) async fn create(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    request::body(&headers, &body)?;
    let wish = wish(request::document(&body)?)?;
    let record = state.engine.find(&id).await?;
    usable(&record, &id)?;
    let exec_id: String = state.engine.drivers().entropy.bytes().iter().map(|b| format!("{b:02x}")).collect();
    let exec = Exec::new(exec_id, record.id.clone(), wish);
    announce(&state, &record, "exec_create", &exec);
    let answer = Json(json!({ "Id": exec.id }));
    state.execs.add(exec);
    Ok((StatusCode::CREATED, answer).into_response())
}

/// Tells that something happened to a process, with its command where Docker says it.
fn announce(state: &State, record: &ContainerRecord, action: &str, exec: &Exec) {
    let mut attributes = BTreeMap::from([("execID".to_owned(), exec.id.clone())]);
    let action = match (action, *exec.ended.borrow()) {
        ("exec_die", code) => {
            attributes.insert("exitCode".to_owned(), code.unwrap_or_default().to_string());
            action.to_owned()
        }
        ("exec_detach", _) => action.to_owned(),
        _ => format!("{action}: {}", exec.spec.args.join(" ")),
    };
    state.engine.announce_container(record, &action, attributes);
}

fn wish(asked: ExecCreate) -> Result<Wish, ApiError> {
    let args = asked.cmd.map(|w| w.0).unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(ApiError::bad_request("No exec command specified"));
    }
    let env = asked.env.unwrap_or_default();
    if let Some(bad) = env.iter().find(|e| e.is_empty() || e.starts_with('=')) {
        return Err(ApiError::bad_request(format!("invalid environment variable: {bad}")));
    }
    // One without a value says nothing that could be handed on.
    let env = env.into_iter().filter(|e| e.contains('=')).collect();
    if !asked.working_dir.is_empty() && !asked.working_dir.starts_with('/') {
        return Err(ApiError::bad_request(format!("Cwd must be an absolute path: {}", asked.working_dir)));
    }
    let keys = escape::parse(&asked.detach_keys)
        .map_err(|_| ApiError::internal(format!("Invalid escape keys ({}) provided", asked.detach_keys)))?;
    let asked_keys = (!asked.detach_keys.is_empty()).then(|| keys.clone());
    let spec = ExecSpec {
        args,
        env,
        cwd: Some(asked.working_dir).filter(|d| !d.is_empty()).map(Into::into),
        user: asked.user,
        tty: asked.tty,
        size: asked.console_size.and_then(size).filter(|_| asked.tty),
        stdin: asked.attach_stdin,
        privileged: asked.privileged,
    };
    Ok(Wish { spec, stdout: asked.attach_stdout, stderr: asked.attach_stderr, keys, asked_keys })
}

/// Whether a process can be run in a container, in Docker's words.
fn usable(record: &ContainerRecord, text: &str) -> Result<(), ApiError> {
    match record.state {
        ContainerState::Running { paused: false, .. } => Ok(()),
        ContainerState::Running { .. } => {
            let why = format!("Container {text} is paused, unpause the container before exec");
            Err(ApiError::conflict(why))
        }
        _ => Err(not_running(&record.id)),
    }
}

fn not_running(id: &ContainerId) -> ApiError {
    ApiError::conflict(format!("container {id} is not running"))
}

/// A terminal's size from a query, rows and columns.
pub(crate) fn dimensions(query: &Query) -> Result<(u16, u16), ApiError> {
    let number = |key: &str, what: &str| {
        let text = query.text(key).unwrap_or_default();
        let why = match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            true => "value out of range",
            false => "invalid syntax",
        };
        let bad = || ApiError::bad_request(format!("invalid resize {what} {text:?}: {why}"));
        text.parse::<u32>().map(|n| u16::try_from(n).unwrap_or(u16::MAX)).map_err(|_| bad())
    };
    Ok((number("h", "height")?, number("w", "width")?))
}

/// `POST /exec/{id}/resize`
pub(crate) async fn resize(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let (rows, columns) = dimensions(&Query::parse(query.as_deref()))?;
    let exec = state.execs.get(&id)?;
    let terminal = {
        let mut progress = exec.progress();
        if exec.ended.borrow().is_some() {
            return Err(match progress.pid {
                0 => ApiError::bad_request("exec process is not started"),
                _ => ApiError::not_found(format!("NotFound: process does not exist {id}: not found")),
            });
        }
        // Before it is started it is remembered: clients do not wait in between.
        progress.size = Some((rows, columns));
        progress.terminal.clone()
    };
    if let Some(terminal) = terminal {
        let failed = |e| ApiError::internal(format!("resizing the terminal: {e}"));
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
    let keys = exec.asked_keys.as_ref().map(|k| base64::engine::general_purpose::STANDARD.encode(k));
    let body = json!({
        "ID": exec.id,
        "Running": exec.running(),
        "ExitCode": code,
        "ProcessConfig": process,
        "OpenStdin": exec.spec.stdin,
        "OpenStderr": exec.stderr,
        "OpenStdout": exec.stdout,
        "CanRemove": false,
        "ContainerID": exec.container,
        "DetachKeys": keys.unwrap_or_default(),
        "Pid": exec.progress().pid,
    });
    Ok(Json(body).into_response())
}
