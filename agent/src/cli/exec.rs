//! `hull exec`: a further process in a running container, as if it ran here.

use crate::cli::args::ExecOptions;
use crate::cli::client::{Client, escape};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::logs::Demux;
use crate::cli::terminal::{self, Raw};
use hyper::Method;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

const BUFFER: usize = 32 << 10;

/// Runs a command; its exit code becomes ours.
pub(crate) async fn run(client: &Client, options: ExecOptions) -> Outcome {
    if options.tty && options.interactive && !options.detach && !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "the input device is not a TTY\nLeave out -t, or run hull from a terminal.",
        ));
    }
    let size = terminal::size().filter(|_| options.tty);
    let path = format!("/containers/{}/exec", escape(&options.container));
    let created = client.call(Method::POST, &path, Some(&request(&options, size))).await?;
    let created: Value = serde_json::from_slice(&created).unwrap_or_default();
    let Some(id) = created["Id"].as_str() else {
        return Err(Failure::new("the agent did not name the process it was to make"));
    };
    let path = format!("/exec/{id}/start");
    if options.detach {
        client.call(Method::POST, &path, Some(&json!({ "Detach": true, "Tty": options.tty }))).await?;
        return Ok(0);
    }
    let mut start = json!({ "Detach": false, "Tty": options.tty });
    if let Some((rows, columns)) = size {
        start["ConsoleSize"] = json!([rows, columns]);
    }
    // The terminal is raw only while the process has it, and is given back before anything is said.
    let ended = attached(client, id, &path, &start, &options).await?;
    if let Some(code) = ended {
        return Ok(code);
    }
    let process: Value = client.get(&format!("/exec/{id}/json")).await?;
    Ok(process["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0))
}

fn request(options: &ExecOptions, size: Option<(u16, u16)>) -> Value {
    // NAME alone takes the value from here; a variable that is not set here is not set there.
    let env = options.env.iter().filter_map(|e| match e.contains('=') {
        true => Some(e.clone()),
        false => std::env::var(e).ok().map(|value| format!("{e}={value}")),
    });
    let mut request = json!({
        "AttachStdin": options.interactive && !options.detach,
        "AttachStdout": !options.detach,
        "AttachStderr": !options.detach,
        "Cmd": options.command,
        "DetachKeys": options.detach_keys,
        "Env": env.collect::<Vec<_>>(),
        "Privileged": options.privileged,
        "Tty": options.tty,
        "User": options.user.clone().unwrap_or_default(),
        "WorkingDir": options.workdir.clone().unwrap_or_default(),
    });
    if let Some((rows, columns)) = size {
        request["ConsoleSize"] = json!([rows, columns]);
    }
    request
}

/// Connects this terminal, or these pipes, with the process. `Some` is the exit code for a signal that ended us first.
async fn attached(
    client: &Client,
    id: &str,
    path: &str,
    start: &Value,
    options: &ExecOptions,
) -> Result<Option<i32>, Failure> {
    let (connection, framed) = client.upgrade(path, start).await?;
    let (reader, writer) = tokio::io::split(TokioIo::new(connection));
    let raw = (options.tty && options.interactive).then(Raw::enter).transpose()?;
    let interactive = options.interactive;
    let input = tokio::spawn(async move {
        if interactive {
            send(writer).await;
        } else {
            // Kept open: closing it is an end of file.
            drop(writer);
        }
    });
    let resizing = resize_with_window(client, id, options.tty);
    let done = tokio::select! {
        copied = receive(reader, framed && !options.tty) => copied.map(|()| None).map_err(Failure::from),
        failed = resizing => failed.map(|never| match never {}),
        signal = ending_signal() => Ok(Some(128 + signal?)),
    };
    input.abort();
    drop(raw);
    done
}

/// Standard input to the process; its end becomes the process's end of file.
async fn send(mut writer: impl AsyncWrite + Unpin) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; BUFFER];
    loop {
        match stdin.read(&mut buffer).await {
            Ok(n) if n > 0 => {
                // A process that reads no more does not end us: its output does.
                if writer.write_all(&buffer[..n]).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    _ = writer.shutdown().await;
}

async fn receive(mut reader: impl AsyncRead + Unpin, framed: bool) -> std::io::Result<()> {
    let mut demux = Demux::new(framed);
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(()),
            n => demux.feed(&buffer[..n], &mut std::io::stdout(), &mut std::io::stderr())?,
        }
    }
}

/// Tells the process's terminal whenever ours changes its size. Never returns but for a failure to listen.
async fn resize_with_window(
    client: &Client,
    id: &str,
    tty: bool,
) -> Result<std::convert::Infallible, Failure> {
    if !tty {
        std::future::pending::<()>().await;
    }
    let mut changes = signal(SignalKind::window_change())?;
    loop {
        if let Some((rows, columns)) = terminal::size() {
            let path = format!("/exec/{id}/resize?h={rows}&w={columns}");
            // A process that has just ended has no size; the end is told elsewhere.
            _ = client.call(Method::POST, &path, None).await;
        }
        changes.recv().await;
    }
}

/// The number of a signal that asks us to end.
async fn ending_signal() -> std::io::Result<i32> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let mut listening: Vec<(i32, Signal)> = Vec::new();
    for kind in kinds {
        listening.push((kind.as_raw_value(), signal(kind)?));
    }
    let first = listening.iter_mut().map(|(number, signal)| {
        Box::pin(async move {
            signal.recv().await;
            *number
        })
    });
    Ok(futures_util::future::select_all(first).await.0)
}
