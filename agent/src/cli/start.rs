//! `hull start`: containers that do not run, with or without this terminal.

use crate::cli::attach::{self, Attached};
use crate::cli::client::{Client, name};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::stream::{End, Proxy, Streams};
use crate::cli::{Context, report};
use hyper::Method;
use serde_json::Value;
use std::io::Write as _;

/// Starts containers.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    if given.changed("checkpoint") || given.changed("checkpoint-dir") {
        return Err(Failure::new("checkpoints are not supported: start the container without --checkpoint"));
    }
    if given.on("attach") || given.on("interactive") {
        if given.args.len() > 1 {
            return Err(Failure::new("you cannot start and attach multiple containers at once"));
        }
        return attached(context, given).await;
    }
    let mut failed: Option<Failure> = None;
    let mut missing = Vec::new();
    for container in &given.args {
        match begin(&context.client, container).await {
            Ok(()) => writeln!(std::io::stdout(), "{container}")?,
            Err(failure) => {
                missing.push(container.as_str());
                report(&mut failed, failure);
            }
        }
    }
    let Some(failed) = failed else { return Ok(0) };
    eprintln!("{}", failed.message);
    Err(Failure { message: format!("Error: failed to start containers: {}", missing.join(", ")), ..failed })
}

async fn begin(client: &Client, container: &str) -> Result<(), Failure> {
    client.call(Method::POST, &format!("/containers/{}/start", name(container)), None).await.map(drop)
}

async fn attached(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    let container: Value = client.get(&format!("/containers/{}/json", name(given.first()))).await?;
    let id = container["Id"].as_str().unwrap_or_default();
    let tty = container["Config"]["Tty"] == true;
    let streams = Streams {
        tty,
        stdin: given.on("interactive") && container["Config"]["OpenStdin"] == true,
        stdout: true,
        stderr: true,
        detach_keys: context.config.detach_keys(given.text("detach-keys")),
    };
    let proxy = (!tty).then(Proxy::catch).transpose()?;
    let connection: Attached = attach::connect(client, id, streams).await?;
    let removed = container["HostConfig"]["AutoRemove"] == true;
    let waiting = attach::waiting(client, id, Some(if removed { "removed" } else { "next-exit" })).await?;
    begin(client, id).await?;
    match attach::carry(client, id, connection, streams, proxy).await? {
        End::Detached => Ok(0),
        End::Closed => attach::exit_code(waiting).await,
    }
}
