//! `hull inspect`: everything about an object, whatever it is.

use crate::cli::args::InspectOptions;
use crate::cli::client::{Client, escape};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Json;
use crate::cli::template::Template;
use std::io::Write as _;

/// Where objects are looked for, in this order.
const PLACES: [(&str, &str, &str); 4] = [
    ("container", "/containers/", "/json"),
    ("image", "/images/", "/json"),
    ("network", "/networks/", ""),
    ("volume", "/volumes/", ""),
];

/// Inspects objects.
pub(crate) async fn run(client: &Client, options: &InspectOptions) -> Outcome {
    let format = match options.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &options.names {
        match look(client, name, options.kind.as_deref()).await? {
            Some(object) => found.push(object),
            None => missing.push(name),
        }
    }
    let mut text = String::new();
    match &format {
        Some(template) => {
            for object in &found {
                text += &(template.render(object)? + "\n");
            }
        }
        None => text = Json::List(found).write(true) + "\n",
    }
    std::io::stdout().write_all(text.as_bytes())?;
    for name in &missing {
        eprintln!("Error: No such {}: {name}", options.kind.as_deref().unwrap_or("object"));
    }
    Ok(i32::from(!missing.is_empty()))
}

async fn look(client: &Client, name: &str, kind: Option<&str>) -> Result<Option<Json>, Failure> {
    for (place, before, after) in PLACES {
        if kind.is_some_and(|k| k != place) {
            continue;
        }
        match client.get(&format!("{before}{}{after}", escape(name))).await {
            Ok(object) => return Ok(Some(object)),
            Err(failure) if failure.not_found => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}
