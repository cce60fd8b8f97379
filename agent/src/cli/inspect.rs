//! `hull inspect` and its like: everything about objects, as the API tells it.

use crate::cli::client::name;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::template::Template;
use crate::cli::{Context, say};
use hyper::Method;

/// Where objects are looked for, in this order.
const PLACES: [(&str, &str, &str); 4] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
];
/// Everything that Docker can inspect.
const TYPES: &str =
    r#""config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume""#;

/// `hull container inspect`
pub(crate) async fn container(context: &Context, given: &Given) -> Outcome {
    inspect(context, given, Some("container")).await
}

/// `hull image inspect`
pub(crate) async fn image(context: &Context, given: &Given) -> Outcome {
    inspect(context, given, Some("image")).await
}

/// `hull network inspect`
pub(crate) async fn network(context: &Context, given: &Given) -> Outcome {
    inspect(context, given, Some("network")).await
}

/// `hull volume inspect`
pub(crate) async fn volume(context: &Context, given: &Given) -> Outcome {
    inspect(context, given, Some("volume")).await
}

/// `hull inspect`
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let kind = given.some("type");
    match kind {
        None | Some("container" | "image" | "network" | "volume") => inspect(context, given, kind).await,
        Some(kind @ ("config" | "node" | "plugin" | "secret" | "service" | "task")) => Err(Failure::new(
            format!("Hull has no {kind}s: there is no swarm, and drivers are part of the agent."),
        )),
        Some(kind) => Err(Failure::new(format!("unknown type: {kind:?}: must be one of {TYPES}"))),
    }
}

async fn inspect(context: &Context, given: &Given, kind: Option<&str>) -> Outcome {
    let template = match given.some("format") {
        None | Some("json") => None,
        Some(format) => Some(Template::parse(format)?),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for object in &given.args {
        match look(context, given, object, kind).await {
            Ok(bytes) => found.push(
                serde_json::from_slice::<Json>(&bytes)
                    .map_err(|e| Failure::new(format!("{object} cannot be understood: {e}")))?,
            ),
            Err(failure) => failures.push(failure),
        }
    }
    let text = match &template {
        None => Json::List(found).write(given.some("format").is_none()) + "\n",
        Some(template) => {
            let mut text = String::new();
            for object in &found {
                text += &(template.render(object)? + "\n");
            }
            // A list that stays empty is an empty line, as Docker has it.
            if found.is_empty() { "\n".to_owned() } else { text }
        }
    };
    say(&text)?;
    let Some(last) = failures.last() else { return Ok(0) };
    let lines: Vec<&str> = failures.iter().map(|f| f.message.as_str()).collect();
    Err(Failure { message: lines.join("\n"), ..last.clone() })
}

async fn look(
    context: &Context,
    given: &Given,
    object: &str,
    kind: Option<&str>,
) -> Result<bytes::Bytes, Failure> {
    for (place, before, after) in PLACES {
        if kind.is_some_and(|k| k != place) {
            continue;
        }
        let size = if place == "container" && given.on("size") { "?size=1" } else { "" };
        match context.client.call(Method::GET, &format!("{before}{}{after}{size}", name(object)), None).await
        {
            Err(failure) if failure.not_found() && kind.is_none() => {}
            answer => return answer,
        }
    }
    Err(Failure::new(format!("Error: No such object: {object}")))
}
