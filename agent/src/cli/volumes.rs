//! `hull volume`

use crate::cli::client::{filter_pair, name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, create, report, say};
use hyper::Method;
use serde_json::{Value, json};
use std::io::Write as _;

const TABLE: &str = "{{.Driver}}\t{{.Name}}";
const HEADS: [(&str, &str); 10] = [
    ("Availability", "AVAILABILITY"),
    ("Driver", "DRIVER"),
    ("Group", "GROUP"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
    ("Size", "SIZE"),
    ("Status", "STATUS"),
];

/// `hull volume create`
pub(crate) async fn create(context: &Context, given: &Given) -> Outcome {
    if given.changed("name") && !given.args.is_empty() {
        return Err(Failure::new(
            "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
        ));
    }
    let document = json!({
        "Name": given.args.first().map_or(given.text("name"), String::as_str),
        "Driver": given.text("driver"),
        "DriverOpts": create::pairs(&given.list("opt")),
        "Labels": create::pairs(&given.list("label")),
    });
    let made = context.client.post("/volumes/create", Some(&document)).await?;
    say(&format!("{}\n", made["Name"].as_str().unwrap_or_default()))
}

/// One volume in the words of the columns.
pub(super) fn row(volume: &Value) -> Json {
    let text = |key: &str| volume[key].as_str().unwrap_or_default().to_owned();
    let labels: Vec<(String, String)> = volume["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
        .collect();
    let usage = |key: &str| volume["UsageData"][key].as_u64();
    let fields = [
        ("Availability", "N/A".to_owned()),
        ("Driver", text("Driver")),
        ("Group", "N/A".to_owned()),
        ("Labels", labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")),
        ("Links", usage("RefCount").map_or_else(|| "N/A".to_owned(), |n| n.to_string())),
        ("Mountpoint", text("Mountpoint")),
        ("Name", text("Name")),
        ("Scope", text("Scope")),
        ("Size", usage("Size").map_or_else(|| "N/A".to_owned(), crate::cli::human::size)),
        ("Status", "N/A".to_owned()),
    ];
    Json::row(fields, Json::Object(labels.into_iter().map(|(k, v)| (k, Json::Text(v))).collect()))
}

/// `hull volume ls`
pub(crate) async fn list(context: &Context, given: &Given) -> Outcome {
    let text = context.config.format(given.some("format"), "volumesFormat");
    let format = Format::parse(text, TABLE)?;
    let answer: Value =
        context.client.get(&format!("/volumes{}", query(filter_pair(&given.list("filter"))))).await?;
    let mut volumes: Vec<&Value> = answer["Volumes"].as_array().into_iter().flatten().collect();
    volumes.sort_by_key(|v| v["Name"].as_str().unwrap_or_default());
    if given.on("quiet") && matches!(text, None | Some("table")) {
        let names = volumes.iter().map(|v| format!("{}\n", v["Name"].as_str().unwrap_or_default()));
        return say(&names.collect::<String>());
    }
    let rows: Vec<Json> = volumes.into_iter().map(row).collect();
    say(&format.write(HEADS, &rows)?)
}

/// `hull volume rm`
pub(crate) async fn remove(context: &Context, given: &Given) -> Outcome {
    let force = if given.on("force") { "?force=1" } else { "" };
    let mut failed: Option<Failure> = None;
    for volume in &given.args {
        match context.client.call(Method::DELETE, &format!("/volumes/{}{force}", name(volume)), None).await {
            Ok(_) => writeln!(std::io::stdout(), "{volume}")?,
            Err(failure) => report(&mut failed, failure),
        }
    }
    failed.map_or(Ok(0), Err)
}
