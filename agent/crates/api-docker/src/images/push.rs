//! Pushing.

use super::auth::{options, refused};
use super::progress::{Direction, Telling};
use crate::State;
use crate::error::{Answer, ApiError};
use crate::lines::{self, Line, Lines};
use crate::query::Query;
use axum::http::HeaderMap;
use hull_model::Reference;
use hull_ports::Pushed;
use serde_json::json;

/// `POST /images/{name}/push`: one tag, or all that are here.
pub(crate) async fn push(state: State, name: &str, query: &Query, headers: &HeaderMap) -> Answer {
    let named = hull_engine::parse_reference(name)?;
    if named.digest.is_some() {
        return Err(ApiError::bad_request("cannot push a digest reference"));
    }
    let reference = match query.text("tag") {
        Some(tag) => {
            let bare = Reference { tag: None, ..named.clone() };
            Some(hull_engine::parse_reference(&format!("{bare}:{tag}"))?)
        }
        // A name that has a tag of its own means that one.
        None => name.rsplit('/').next().is_some_and(|last| last.contains(':')).then(|| named.clone()),
    };
    let options = options(headers);
    lines::answer(|lines| async move {
        let address = match named.registry.as_str() {
            "docker.io" => format!("docker.io/{}", named.repository),
            _ => named.familiar_name(),
        };
        lines.write(&Line::status(format!("The push refers to repository [{address}]"), None));
        let telling = Telling::new(lines.clone(), Direction::Push, Vec::new());
        let engine = &state.engine;
        if let Some(reference) = reference {
            let pushed = engine.push_by_hand(&reference, options, &telling).await.map_err(refused)?;
            tell(&lines, &reference, &pushed);
            return Ok(());
        }
        for reference in engine.tags_here(&named).await? {
            let pushed = engine.push_one_of_all(&reference, &options, &telling).await.map_err(refused)?;
            tell(&lines, &reference, &pushed);
        }
        engine.pushed_repository(&named);
        Ok(())
    })
    .await
}

fn tell(lines: &Lines, reference: &Reference, pushed: &Pushed) {
    let tag = reference.tag.clone().unwrap_or_default();
    let (digest, size) = (&pushed.digest, pushed.size);
    lines.write(&Line::status(format!("{tag}: digest: {digest} size: {size}"), None));
    lines.write(&Line::aux(json!({ "Tag": tag, "Digest": digest, "Size": size })));
}
