//! `hull search`: images in the default registry.

use crate::cli::client::{filter_pair, query};
use crate::cli::credentials;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, human, say};
use hyper::Method;
use serde_json::Value;

const TABLE: &str = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}";
const HEADS: [(&str, &str); 5] = [
    ("Description", "DESCRIPTION"),
    ("IsAutomated", "AUTOMATED"),
    ("IsOfficial", "OFFICIAL"),
    ("Name", "NAME"),
    ("StarCount", "STARS"),
];
const WIDTH: usize = 45;

/// Looks for images.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let format = Format::parse(given.some("format"), TABLE)?;
    let mut pairs = vec![("term", given.first().to_owned())];
    if given.number("limit") != 0 {
        pairs.push(("limit", given.number("limit").to_string()));
    }
    pairs.extend(filter_pair(&given.list("filter")));
    let (name, value) = credentials::find(&context.config, "docker.io")?.header();
    let path = format!("/images/search{}", query(pairs));
    let answer =
        context.client.submit(Method::GET, &path, &[(name, value)], crate::cli::client::whole("")).await?;
    let found: Vec<Value> = serde_json::from_slice(&crate::cli::client::read(answer).await?)
        .map_err(|e| Failure::new(format!("the answer cannot be understood: {e}")))?;
    let rows: Vec<Json> = found.iter().map(|image| row(image, given.on("no-trunc"))).collect();
    say(&format.write(HEADS, &rows)?)
}

fn row(image: &Value, whole: bool) -> Json {
    let text = |key: &str| image[key].as_str().unwrap_or_default();
    let yes = |key: &str| if image[key] == true { "[OK]".to_owned() } else { String::new() };
    let description = text("description").replace(['\n', '\r'], " ");
    let fields = [
        ("Description", if whole { description } else { human::shortened(&description, WIDTH) }),
        ("IsAutomated", yes("is_automated")),
        ("IsOfficial", yes("is_official")),
        ("Name", text("name").to_owned()),
        ("StarCount", image["star_count"].as_i64().unwrap_or(0).to_string()),
    ];
    Json::row(fields, Json::Null)
}
