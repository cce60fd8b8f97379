//! The agent itself: whether its disk is in order, and the end of it. And names for images.

use crate::cli::client::{name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, prune, reference, say, terminal};
use hull_ports::CheckReport;
use hyper::Method;

/// `hull system reset`
pub(crate) async fn reset(context: &Context, given: &Given) -> Outcome {
    if !given.on("force") {
        if !terminal::stdin_is_terminal() {
            return Err(Failure::new(
                "hull system reset ends every container: give --force to do it without being asked",
            ));
        }
        if !prune::confirmed("WARNING! This ends every container, removes all networks, and ends the agent.")?
        {
            return Err(Failure::new("Nothing was changed."));
        }
    }
    context.client.call(Method::POST, "/hull/v1/reset", None).await?;
    say("Every container and network was removed; images and volumes are kept. The agent ends.\n")
}

/// `hull system check`
pub(crate) async fn check(context: &Context, given: &Given) -> Outcome {
    let repair = given.on("repair");
    let pairs = repair.then(|| ("repair", "1".to_owned()));
    let bytes =
        context.client.call(Method::POST, &format!("/hull/v1/system/check{}", query(pairs)), None).await?;
    let report: CheckReport = serde_json::from_slice(&bytes)
        .map_err(|e| Failure::new(format!("the report cannot be understood: {e}")))?;
    match given.text("format") {
        "json" => say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"))?,
        "text" => say(&told(&report))?,
        other => {
            return Err(Failure::new(format!("invalid value {other:?} for --format: it is text or json")));
        }
    };
    let wrong = !report.damaged.is_empty() || (!report.orphans.is_empty() && !report.repaired);
    Ok(i32::from(wrong))
}

fn told(report: &CheckReport) -> String {
    let mut text = String::new();
    text.extend(report.damaged.iter().map(|object| format!("damaged: {object}\n")));
    text.extend(report.orphans.iter().map(|object| format!("orphan:  {object}\n")));
    let bytes = crate::cli::human::size(report.orphan_bytes);
    text += &format!("{} objects looked at: ", report.checked);
    text += &match (report.orphans.len(), report.damaged.len()) {
        (0, 0) => "all in order.\n".to_owned(),
        (orphans, damaged) => format!("{orphans} orphaned ({bytes}), {damaged} damaged.\n"),
    };
    match (report.repaired, report.orphans.is_empty(), report.damaged.is_empty()) {
        (true, false, _) => text += "What nothing owns was removed.\n",
        (false, false, _) => text += "Remove what nothing owns with: hull system check --repair\n",
        _ => {}
    }
    if !report.damaged.is_empty() {
        text += "Pull the images that are damaged again; containers of theirs must be made anew.\n";
    }
    text
}

/// `hull tag`
pub(crate) async fn tag(context: &Context, given: &Given) -> Outcome {
    let wanted = given.second().unwrap_or_default();
    let refuse = |why: Failure| {
        Failure::new(format!(
            "Error parsing reference: {wanted:?} is not a valid repository/tag: {}",
            why.message
        ))
    };
    let (repository, tag) = reference::split(wanted).map_err(refuse)?;
    if wanted.contains('@') {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let mut pairs = vec![("repo", repository)];
    pairs.extend(Some(tag).filter(|tag| !tag.is_empty()).map(|tag| ("tag", tag)));
    let path = format!("/images/{}/tag{}", name(given.first()), query(pairs));
    context.client.call(Method::POST, &path, None).await.map(|_| 0)
}

/// `hull build`
pub(crate) async fn build(_: &Context, _: &Given) -> Outcome {
    Err(Failure::new(
        "Hull cannot build images yet.\nBuild elsewhere, then bring the image with 'hull pull' or 'hull load'.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_to_do() {
        let mut report = CheckReport { checked: 5, ..CheckReport::default() };
        assert_eq!(told(&report), "5 objects looked at: all in order.\n");
        report.orphans = vec!["layers/a".into()];
        report.orphan_bytes = 1000;
        assert!(told(&report).ends_with(
            "1 orphaned (1kB), 0 damaged.\nRemove what nothing owns with: hull system check --repair\n"
        ));
        report.repaired = true;
        assert!(told(&report).contains("was removed"));
    }
}
