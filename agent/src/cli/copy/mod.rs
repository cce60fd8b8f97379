//! `hull cp`: files between a container and this machine.

mod local;
mod paths;

use crate::cli::client::{Client, name, query, streamed};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, archives, human, progress, terminal};
use base64::Engine as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Response};
use paths::{Destination, Rebase, Source};
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;

/// Bits of Go's file modes.
const GO_DIR: u64 = 1 << 31;
const GO_SYMLINK: u64 = 1 << 27;
/// Devices, pipes, sockets and what Go calls irregular.
const GO_DEVICE: u64 = 1 << 26;
const GO_IRREGULAR: u64 = 1 << 25 | 1 << 24 | 1 << 19;

/// Copies, in the direction that the arguments say.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let (from, to) = (given.first(), given.second().unwrap_or_default());
    match (paths::split(from), paths::split(to)) {
        ((Some(_), _), (Some(_), _)) => Err(Failure::new("copying between containers is not supported")),
        ((Some(container), path), (None, _)) => out_of(context, given, container, path, to).await,
        ((None, _), (Some(container), path)) => into(context, given, from, container, path).await,
        ((None, _), (None, _)) => Err(Failure::new("must specify at least one container source")),
    }
}

/// What a container has at a path.
struct Stat {
    mode: u64,
    target: String,
}

fn stat_of(response: &Response<Incoming>) -> Option<Stat> {
    let header = response.headers().get("x-docker-container-path-stat")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(header.as_bytes()).ok()?;
    let stat: Value = serde_json::from_slice(&bytes).ok()?;
    Some(Stat {
        mode: stat["mode"].as_u64()?,
        target: stat["linkTarget"].as_str().unwrap_or_default().to_owned(),
    })
}

fn archive_path(container: &str, path: &str) -> String {
    format!("/containers/{}/archive{}", name(container), query([("path", path.to_owned())]))
}

async fn stat(client: &Client, container: &str, path: &str) -> Result<Stat, Failure> {
    let answer =
        client.open(Method::HEAD, &archive_path(container, path), None).await.map_err(|failure| {
            // A HEAD has no body to say why.
            match failure.not_found() {
                true => Failure::from_server(
                    404,
                    &format!("Could not find the file {path} in container {container}"),
                ),
                false => failure,
            }
        })?;
    stat_of(&answer).ok_or_else(|| Failure::new(format!("the agent does not say what {path} is")))
}

fn told(given: &Given, bytes: u64, place: &str) -> Outcome {
    let quiet = if given.changed("quiet") { given.on("quiet") } else { !terminal::stderr_is_terminal() };
    if !quiet {
        writeln!(std::io::stderr(), "Successfully copied {} to {place}", human::size(bytes))?;
    }
    Ok(0)
}

async fn out_of(context: &Context, given: &Given, container: &str, path: &str, to: &str) -> Outcome {
    let client = &context.client;
    let destination = if to == "-" { None } else { Some(paths::from_here(to)) };
    if let Some(destination) = &destination {
        archives::check_path(&paths::without_slash(destination))
            .map_err(|why| Failure::new(format!("invalid output path: {why}")))?;
    }
    let (mut path, mut rename) = (path.to_owned(), None);
    if given.on("follow-link") {
        let found = stat(client, container, &path).await?;
        if found.mode & GO_SYMLINK != 0 {
            let (target, name) = paths::link_target(&path, &found.target);
            (path, rename) = (target, name);
        }
    }
    let answer = client.open(Method::GET, &archive_path(container, &path), None).await?;
    let Some(destination) = destination else {
        if terminal::stdout_is_terminal() {
            return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
        }
        return progress::copy(answer, std::io::stdout().lock()).await;
    };
    let is_dir = stat_of(&answer).is_some_and(|s| s.mode & GO_DIR != 0);
    let source = Source { path, is_dir, rename: rename.clone() };
    let first = rename.map(|new| Rebase { old: paths::base(&source.path), new });
    let place = local::destination(&destination)?;
    let (folder, second) = paths::place(&source, &place)?;
    let bytes = receive(answer, folder.into(), [first, second].into_iter().flatten().collect()).await?;
    told(given, bytes, &destination)
}

/// Unpacks an answer on a thread of its own while it comes.
async fn receive(answer: Response<Incoming>, folder: PathBuf, rebases: Vec<Rebase>) -> Result<u64, Failure> {
    let (reader, mut writer) = std::io::pipe()?;
    let unpacking = tokio::task::spawn_blocking(move || local::unpack(reader, &folder, &rebases));
    let mut body = answer.into_body();
    let mut bytes = 0;
    while let Some(part) = body.frame().await {
        let part = part.map_err(|e| Failure::new(format!("the answer broke off: {e}")))?;
        let Some(piece) = part.into_data().ok() else { continue };
        bytes += piece.len() as u64;
        let sent = tokio::task::spawn_blocking(move || writer.write_all(&piece).map(|()| writer)).await;
        match sent {
            Ok(Ok(back)) => writer = back,
            // Who unpacks has stopped: it says why.
            _ => return unpacked(unpacking, bytes).await,
        }
    }
    drop(writer);
    unpacked(unpacking, bytes).await
}

async fn unpacked(task: tokio::task::JoinHandle<Result<(), Failure>>, bytes: u64) -> Result<u64, Failure> {
    task.await.map_err(|e| Failure::new(format!("unpacking failed: {e}")))?.map(|()| bytes)
}

async fn into(context: &Context, given: &Given, from: &str, container: &str, path: &str) -> Outcome {
    let client = &context.client;
    let mut destination = Destination { path: path.to_owned(), exists: false, is_dir: false };
    let mut found = stat(client, container, path).await;
    if let Ok(link) = &found
        && link.mode & GO_SYMLINK != 0
    {
        let (target, _) = paths::link_target(path, &link.target);
        destination.path = target;
        found = stat(client, container, &destination.path).await;
    }
    // What is not there yet will be made; what else is wrong is said when the archive comes.
    if let Ok(found) = found {
        if found.mode & (GO_DEVICE | GO_IRREGULAR) != 0 {
            let what = if found.mode & GO_DEVICE != 0 { "got a device" } else { "got an irregular file" };
            return Err(Failure::new(format!(
                "destination \"{container}:{path}\" must be a directory or a regular file: {what}"
            )));
        }
        (destination.exists, destination.is_dir) = (true, found.mode & GO_DIR != 0);
    }
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (folder, body) = if from == "-" {
        if !destination.is_dir {
            return Err(Failure::new(format!("destination \"{container}:{path}\" must be a directory")));
        }
        (destination.path, streamed(tokio::io::stdin()))
    } else {
        let source = local::source(&paths::from_here(from), given.on("follow-link"))?;
        let (folder, rebase) = paths::place(&source, &destination)?;
        let (reader, writer) = std::io::pipe()?;
        let receiver = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
        let counting = local::Counted { inner: writer, count: count.clone() };
        tokio::task::spawn_blocking(move || local::pack(&source, rebase.as_ref(), counting));
        (folder, streamed(receiver))
    };
    let mut pairs = vec![("path", folder), ("noOverwriteDirNonDir", "true".to_owned())];
    if given.on("archive") {
        pairs.push(("copyUIDGID", "true".to_owned()));
    }
    let path_and_query = format!("/containers/{}/archive{}", name(container), query(pairs));
    let headers = [("content-type", "application/x-tar".to_owned())];
    client.submit(Method::PUT, &path_and_query, &headers, body).await?;
    told(given, count.load(std::sync::atomic::Ordering::Relaxed), &format!("{container}:{path}"))
}
