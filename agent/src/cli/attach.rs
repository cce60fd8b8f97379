//! `hull attach`, and what it has in common with `run` and `start`: a container's streams, and its exit code.

use crate::cli::Context;
use crate::cli::client::{Client, name, query, read};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::stream::{self, End, Proxy, Streams};
use crate::cli::terminal;
use hyper::upgrade::Upgraded;
use hyper::{Method, Response, body::Incoming};
use serde_json::Value;

/// A connection to a container's streams.
pub(crate) struct Attached {
    pub(crate) connection: Upgraded,
    pub(crate) framed: bool,
}

/// Connects with a container, whether it runs or not.
pub(crate) async fn connect(client: &Client, id: &str, streams: Streams<'_>) -> Result<Attached, Failure> {
    let mut pairs = vec![("stream", "1".to_owned())];
    if !streams.detach_keys.is_empty() {
        pairs.push(("detachKeys", streams.detach_keys.to_owned()));
    }
    for (key, on) in [("stdin", streams.stdin), ("stdout", streams.stdout), ("stderr", streams.stderr)] {
        if on {
            pairs.push((key, "1".to_owned()));
        }
    }
    let path = format!("/containers/{}/attach{}", name(id), query(pairs));
    let (connection, framed) = client.upgrade(&path, None).await?;
    Ok(Attached { connection, framed })
}

/// Begins to wait for a container. Once this is back, no end of it is missed.
pub(crate) async fn waiting(
    client: &Client,
    id: &str,
    condition: Option<&str>,
) -> Result<Response<Incoming>, Failure> {
    let pairs = condition.map(|c| ("condition", c.to_owned()));
    client.open(Method::POST, &format!("/containers/{}/wait{}", name(id), query(pairs)), None).await
}

/// The exit code that is waited for.
pub(crate) async fn exit_code(waiting: Response<Incoming>) -> Outcome {
    let answer: Value = serde_json::from_slice(&read(waiting).await?).unwrap_or_default();
    if let Some(why) = answer["Error"]["Message"].as_str().filter(|why| !why.is_empty()) {
        eprintln!("Error waiting for container: {why}");
        return Ok(125);
    }
    Ok(answer["StatusCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(125))
}

/// Carries a container's streams, its signals and the size of its terminal, until they end.
pub(crate) async fn carry(
    client: &Client,
    id: &str,
    attached: Attached,
    streams: Streams<'_>,
    proxy: Option<Proxy>,
) -> Result<End, Failure> {
    let resize = format!("/containers/{id}/resize");
    let resizing = async {
        match streams.tty && terminal::size().is_some() {
            true => stream::follow_window(client, &resize).await,
            false => std::future::pending().await,
        }
    };
    let signals = async {
        match proxy {
            Some(proxy) => proxy.pass_on(client, id).await,
            None => stream::end_by_signal().await,
        }
    };
    let beside = async { tokio::try_join!(resizing, signals).map(drop) };
    stream::carry(attached.connection, attached.framed, streams, beside).await
}

/// Whether a terminal is asked for where there is none.
pub(crate) fn check_terminal(attach_stdin: bool, tty: bool) -> Result<(), Failure> {
    match attach_stdin && tty && !terminal::stdin_is_terminal() {
        true => Err(Failure {
            hint: Some("Leave out -t, or run hull from a terminal."),
            ..Failure::new("the input device is not a TTY")
        }),
        false => Ok(()),
    }
}

/// `hull attach`
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    let container: Value = client.get(&format!("/containers/{}/json", name(given.first()))).await?;
    let id = container["Id"].as_str().unwrap_or_default();
    let state = &container["State"];
    if state["Running"] != true {
        return Err(Failure::new("You cannot attach to a stopped container, start it first"));
    }
    if state["Paused"] == true {
        return Err(Failure::new("You cannot attach to a paused container, unpause it first"));
    }
    if state["Restarting"] == true {
        return Err(Failure::new("You cannot attach to a restarting container, wait until it is running"));
    }
    let tty = container["Config"]["Tty"] == true;
    let stdin = !given.on("no-stdin") && container["Config"]["OpenStdin"] == true;
    check_terminal(stdin, tty)?;
    let streams = Streams {
        tty,
        stdin,
        stdout: true,
        stderr: true,
        detach_keys: context.config.detach_keys(given.text("detach-keys")),
    };
    let proxy = (given.on("sig-proxy") && !tty).then(Proxy::catch).transpose()?;
    let waiting = waiting(client, id, None).await?;
    let attached = connect(client, id, streams).await?;
    if let Some((rows, columns)) = terminal::size().filter(|_| tty) {
        // A size that is not ours and then ours: what draws the screen draws it again.
        let path = format!("/containers/{id}/resize?h={}&w={}", rows + 1, columns + 1);
        // A container that has just ended has no screen.
        _ = client.call(Method::POST, &path, None).await;
    }
    match carry(client, id, attached, streams, proxy).await? {
        End::Detached => Err(Failure::new("read escape sequence")),
        End::Closed => exit_code(waiting).await,
    }
}
