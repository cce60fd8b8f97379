//! Archives of images: saving and loading.

use super::import;
use super::inspect::find;
use super::platform::Platform;
use super::progress::measured;
use crate::State;
use crate::error::Answer;
use crate::lines::{self, Line, Lines};
use crate::query::Query;
use axum::body::Body;
use axum::extract::{RawQuery, State as Shared};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use hull_ports::LoadEvent;

/// `GET /images/get?names=…`
pub(crate) async fn save_many(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    save(&state, query.all("names"), &query).await
}

/// Writes images as one archive.
pub(crate) async fn save(state: &State, names: &[String], query: &Query) -> Answer {
    if let Some(platform) = Platform::asked(query)? {
        for name in names {
            find(state, name, Some(&platform)).await?;
        }
    }
    let stream = state.engine.save_images(names).await?;
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    Ok(response)
}

/// `POST /images/load`
pub(crate) async fn load(Shared(state): Shared<State>, RawQuery(query): RawQuery, body: Body) -> Answer {
    let query = Query::parse(query.as_deref());
    // Only who asks to be told is told how far it is.
    let quiet = query.text("quiet").is_none() || query.flag("quiet");
    let platform = Platform::asked(&query)?.map(|platform| platform.to_string());
    lines::answer(|lines| async move {
        let told = |event: LoadEvent| tell(&lines, quiet, event);
        let loaded = state.engine.load_images(import::archive(body), platform.as_deref(), &told).await;
        if let Err(error) = loaded {
            // Docker has begun its answer by now, whatever is wrong with the archive.
            lines.failed(&error.chain());
        }
        Ok(())
    })
    .await
}

fn tell(lines: &Lines, quiet: bool, event: LoadEvent) {
    match event {
        LoadEvent::Layer { .. } if quiet => {}
        LoadEvent::Layer { id, done, total } => {
            lines.write_if_read(&measured("Loading layer", &id, done, total));
        }
        LoadEvent::Tagged(reference) => {
            lines.write(&Line::text(format!("Loaded image: {}\n", reference.familiar())));
        }
        LoadEvent::Untagged(id) => lines.write(&Line::text(format!("Loaded image ID: {id}\n"))),
        LoadEvent::Moved { reference, from } => {
            let name = reference.familiar();
            lines.write(&Line::text(format!(
                "The image {name} already exists, renaming the old one with ID {from} to empty string\n"
            )));
        }
    }
}
