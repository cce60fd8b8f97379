//! `hull commit`: an image of a container's files.

use crate::cli::client::query;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, reference, say};
use serde_json::json;

/// Makes an image.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let wanted = given.second().unwrap_or_default();
    let (repository, tag) = reference::split(wanted)?;
    if wanted.contains('@') {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let mut pairs = vec![("container", given.first().to_owned())];
    pairs.extend(given.some("author").map(|a| ("author", a.to_owned())));
    pairs.extend(given.list("change").into_iter().map(|c| ("changes", c.to_owned())));
    pairs.extend(given.some("message").map(|m| ("comment", m.to_owned())));
    if !given.on("pause") {
        pairs.push(("pause", "0".to_owned()));
    }
    pairs.push(("repo", repository));
    pairs.push(("tag", tag));
    let made = context.client.post(&format!("/commit{}", query(pairs)), Some(&json!({}))).await?;
    say(&format!("{}\n", made["Id"].as_str().unwrap_or_default()))
}
