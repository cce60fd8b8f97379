//! Starting, stopping and removing containers; each name is printed when it is done.

use crate::cli::args::{KillOptions, NamesOptions, RmOptions, StopOptions};
use crate::cli::client::{Client, escape};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::report;
use hyper::Method;
use serde_json::Value;
use std::io::Write as _;

/// Does one thing to each of several containers. What fails does not keep the others from being done.
async fn each(client: &Client, method: Method, names: &[String], after: &str) -> Outcome {
    let mut failed: Option<Failure> = None;
    for name in names {
        let path = format!("/containers/{}{after}", escape(name));
        match client.call(method.clone(), &path, None).await {
            Ok(_) => writeln!(std::io::stdout(), "{name}")?,
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}

/// `hull start`
pub(crate) async fn start(client: &Client, options: &NamesOptions) -> Outcome {
    each(client, Method::POST, &options.containers, "/start").await
}

/// `hull stop` and `hull restart`
pub(crate) async fn stop(client: &Client, options: &StopOptions, action: &str) -> Outcome {
    let timeout = options.timeout.map(|t| format!("t={t}"));
    let signal = options.signal.as_ref().map(|s| format!("signal={}", escape(s)));
    let query = timeout.into_iter().chain(signal).collect::<Vec<_>>().join("&");
    each(client, Method::POST, &options.containers, &format!("/{action}?{query}")).await
}

/// `hull kill`
pub(crate) async fn kill(client: &Client, options: &KillOptions) -> Outcome {
    let after = format!("/kill?signal={}", escape(&options.signal));
    each(client, Method::POST, &options.containers, &after).await
}

/// `hull rm`
pub(crate) async fn remove(client: &Client, options: &RmOptions) -> Outcome {
    let after = format!("?force={}&v={}", u8::from(options.force), u8::from(options.volumes));
    each(client, Method::DELETE, &options.containers, &after).await
}

/// `hull wait`
pub(crate) async fn wait(client: &Client, options: &NamesOptions) -> Outcome {
    let mut failed: Option<Failure> = None;
    for name in &options.containers {
        match client.call(Method::POST, &format!("/containers/{}/wait", escape(name)), None).await {
            Ok(bytes) => {
                let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                writeln!(std::io::stdout(), "{}", answer["StatusCode"])?;
            }
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}
