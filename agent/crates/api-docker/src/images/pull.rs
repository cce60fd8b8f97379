//! Pulling.

use super::auth::{options, refused};
use super::platform::Platform;
use super::progress::{Direction, Telling};
use crate::State;
use crate::error::{Answer, ApiError};
use crate::lines::{self, Line, Lines};
use crate::query::Query;
use axum::http::HeaderMap;
use hull_engine::Engine;
use hull_model::Reference;
use hull_ports::{PullOptions, Pulled};

/// What is to be pulled.
struct Wanted {
    reference: Reference,
    /// Every tag of the repository.
    all_tags: bool,
    platform: Option<Platform>,
}

impl Wanted {
    fn read(name: &str, query: &Query) -> Result<Self, ApiError> {
        let tag = query.text("tag");
        let written = match tag {
            Some(digest) if digest.contains(':') => format!("{name}@{digest}"),
            Some(tag) => format!("{name}:{tag}"),
            None => name.to_owned(),
        };
        let named = hull_engine::parse_reference(name)?;
        let reference = match tag {
            // The tag counts, also where the name has one of its own.
            Some(tag) if !tag.contains(':') && named.digest.is_none() => {
                let bare = Reference { tag: None, ..named };
                hull_engine::parse_reference(&format!("{bare}:{tag}"))?
            }
            _ => hull_engine::parse_reference(&written)?,
        };
        let last = name.rsplit('/').next().unwrap_or_default();
        let platform = query.text("platform").map(Platform::parse).transpose()?;
        Ok(Self { reference, all_tags: tag.is_none() && !last.contains([':', '@']), platform })
    }
}

/// `POST /images/create?fromImage=…`
pub(crate) async fn pull(state: State, name: &str, query: &Query, headers: &HeaderMap) -> Answer {
    let wanted = Wanted::read(name, query)?;
    let platform = wanted.platform.as_ref().map(Platform::to_string);
    let options = PullOptions { platform, ..options(headers) };
    lines::answer(|lines| async move {
        match wanted.all_tags {
            true => pull_all(&state.engine, &wanted.reference, &options, &lines).await,
            false => pull_one(&state.engine, &wanted, options, &lines).await,
        }
    })
    .await
}

fn telling(lines: &Lines, reference: &Reference) -> Telling {
    let id = match (&reference.digest, &reference.tag) {
        (Some(_), _) => Reference { tag: None, ..reference.clone() }.familiar(),
        (None, tag) => tag.clone().unwrap_or_default(),
    };
    let first = Line::status(format!("Pulling from {}", reference.repository), Some(id));
    Telling::new(lines.clone(), Direction::Pull, vec![first])
}

fn tell_digest(lines: &Lines, pulled: &Pulled) {
    lines.write(&Line::status(format!("Digest: {}", pulled.digest), None));
}

fn tell_outcome(lines: &Lines, changed: bool, shown: &str) {
    let outcome = if changed { "Downloaded newer image for" } else { "Image is up to date for" };
    lines.write(&Line::status(format!("Status: {outcome} {shown}"), None));
}

async fn pull_one(
    engine: &Engine,
    wanted: &Wanted,
    options: PullOptions,
    lines: &Lines,
) -> Result<(), ApiError> {
    let shown = wanted.reference.familiar();
    let telling = telling(lines, &wanted.reference);
    let pulled = engine.pull_by_hand(&wanted.reference, options, &telling).await.map_err(refused)?;
    telling.finish(pulled.changed);
    tell_digest(lines, &pulled);
    tell_outcome(lines, pulled.changed, &shown);
    if let Some(platform) = wanted.platform.as_ref().filter(|platform| !platform.fits(&pulled.image)) {
        let warning = format!("WARNING: {}", platform.mismatch(&shown, &pulled.image));
        lines.write(&Line::status(warning, None));
    }
    Ok(())
}

async fn pull_all(
    engine: &Engine,
    repository: &Reference,
    options: &PullOptions,
    lines: &Lines,
) -> Result<(), ApiError> {
    let mut changed = false;
    for reference in engine.tags_at_registry(repository, options).await.map_err(refused)? {
        let telling = telling(lines, &reference);
        let pulled = engine.pull_one_of_all(&reference, options, &telling).await.map_err(refused)?;
        telling.finish(pulled.changed);
        tell_digest(lines, &pulled);
        changed |= pulled.changed;
    }
    tell_outcome(lines, changed, &repository.familiar_name());
    engine.pulled_repository(repository);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_tag_say_what_is_wanted() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let by_digest = format!("a@{digest}");
        let rows = [
            ("a", "tag=1", "a:1", false),
            ("a", "", "a:latest", true),
            ("a:2", "", "a:2", false),
            ("a:2", "tag=3", "a:3", false),
            ("r:5000/a/b", "", "r:5000/a/b:latest", true),
            ("a", &format!("tag={digest}"), &by_digest, false),
            (&by_digest, "", &by_digest, false),
        ];
        for (name, query, expected, all_tags) in rows {
            let wanted = Wanted::read(name, &Query::parse(Some(query))).ok().unwrap();
            assert_eq!(
                (wanted.reference.familiar().as_str(), wanted.all_tags),
                (expected, all_tags),
                "{name}"
            );
        }
    }
}
