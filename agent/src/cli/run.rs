//! `hull run` and `hull create`.

use crate::cli::attach::{self, Attached};
use crate::cli::client::{Client, query};
use crate::cli::create::{self, Creation};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::stream::{End, Proxy, Streams};
use crate::cli::{Context, progress, reference, say, transfer};
use hyper::Method;
use std::io::Write as _;
use std::path::Path;

/// Exit codes of `run` for a container that did not begin, by what the server says.
fn refusal_code(message: &str) -> i32 {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&[
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
    ]) {
        127
    } else if has(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    }
}

/// Reads the arguments; a name that is none is refused before anything is asked.
fn read(given: &Given) -> Result<Creation, Failure> {
    let creation = create::read(given).and_then(|creation| {
        let id = given.first().strip_prefix("sha256:").unwrap_or(given.first());
        let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_id {
            reference::parse(given.first())?;
        }
        Ok(creation)
    });
    creation.map_err(|failure| failure.of_word(&given.path, 125))
}

/// `hull create`
pub(crate) async fn create(context: &Context, given: &Given) -> Outcome {
    let creation = read(given)?;
    let id = make(context, given, &creation).await?;
    say(&format!("{id}\n"))
}

/// `hull run`
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let detached = given.on("detach");
    let creation = read(given)?;
    if detached && given.changed("attach") {
        return Err(Failure::new("conflicting options: cannot specify both --attach and --detach"));
    }
    let mut streams = creation.streams(context.config.detach_keys(given.text("detach-keys")));
    let mut creation = creation;
    if detached {
        streams = Streams { stdin: false, stdout: false, stderr: false, ..streams };
        creation.detach();
    } else {
        attach::check_terminal(streams.stdin, streams.tty)?;
        creation.set_console_size(crate::cli::terminal::size());
    }
    let proxy = (given.on("sig-proxy") && !detached).then(Proxy::catch).transpose()?;
    let failed = |failure: Failure| failure.of_word(&given.path, 125);
    let id = make(context, given, &creation).await.map_err(failed)?;
    follow(context, given, &id, streams, proxy).await
}

/// Starts a container that was made, with its streams, and tells how it ended.
async fn follow(
    context: &Context,
    given: &Given,
    id: &str,
    streams: Streams<'_>,
    proxy: Option<Proxy>,
) -> Outcome {
    let client = &context.client;
    let detached = given.on("detach");
    let wanted = streams.stdin || streams.stdout || streams.stderr;
    let connection: Option<Attached> =
        if wanted { Some(attach::connect(client, id, streams).await?) } else { None };
    let condition = if given.on("rm") { "removed" } else { "next-exit" };
    let waiting = if detached { None } else { Some(attach::waiting(client, id, Some(condition)).await?) };
    if let Err(failure) = client.call(Method::POST, &format!("/containers/{id}/start"), None).await {
        let code = refusal_code(&failure.message);
        if waiting.is_none() {
            // It was made: it has an id, and can be started later.
            say(&format!("{id}\n"))?;
        }
        if let Some(waiting) = waiting.filter(|_| given.on("rm")) {
            // The container goes by itself; its name is free when this is over.
            _ = attach::exit_code(waiting).await;
        }
        return Err(failure.of_word(&given.path, code));
    }
    let Some(waiting) = waiting else { return say(&format!("{id}\n")) };
    let Some(connection) = connection else {
        say(&format!("{id}\n"))?;
        return attach::exit_code(waiting).await;
    };
    match attach::carry(client, id, connection, streams, proxy).await? {
        End::Detached => Ok(0),
        End::Closed => attach::exit_code(waiting).await,
    }
}

/// Makes a container; an image that is missing is pulled, if it may be.
async fn make(context: &Context, given: &Given, creation: &Creation) -> Result<String, Failure> {
    let pull = given.text("pull");
    if !matches!(pull, "always" | "missing" | "never" | "") {
        return Err(Failure::new(format!(
            "invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""
        )));
    }
    let cidfile = given.some("cidfile").map(Path::new);
    if let Some(path) = cidfile.filter(|path| path.exists()) {
        return Err(Failure::new(format!(
            "container ID file found, make sure the other container isn't running or delete {}",
            path.display()
        )));
    }
    if pull == "always" {
        bring(context, given).await?;
    }
    let platform = create::platform(given);
    let pairs = given.some("name").map(|n| ("name", n.to_owned()));
    let path =
        format!("/containers/create{}", query(pairs.into_iter().chain(platform.map(|p| ("platform", p)))));
    let answer = match client_create(&context.client, &path, creation).await {
        Err(failure)
            if failure.not_found()
                && pull == "missing"
                && failure.message.contains("No such image")
                && reference::parse(given.first()).is_ok() =>
        {
            let reference = reference::parse(given.first())?;
            eprintln!("Unable to find image '{}' locally", reference.familiar());
            bring(context, given).await?;
            client_create(&context.client, &path, creation).await?
        }
        answer => answer?,
    };
    for warning in answer["Warnings"].as_array().into_iter().flatten() {
        eprintln!("WARNING: {}", warning.as_str().unwrap_or_default());
    }
    let id = answer["Id"].as_str().unwrap_or_default().to_owned();
    if let Some(path) = cidfile {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| {
            Failure::new(format!("failed to create the container ID file: open {}: {e}", path.display()))
        })?;
        file.write_all(id.as_bytes())?;
    }
    Ok(id)
}

async fn client_create(
    client: &Client,
    path: &str,
    creation: &Creation,
) -> Result<serde_json::Value, Failure> {
    client.post(path, Some(&creation.document)).await
}

async fn bring(context: &Context, given: &Given) -> Result<(), Failure> {
    let show = if given.on("quiet") { progress::Show::Nothing } else { progress::Show::OnStderr };
    transfer::fetch(context, given.first(), create::platform(given).as_deref(), show).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_words_of_the_server() {
        assert_eq!(refusal_code("exec: \"x\": executable file not found in $PATH"), 127);
        assert_eq!(refusal_code("stat /x: no such file or directory"), 127);
        assert_eq!(refusal_code("exec: \"/etc\": permission denied"), 126);
        assert_eq!(refusal_code("exec: \"/etc\": is a directory"), 126);
        assert_eq!(refusal_code("port is already allocated"), 125);
    }
}
