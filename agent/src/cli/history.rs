//! `hull history`: how an image was made.

use crate::cli::client::{name, query};
use crate::cli::failure::Outcome;
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, create, human, say};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

const TABLE: &str = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const PLAIN_TABLE: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const SHORT: usize = 12;
const WIDTH: usize = 45;

/// Shows the steps, the last one first.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let human = given.on("human");
    let heads = [
        ("Comment", "COMMENT"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("CreatedSince", "CREATED"),
        ("ID", "IMAGE"),
        ("Size", "SIZE"),
    ];
    let text = given.some("format");
    let format = Format::parse(text, if human { TABLE } else { PLAIN_TABLE })?;
    let platform = given.some("platform").map(create::platform_document).transpose()?;
    let pairs = platform.map(|p| ("platform", p.to_string()));
    let path = format!("/images/{}/history{}", name(given.first()), query(pairs));
    let steps: Vec<Value> = context.client.get(&path).await?;
    let rows: Vec<Json> = steps.iter().map(|step| row(step, human, given.on("no-trunc"))).collect();
    if given.on("quiet") && matches!(text, None | Some("table")) {
        return say(&rows.iter().map(|r| format!("{}\n", r.text("ID"))).collect::<String>());
    }
    say(&format.write(heads, &rows)?)
}

fn row(step: &Value, human: bool, whole: bool) -> Json {
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let created = Timestamp::from_second(step["Created"].as_i64().unwrap_or(0)).unwrap_or_default();
    let at = if created == Timestamp::UNIX_EPOCH {
        "N/A".to_owned()
    } else {
        created
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
            .replace("+00:00", "Z")
    };
    let since = if at == "N/A" { at.clone() } else { human::ago(created, Timestamp::now()) };
    let by = text("CreatedBy").replace('\t', " ");
    let id = text("Id");
    let size = step["Size"].as_u64().unwrap_or(0);
    let fields = [
        ("Comment", text("Comment")),
        ("CreatedAt", at.clone()),
        ("CreatedBy", if whole { by } else { human::shortened(&by, WIDTH) }),
        ("CreatedSince", if human { since } else { at }),
        ("ID", if whole { id } else { id.trim_start_matches("sha256:").chars().take(SHORT).collect() }),
        ("Size", if human { human::size(size) } else { size.to_string() }),
    ];
    Json::row(fields, Json::Null)
}
