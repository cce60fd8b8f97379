//! `hull exec`: a further process in a running container, as if it ran here.

use crate::cli::Context;
use crate::cli::attach::check_terminal;
use crate::cli::client::name;
use crate::cli::create::env;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::stream::{self, End, Streams};
use crate::cli::terminal;
use hyper::Method;
use serde_json::{Value, json};

/// Runs a command; its exit code becomes ours.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    let keys = context.config.detach_keys(given.text("detach-keys"));
    let env = env::variables(&given.list("env-file"), &given.list("env"))?;
    let container = name(given.first());
    // A container that is not there is said before a terminal that is not.
    client.call(Method::GET, &format!("/containers/{container}/json"), None).await?;
    let detach = given.on("detach");
    let tty = given.on("tty");
    check_terminal(given.on("interactive") && !detach, tty)?;
    let size = terminal::size().filter(|_| tty && !detach);
    let document = request(given, &env, keys, size);
    let created = client.post(&format!("/containers/{container}/exec"), Some(&document)).await?;
    let Some(id) = created["Id"].as_str().filter(|id| !id.is_empty()) else {
        return Err(Failure::new("exec ID empty"));
    };
    let path = format!("/exec/{id}/start");
    let mut start = json!({ "Detach": detach, "Tty": tty });
    if detach {
        client.call(Method::POST, &path, Some(&start)).await?;
        return Ok(0);
    }
    if let Some((rows, columns)) = size {
        start["ConsoleSize"] = json!([rows, columns]);
    }
    let streams =
        Streams { tty, stdin: given.on("interactive"), stdout: true, stderr: true, detach_keys: keys };
    let (connection, framed) = client.upgrade(&path, Some(&start)).await?;
    let resize = format!("/exec/{id}/resize");
    let resizing = async {
        if size.is_some() {
            stream::follow_window(client, &resize).await
        } else {
            std::future::pending().await
        }
    };
    let beside = async { tokio::try_join!(resizing, stream::end_by_signal()).map(drop) };
    if stream::carry(connection, framed, streams, beside).await? == End::Detached {
        return Err(Failure::new("read escape sequence"));
    }
    let process: Value = client.get(&format!("/exec/{id}/json")).await?;
    Ok(process["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0))
}

fn request(given: &Given, env: &[String], keys: &str, size: Option<(u16, u16)>) -> Value {
    let detach = given.on("detach");
    let mut request = json!({
        "AttachStdin": given.on("interactive") && !detach,
        "AttachStdout": !detach,
        "AttachStderr": !detach,
        "Cmd": given.args[1..],
        "DetachKeys": keys,
        "Env": if env.is_empty() { Value::Null } else { json!(env) },
        "Privileged": given.on("privileged"),
        "Tty": given.on("tty"),
        "User": given.text("user"),
        "WorkingDir": given.text("workdir"),
    });
    if let Some((rows, columns)) = size {
        request["ConsoleSize"] = json!([rows, columns]);
    }
    request
}
