//! `POST /commit`: an image of what a container became.

use crate::State;
use crate::changes::{self, Config};
use crate::containers::Known;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::wire::ContainerInspect;
use axum::Json;
use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use hull_engine::Commit;
use hull_model::ContainerRecord;
use serde_json::{Value, json};

/// What of a container's configuration an image has too.
const KEYS: &[&str] = &[
    "User",
    "ExposedPorts",
    "Env",
    "Cmd",
    "Healthcheck",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "OnBuild",
    "Labels",
    "StopSignal",
    "Shell",
];

/// `POST /commit`
pub(crate) async fn commit(Shared(state): Shared<State>, RawQuery(query): RawQuery, body: Bytes) -> Answer {
    let query = Query::parse(query.as_deref());
    let Some(name) = query.text("container") else {
        return Err(ApiError::bad_request("invalid name or ID supplied: \"\""));
    };
    let (repository, tag) = (query.text("repo").unwrap_or_default(), query.text("tag").unwrap_or_default());
    let asked = requested(&body)?;
    let record = state.engine.find(name).await?;
    let reference = hull_engine::repository_and_tag(repository, tag)?;
    let known = Known::read(&state).await?;
    let inspected = json!(ContainerInspect::new(known.view(&state, &record), Vec::new()));
    let mut own = only_image_keys(inspected["Config"].as_object().cloned().unwrap_or_default());
    if record.request.is_none() {
        // Nobody wrote its configuration down, so it shows what the process was given, with the container's own host name.
        own.insert("Env".to_owned(), json!(written_env(&record, known.view(&state, &record).config().env)));
    }
    let created_by = words(own.get("Cmd")).join(" ");
    let mut config = merge(asked, own);
    changes::apply(&mut config, query.all("changes")).map_err(ApiError::bad_request)?;
    let text = |key: &str| query.text(key).unwrap_or_default().to_owned();
    let commit = Commit {
        reference,
        author: text("author"),
        comment: text("comment"),
        pause: query.text("pause").is_none() || query.flag("pause"),
        config: Value::Object(config),
        created_by,
    };
    let image = state.engine.commit(&record.id, &commit).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": image.id }))).into_response())
}

/// The image's variables, and those of the container's spec over them.
fn written_env(record: &ContainerRecord, mut env: Vec<String>) -> Vec<String> {
    let own =
        |entry: &String| record.spec.env.keys().any(|key| entry.split('=').next() == Some(key.as_str()));
    env.retain(|entry| !own(entry));
    env.extend(record.spec.env.iter().map(|(key, value)| format!("{key}={value}")));
    env
}

/// The configuration that the request itself brings; most bring none.
fn requested(body: &[u8]) -> Result<Config, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Config::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(config)) => Ok(only_image_keys(config)),
        Ok(Value::Null) => Ok(Config::new()),
        Ok(_) => Err(ApiError::bad_request("invalid JSON: the body is no object")),
        Err(error) => Err(ApiError::bad_request(format!("invalid JSON: {error}"))),
    }
}

fn only_image_keys(mut config: Config) -> Config {
    config.retain(|key, value| KEYS.contains(&key.as_str()) && !is_nothing(value));
    config
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn words(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What was asked for, and the container's own where nothing was. Lists of names are joined; a program of its own does not
/// get the container's arguments.
fn merge(mut asked: Config, own: Config) -> Config {
    let own_program = asked.contains_key("Entrypoint");
    for (key, value) in own {
        if key == "Cmd" && own_program {
            continue;
        }
        match (asked.get_mut(&key), value) {
            (None, value) => _ = asked.insert(key, value),
            (Some(Value::Object(mine)), Value::Object(theirs)) => {
                for (name, value) in theirs {
                    mine.entry(name).or_insert(value);
                }
            }
            (Some(Value::Array(mine)), Value::Array(theirs)) if key == "Env" => {
                let variable = |entry: &Value| {
                    let text = entry.as_str().unwrap_or_default();
                    text.split('=').next().unwrap_or_default().to_owned()
                };
                for entry in theirs {
                    if !mine.iter().any(|m| variable(m) == variable(&entry)) {
                        mine.push(entry);
                    }
                }
            }
            (Some(_), _) => {}
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: &Value) -> Config {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_asked_for_wins_and_names_are_joined() {
        let own = json!({ "Cmd": ["c"], "Env": ["A=1", "B=2"], "Labels": { "a": "1" }, "User": "u" });
        let rows = [
            (json!({}), own.clone()),
            (
                json!({ "Env": ["A=9"], "Labels": { "b": "2" }, "Cmd": ["x"] }),
                json!({ "Cmd": ["x"], "Env": ["A=9", "B=2"], "Labels": { "a": "1", "b": "2" }, "User": "u" }),
            ),
            (
                json!({ "Entrypoint": ["e"] }),
                json!({ "Entrypoint": ["e"], "Env": ["A=1", "B=2"], "Labels": { "a": "1" }, "User": "u" }),
            ),
        ];
        for (asked, expected) in rows {
            assert_eq!(Value::Object(merge(config(&asked), config(&own))), expected, "{asked}");
        }
    }

    #[test]
    fn bodies_may_be_missing_but_not_broken() {
        for none in ["", " ", "null", "{}", r#"{"Hostname":"x","Cmd":null,"User":""}"#] {
            assert_eq!(requested(none.as_bytes()).ok(), Some(Config::new()), "{none}");
        }
        for bad in ["{", "[]", "1"] {
            assert!(requested(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
