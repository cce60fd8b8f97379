//! Removing what nothing uses, after a question.

use crate::cli::client::{Client, filter_pair, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, human, say};
use serde_json::Value;
use std::io::{BufRead as _, Write as _};

/// What was removed, as text, and how many bytes that gave back.
struct Pruned {
    text: String,
    bytes: u64,
}

/// Asks; anything but yes is no.
pub(crate) fn confirmed(warning: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout();
    write!(out, "{warning}\nAre you sure you want to continue? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        // Nobody ended the line of the question.
        eprintln!();
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Nothing was done, as was wanted.
fn declined() -> Outcome {
    Ok(0)
}

/// What stands in the configuration file, too.
fn filters(context: &Context, given: &Given) -> Vec<String> {
    let mut all: Vec<String> = given.list("filter").iter().map(|f| (*f).to_owned()).collect();
    let kept = context.config.object("pruneFilters");
    all.extend(kept.into_iter().flat_map(|list| list.values()).filter_map(Value::as_str).map(str::to_owned));
    all
}

async fn prune(
    client: &Client,
    what: &str,
    filters: &[String],
    key: &str,
    head: &str,
) -> Result<Pruned, Failure> {
    let answer = client.post(&format!("/{what}/prune{}", query(filter_pair(filters))), None).await?;
    let mut text = String::new();
    for item in answer[key].as_array().into_iter().flatten() {
        match item {
            Value::String(name) => text += &format!("{name}\n"),
            row => match row["Untagged"].as_str().filter(|u| !u.is_empty()) {
                Some(untagged) => text += &format!("untagged: {untagged}\n"),
                None => text += &format!("deleted: {}\n", row["Deleted"].as_str().unwrap_or_default()),
            },
        }
    }
    if !text.is_empty() {
        text = format!("{head}:\n{text}\n");
    }
    Ok(Pruned { text, bytes: answer["SpaceReclaimed"].as_u64().unwrap_or(0) })
}

fn told(pruned: Pruned) -> Outcome {
    say(&format!("{}Total reclaimed space: {}\n", pruned.text, human::size_in(4, pruned.bytes)))
}

async fn prune_containers(client: &Client, filters: &[String]) -> Result<Pruned, Failure> {
    prune(client, "containers", filters, "ContainersDeleted", "Deleted Containers").await
}

async fn prune_images(client: &Client, all: bool, filters: &[String]) -> Result<Pruned, Failure> {
    let mut filters = filters.to_vec();
    filters.push(format!("dangling={}", !all));
    prune(client, "images", &filters, "ImagesDeleted", "Deleted Images").await
}

async fn prune_networks(client: &Client, filters: &[String]) -> Result<Pruned, Failure> {
    prune(client, "networks", filters, "NetworksDeleted", "Deleted Networks").await
}

async fn prune_volumes(client: &Client, all: bool, filters: &[String]) -> Result<Pruned, Failure> {
    let mut filters = filters.to_vec();
    if all {
        filters.push("all=true".to_owned());
    }
    prune(client, "volumes", &filters, "VolumesDeleted", "Deleted Volumes").await
}

/// `hull container prune`
pub(crate) async fn containers(context: &Context, given: &Given) -> Outcome {
    if !given.on("force") && !confirmed("WARNING! This will remove all stopped containers.")? {
        return declined();
    }
    told(prune_containers(&context.client, &filters(context, given)).await?)
}

/// `hull image prune`
pub(crate) async fn images(context: &Context, given: &Given) -> Outcome {
    let warning = match given.on("all") {
        true => "WARNING! This will remove all images without at least one container associated to them.",
        false => "WARNING! This will remove all dangling images.",
    };
    if !given.on("force") && !confirmed(warning)? {
        return declined();
    }
    told(prune_images(&context.client, given.on("all"), &filters(context, given)).await?)
}

/// `hull network prune`
pub(crate) async fn networks(context: &Context, given: &Given) -> Outcome {
    let warning = "WARNING! This will remove all custom networks not used by at least one container.";
    if !given.on("force") && !confirmed(warning)? {
        return declined();
    }
    say(&prune_networks(&context.client, &filters(context, given)).await?.text)
}

/// `hull volume prune`
pub(crate) async fn volumes(context: &Context, given: &Given) -> Outcome {
    let filters = filters(context, given);
    if given.on("all") && filters.iter().any(|f| f.starts_with("all=")) {
        return Err(Failure::new("conflicting options: cannot specify both --all and --filter all=1"));
    }
    let warning = match given.on("all") {
        true => "WARNING! This will remove all local volumes not used by at least one container.",
        false => "WARNING! This will remove anonymous local volumes not used by at least one container.",
    };
    if !given.on("force") && !confirmed(warning)? {
        return declined();
    }
    told(prune_volumes(&context.client, given.on("all"), &filters).await?)
}

/// `hull system prune`
pub(crate) async fn system(context: &Context, given: &Given) -> Outcome {
    let (all, volumes, filters) = (given.on("all"), given.on("volumes"), filters(context, given));
    if volumes && filters.iter().any(|f| f.starts_with("until=")) {
        return Err(Failure::new("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !given.on("force") && !confirmed(&warning(all, volumes, &filters))? {
        return declined();
    }
    let client = &context.client;
    let mut parts = vec![prune_containers(client, &filters).await?, prune_networks(client, &filters).await?];
    if volumes {
        parts.push(prune_volumes(client, false, &filters).await?);
    }
    parts.push(prune_images(client, all, &filters).await?);
    let bytes = parts.iter().map(|part| part.bytes).sum();
    told(Pruned { text: parts.into_iter().map(|part| part.text).collect(), bytes })
}

fn warning(all: bool, volumes: bool, filters: &[String]) -> String {
    let mut text = "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n".to_owned();
    if volumes {
        text += "  - all anonymous volumes not used by at least one container\n";
    }
    text += match all {
        true => "  - all images without at least one container associated to them\n",
        false => "  - all dangling images\n",
    };
    if !filters.is_empty() {
        text += "\n  Items to be pruned will be filtered with:\n";
        text.extend(filters.iter().map(|f| format!("  - {f}\n")));
    }
    text
}
