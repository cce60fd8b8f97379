//! `hull pull` and `hull push`.

use crate::cli::client::{name, query, whole};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::progress::{self, Show};
use crate::cli::{Context, create, credentials, reference, say};
use hyper::Method;

fn shown(given: &Given) -> Show {
    if given.on("quiet") { Show::Nothing } else { Show::OnStdout }
}

/// Pulls an image by the name that people wrote.
pub(crate) async fn fetch(
    context: &Context,
    text: &str,
    platform: Option<&str>,
    show: Show,
) -> Result<(), Failure> {
    let wanted = reference::parse(text)?;
    let digest = wanted.digest.as_ref().map(ToString::to_string);
    get(context, text, digest.or_else(|| wanted.tag.clone()), platform, show).await
}

async fn get(
    context: &Context,
    text: &str,
    tag: Option<String>,
    platform: Option<&str>,
    show: Show,
) -> Result<(), Failure> {
    let wanted = reference::parse(text)?;
    let mut pairs = vec![("fromImage", wanted.familiar_name())];
    pairs.extend(platform.map(|p| ("platform", p.to_owned())));
    pairs.extend(tag.map(|tag| ("tag", tag)));
    let auth = [credentials::find(&context.config, &wanted.registry)?.header()];
    let path = format!("/images/create{}", query(pairs));
    progress::follow(context.client.submit(Method::POST, &path, &auth, whole("")).await?, show).await
}

/// `hull pull`
pub(crate) async fn pull(context: &Context, given: &Given) -> Outcome {
    let text = given.first();
    let wanted = reference::parse(text)?;
    let name_only = reference::is_name_only(text);
    let platform = create::platform(given);
    if given.on("all-tags") {
        if !name_only {
            return Err(Failure::new("tag can't be used with --all-tags/-a"));
        }
        get(context, text, None, platform.as_deref(), shown(given)).await?;
        return say(&format!("{}/{}\n", wanted.registry, wanted.repository));
    }
    if name_only && !given.on("quiet") {
        say("Using default tag: latest\n")?;
    }
    fetch(context, text, platform.as_deref(), shown(given)).await?;
    say(&format!("{}\n", reference::full(&wanted)))
}

/// `hull push`
pub(crate) async fn push(context: &Context, given: &Given) -> Outcome {
    let text = given.first();
    let wanted = reference::parse(text)?;
    if wanted.digest.is_some() {
        return Err(Failure::new("cannot push a digest reference"));
    }
    let name_only = reference::is_name_only(text);
    let mut pairs = Vec::new();
    if given.on("all-tags") {
        if !name_only {
            return Err(Failure::new("tag can't be used with --all-tags/-a"));
        }
    } else {
        if name_only && !given.on("quiet") {
            say("Using default tag: latest\n")?;
        }
        pairs.extend(wanted.tag.clone().map(|tag| ("tag", tag)));
    }
    if let Some(platform) = given.some("platform") {
        pairs.push(("platform", create::platform_document(platform)?.to_string()));
    }
    let auth = [credentials::find(&context.config, &wanted.registry)?.header()];
    let path = format!("/images/{}/push{}", name(&wanted.familiar_name()), query(pairs));
    let answer = context.client.submit(Method::POST, &path, &auth, whole("")).await?;
    progress::follow(answer, shown(given)).await?;
    match (given.on("quiet"), given.on("all-tags")) {
        (false, _) => Ok(0),
        (true, false) => say(&format!("{}\n", reference::full(&wanted))),
        (true, true) => say(&format!("{}/{}\n", wanted.registry, wanted.repository)),
    }
}
