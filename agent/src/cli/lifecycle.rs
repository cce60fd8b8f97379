//! What is done to several containers or images, one after another; each name is printed when it is done.

use crate::cli::attach;
use crate::cli::client::{name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, create, report};
use hyper::Method;
use serde_json::Value;
use std::io::Write as _;

/// Does one thing to each container. What fails does not keep the others from being done.
async fn each(context: &Context, given: &Given, method: Method, after: &str) -> Outcome {
    let mut failed: Option<Failure> = None;
    for container in &given.args {
        let container = container.trim_matches(' ');
        let path = format!("/containers/{}{after}", name(container));
        match context.client.call(method.clone(), &path, None).await {
            Ok(_) => writeln!(std::io::stdout(), "{container}")?,
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}

/// `?signal=…&t=…` of what stops a container.
fn stopping(given: &Given) -> Result<String, Failure> {
    let timeout = ["timeout", "time"].into_iter().filter(|flag| given.changed(flag)).collect::<Vec<_>>();
    if timeout.len() > 1 {
        return Err(Failure::new("conflicting options: cannot specify both --timeout and --time"));
    }
    let signal = given.some("signal").map(|s| ("signal", s.to_owned()));
    let timeout = timeout.first().map(|flag| ("t", given.number(flag).to_string()));
    Ok(query(signal.into_iter().chain(timeout)))
}

/// `hull stop`
pub(crate) async fn stop(context: &Context, given: &Given) -> Outcome {
    each(context, given, Method::POST, &format!("/stop{}", stopping(given)?)).await
}

/// `hull restart`
pub(crate) async fn restart(context: &Context, given: &Given) -> Outcome {
    each(context, given, Method::POST, &format!("/restart{}", stopping(given)?)).await
}

/// `hull kill`
pub(crate) async fn kill(context: &Context, given: &Given) -> Outcome {
    let signal = given.some("signal").map(|s| ("signal", s.to_owned()));
    each(context, given, Method::POST, &format!("/kill{}", query(signal))).await
}

/// `hull pause`
pub(crate) async fn pause(context: &Context, given: &Given) -> Outcome {
    each(context, given, Method::POST, "/pause").await
}

/// `hull unpause`
pub(crate) async fn unpause(context: &Context, given: &Given) -> Outcome {
    each(context, given, Method::POST, "/unpause").await
}

/// `hull rm`
pub(crate) async fn remove(context: &Context, given: &Given) -> Outcome {
    let mut pairs = Vec::new();
    for (flag, key) in [("force", "force"), ("link", "link"), ("volumes", "v")] {
        if given.on(flag) {
            pairs.push((key, "1".to_owned()));
        }
    }
    let after = query(pairs);
    let mut failed: Option<Failure> = None;
    for container in &given.args {
        let container = container.trim_matches('/');
        if container.is_empty() {
            report(&mut failed, Failure::new("container name cannot be empty"));
            continue;
        }
        match context
            .client
            .call(Method::DELETE, &format!("/containers/{}{after}", name(container)), None)
            .await
        {
            Ok(_) => writeln!(std::io::stdout(), "{container}")?,
            Err(failure) if given.on("force") && failure.not_found() => {
                eprintln!("{}", failure.message);
            }
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}

/// `hull rename`
pub(crate) async fn rename(context: &Context, given: &Given) -> Outcome {
    let (old, new) = (given.first().trim(), given.second().unwrap_or_default().trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    let path = format!("/containers/{}/rename{}", name(old), query([("name", new.to_owned())]));
    let renamed = context.client.call(Method::POST, &path, None).await;
    renamed.map(|_| 0).map_err(|failure| {
        // The name alone says what went wrong, as Docker's line does.
        Failure {
            message: format!("{}\nError: failed to rename container named {old}", failure.message),
            ..failure
        }
    })
}

/// `hull wait`
pub(crate) async fn wait(context: &Context, given: &Given) -> Outcome {
    let mut failed: Option<Failure> = None;
    for container in &given.args {
        let code = match attach::waiting(&context.client, container, None).await {
            Ok(waiting) => attach::exit_code(waiting).await,
            Err(failure) => Err(failure),
        };
        match code {
            Ok(code) => writeln!(std::io::stdout(), "{code}")?,
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}

/// `hull rmi`
pub(crate) async fn remove_images(context: &Context, given: &Given) -> Outcome {
    let mut pairs = Vec::new();
    if given.on("force") {
        pairs.push(("force", "1".to_owned()));
    }
    if given.on("no-prune") {
        pairs.push(("noprune", "1".to_owned()));
    }
    for platform in given.list("platform") {
        pairs.push(("platforms", create::platform_document(platform)?.to_string()));
    }
    let after = query(pairs);
    let (mut failed, mut fatal): (Option<Failure>, bool) = (None, false);
    for image in &given.args {
        match context.client.call(Method::DELETE, &format!("/images/{}{after}", name(image)), None).await {
            Ok(bytes) => {
                let removed: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                for row in removed.as_array().into_iter().flatten() {
                    match row["Deleted"].as_str().filter(|d| !d.is_empty()) {
                        Some(deleted) => writeln!(std::io::stdout(), "Deleted: {deleted}")?,
                        None => {
                            writeln!(
                                std::io::stdout(),
                                "Untagged: {}",
                                row["Untagged"].as_str().unwrap_or_default()
                            )?;
                        }
                    }
                }
            }
            Err(failure) => {
                fatal |= !failure.not_found();
                report(&mut failed, failure);
            }
        }
    }
    match failed {
        // With --force an image that is not there is only told.
        Some(failure) if given.on("force") && !fatal => {
            eprintln!("{}", failure.message);
            Ok(0)
        }
        failed => failed.map_or(Ok(0), Err),
    }
}
