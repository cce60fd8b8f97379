//! Making an image from an archive of files.

use super::platform::Platform;
use super::progress::{bar, measured};
use crate::State;
use crate::changes::{self, Config};
use crate::error::{Answer, ApiError};
use crate::lines::{self, Line, Lines};
use crate::query::Query;
use axum::body::Body;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hull_engine::Import;
use hull_ports::ByteStream;
use serde_json::Value;

/// An archive as a request sends it.
pub(crate) fn archive(body: Body) -> ByteStream {
    body.into_data_stream().map_err(std::io::Error::other).boxed()
}

/// `POST /images/create?fromSrc=…`: from the request's body, or from an address.
pub(crate) async fn import(state: State, query: &Query, body: Body) -> Answer {
    let (repository, tag) = (query.text("repo").unwrap_or_default(), query.text("tag").unwrap_or_default());
    let reference = hull_engine::repository_and_tag(repository, tag)?;
    let mut config = Config::new();
    changes::apply(&mut config, query.all("changes")).map_err(ApiError::bad_request)?;
    let platform = match query.text("platform") {
        Some(text) => Platform::parse(text)?,
        None => Platform::default(),
    };
    let source = query.text("fromSrc").unwrap_or_default().to_owned();
    let message = match query.text("message") {
        Some(message) => message.to_owned(),
        None => format!("Imported from {source}"),
    };
    lines::answer(|lines| async move {
        let archive = if source == "-" { archive(body) } else { download(&source, &lines).await? };
        let host = (state.status)().await.host.architecture;
        let or = |asked: String, default: &str| if asked.is_empty() { default.to_owned() } else { asked };
        let platform = [or(platform.os, "linux"), or(platform.architecture, &host), platform.variant];
        let import = Import { archive, config: Value::Object(config), message, platform, reference };
        let image = state.engine.import_image(import).await.map_err(broken)?;
        lines.write(&Line::status(image.id.to_string(), None));
        Ok(())
    })
    .await
}

/// An archive that cannot be read is Docker's own failure, not the request's.
fn broken(error: hull_ports::Error) -> ApiError {
    ApiError::internal(error.chain())
}

/// Fetches an archive, telling how far it is.
async fn download(source: &str, lines: &Lines) -> Result<ByteStream, ApiError> {
    let address = if source.contains("://") { source.to_owned() } else { format!("http://{source}") };
    let failed = |error: reqwest::Error| {
        let mut why = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            why = format!("{why}: {cause}");
            next = cause.source();
        }
        ApiError::internal(format!("Get {address:?}: {why}"))
    };
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(ApiError::bad_request(format!("Get {address:?}: only http and https are supported")));
    }
    let response = reqwest::get(&address).await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(ApiError::internal(format!("Got HTTP status code >= 400: {}", response.status())));
    }
    lines.write(&Line::status(format!("Downloading from {address}"), None));
    let total = response.content_length().unwrap_or(0);
    let lines = lines.clone();
    let (mut done, mut told) = (0_u64, None::<std::time::Instant>);
    let counted = response.bytes_stream().map_err(std::io::Error::other).inspect_ok(move |bytes| {
        done += bytes.len() as u64;
        let now = std::time::Instant::now();
        if done == total || told.is_none_or(|last| now.duration_since(last).as_millis() >= 100) {
            told = Some(now);
            lines.write_if_read(&Line {
                id: None,
                progress: Some(bar(done, total)),
                ..measured("Importing", "", done, total)
            });
        }
    });
    Ok(counted.boxed())
}
