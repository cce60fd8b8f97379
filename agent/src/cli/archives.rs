//! Images and containers as archives: save, load, import, export.

use crate::cli::client::{Body, is_messages, name, query, streamed, whole};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::progress::{self, Show};
use crate::cli::{Context, create, reference, terminal};
use hyper::{Method, Response, body::Incoming};
use std::io::IsTerminal as _;
use std::path::Path;

/// Where an archive goes; asked before the agent is, so that nothing is made in vain.
fn check_output(given: &Given, what: &str) -> Result<(), Failure> {
    let Some(path) = given.some("output").map(Path::new) else {
        return match std::io::stdout().is_terminal() {
            true => Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect")),
            false => Ok(()),
        };
    };
    check_path(path).map_err(|why| {
        let why = match folder(path) {
            folder if !folder.is_dir() => format!("stat {}: no such file or directory", folder.display()),
            _ => why,
        };
        Failure::new(format!("{what}: invalid output path: {why}"))
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Why no file can be written at a path: its folder is not there, or something that is no file is at its place.
pub(super) fn check_path(path: &Path) -> Result<(), String> {
    if !folder(path).is_dir() {
        return Err(format!("directory {:?} does not exist", folder(path).display().to_string()));
    }
    use std::os::unix::fs::FileTypeExt as _;
    let refuse =
        |what| Err(format!("{:?} must be a directory or a regular file: {what}", path.display().to_string()));
    match std::fs::metadata(path).map(|m| m.file_type()) {
        Ok(kind) if kind.is_char_device() || kind.is_block_device() => refuse("got a device"),
        Ok(kind) if kind.is_fifo() || kind.is_socket() => refuse("got an irregular file"),
        _ => Ok(()),
    }
}

/// Writes an answer to standard output, or whole or not at all to a file.
async fn write(answer: Response<Incoming>, given: &Given) -> Outcome {
    let Some(path) = given.some("output").map(Path::new) else {
        return progress::copy(answer, std::io::stdout().lock()).await;
    };
    let mut hidden = std::ffi::OsString::from(".tmp-");
    hidden.push(path.file_name().unwrap_or_default());
    hidden.push(format!("-{}", std::process::id()));
    let new = path.with_file_name(hidden);
    let result = async {
        let mut file = std::fs::File::create(&new)
            .map_err(|e| Failure::new(format!("{} cannot be written: {e}", new.display())))?;
        progress::copy(answer, &mut file).await?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        Ok(0)
    };
    let result = result.await;
    if result.is_err() {
        // Half an archive helps nobody.
        _ = std::fs::remove_file(&new);
    }
    result
}

/// `hull save`
pub(crate) async fn save(context: &Context, given: &Given) -> Outcome {
    check_output(given, "failed to save image")?;
    let mut pairs: Vec<(&str, String)> = given.args.iter().map(|image| ("names", image.clone())).collect();
    if let Some(platform) = given.some("platform") {
        pairs.push(("platform", create::platform_document(platform)?.to_string()));
    }
    let answer = context.client.open(Method::GET, &format!("/images/get{}", query(pairs)), None).await?;
    write(answer, given).await
}

/// `hull export`
pub(crate) async fn export(context: &Context, given: &Given) -> Outcome {
    check_output(given, "failed to export container")?;
    let path = format!("/containers/{}/export", name(given.first()));
    write(context.client.open(Method::GET, &path, None).await?, given).await
}

/// The bytes of a file, or of standard input.
async fn input(path: Option<&str>) -> Result<Body, Failure> {
    let Some(path) = path else { return Ok(streamed(tokio::io::stdin())) };
    let opened = tokio::fs::File::open(path).await;
    let why = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => e.to_string(),
    };
    opened.map(streamed).map_err(|e| Failure::new(format!("open {path}: {}", why(e))))
}

const ARCHIVE: (&str, &str) = ("content-type", "application/x-tar");

/// `hull load`
pub(crate) async fn load(context: &Context, given: &Given) -> Outcome {
    let file = given.some("input");
    if file.is_none() && terminal::stdin_is_terminal() {
        return Err(Failure::new("requested load from stdin, but stdin is empty"));
    }
    let body = input(file).await?;
    let quiet = given.on("quiet") || !std::io::stdout().is_terminal();
    let mut pairs = vec![("quiet", u8::from(quiet).to_string())];
    if let Some(platform) = given.some("platform") {
        pairs.push(("platform", create::platform_document(platform)?.to_string()));
    }
    let headers = [(ARCHIVE.0, ARCHIVE.1.to_owned())];
    let path = format!("/images/load{}", query(pairs));
    let answer = context.client.submit(Method::POST, &path, &headers, body).await?;
    if !is_messages(&answer) {
        return progress::copy(answer, std::io::stdout().lock()).await;
    }
    progress::follow(answer, Show::OnStdout).await.map(|()| 0)
}

/// `hull import`
pub(crate) async fn import(context: &Context, given: &Given) -> Outcome {
    let source = given.first();
    let (repository, tag) = reference::split(given.second().unwrap_or_default())?;
    let (from, body) = match source {
        "-" => ("-", input(None).await?),
        url if url.contains("://") => (url, whole("")),
        file => ("-", input(Some(file)).await?),
    };
    let mut pairs = vec![("fromSrc", from.to_owned()), ("repo", repository)];
    pairs.extend(Some(tag).filter(|tag| !tag.is_empty()).map(|tag| ("tag", tag)));
    pairs.extend(given.some("message").map(|m| ("message", m.to_owned())));
    pairs.extend(create::platform(given).map(|p| ("platform", p.to_lowercase())));
    pairs.extend(given.list("change").into_iter().map(|c| ("changes", c.to_owned())));
    let headers = [(ARCHIVE.0, ARCHIVE.1.to_owned())];
    let path = format!("/images/create{}", query(pairs));
    let answer = context.client.submit(Method::POST, &path, &headers, body).await?;
    progress::follow(answer, Show::OnStdout).await.map(|()| 0)
}
