//! `hull system df`: what takes how much disk.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, human, images, ps, say, table, volumes};
use serde_json::Value;

const TABLE: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const HEADS: [(&str, &str); 5] = [
    ("Active", "ACTIVE"),
    ("Reclaimable", "RECLAIMABLE"),
    ("Size", "SIZE"),
    ("TotalCount", "TOTAL"),
    ("Type", "TYPE"),
];

/// Shows what takes disk.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let text = given.some("format");
    if given.on("verbose") && text.is_some_and(|t| t != "table" && t != "json" && !t.contains("{{")) {
        return Err(Failure::new("the format cannot be used with --verbose"));
    }
    let usage: Value = context.client.get("/system/df").await?;
    if given.on("verbose") && text.is_none() {
        return say(&verbose(&usage)?);
    }
    let format = Format::parse(text, TABLE)?;
    say(&format.write(HEADS, &rows(&usage))?)
}

fn list<'a>(usage: &'a Value, key: &str) -> Vec<&'a Value> {
    usage[key].as_array().into_iter().flatten().collect()
}

fn sum<'a>(items: impl Iterator<Item = &'a Value>, key: &str) -> i64 {
    items.filter_map(|item| item[key].as_i64()).filter(|n| *n > 0).sum()
}

fn row(kind: &str, total: usize, active: usize, size: i64, free: i64, share: bool) -> Json {
    let bytes = |n: i64| human::size_in(4, n.max(0) as u64);
    let percent = if size > 0 && share { format!(" ({}%)", free * 100 / size) } else { String::new() };
    let fields = [
        ("Active", active.to_string()),
        ("Reclaimable", format!("{}{percent}", bytes(free))),
        ("Size", bytes(size)),
        ("TotalCount", total.to_string()),
        ("Type", kind.to_owned()),
    ];
    Json::row(fields, Json::Null)
}

fn rows(usage: &Value) -> Vec<Json> {
    let images = list(usage, "Images");
    let used = |i: &&&Value| i["Containers"].as_i64().unwrap_or(0) > 0;
    let layers = usage["LayersSize"].as_i64().unwrap_or(0);
    let in_use: i64 = images
        .iter()
        .filter(used)
        .filter(|i| i["Size"].as_i64() != Some(-1) && i["SharedSize"].as_i64() != Some(-1))
        .map(|i| i["Size"].as_i64().unwrap_or(0) - i["SharedSize"].as_i64().unwrap_or(0))
        .sum();
    let containers = list(usage, "Containers");
    let runs = |c: &&&Value| {
        let state = c["State"].as_str().unwrap_or_default();
        matches!(state, "running" | "paused" | "restarting")
    };
    let stopped = containers.iter().filter(|c| !runs(c)).copied();
    let volumes = list(usage, "Volumes");
    let links = |v: &&&Value| v["UsageData"]["RefCount"].as_i64().unwrap_or(0) > 0;
    let data = |v: &&'_ Value| v["UsageData"]["Size"].as_i64().unwrap_or(0).max(0);
    let volume_size: i64 = volumes.iter().map(data).sum();
    let volume_free: i64 = volumes.iter().filter(|v| !links(v)).map(data).sum();
    let cache = list(usage, "BuildCache");
    let cache_free = cache.iter().filter(|c| c["InUse"] != true && c["Shared"] != true).copied();
    vec![
        row("Images", images.len(), images.iter().filter(used).count(), layers, layers - in_use, true),
        row(
            "Containers",
            containers.len(),
            containers.iter().filter(runs).count(),
            sum(containers.iter().copied(), "SizeRw"),
            sum(stopped, "SizeRw"),
            true,
        ),
        row(
            "Local Volumes",
            volumes.len(),
            volumes.iter().filter(links).count(),
            volume_size,
            volume_free,
            true,
        ),
        row(
            "Build Cache",
            cache.len(),
            cache.iter().filter(|c| c["InUse"] == true).count(),
            sum(cache.iter().copied(), "Size"),
            sum(cache_free, "Size"),
            false,
        ),
    ]
}

fn verbose(usage: &Value) -> Result<String, Failure> {
    let mut text = format!("Images space usage:\n\n{}", images::usage(&usage["Images"])?);
    text += &format!("\nContainers space usage:\n\n{}", ps::usage(&usage["Containers"])?);
    let volumes: Vec<Json> = list(usage, "Volumes").into_iter().map(volumes::row).collect();
    let mut lines = vec!["VOLUME NAME\tLINKS\tSIZE".to_owned()];
    lines.extend(
        volumes.iter().map(|v| format!("{}\t{}\t{}", v.text("Name"), v.text("Links"), v.text("Size"))),
    );
    text += &format!("\nLocal Volumes space usage:\n\n{}", table::align(&lines));
    let cache = human::size(sum(list(usage, "BuildCache").into_iter(), "Size") as u64);
    let head = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED".to_owned();
    Ok(text + &format!("\nBuild cache usage: {cache}\n\n{}", table::align(&[head])))
}
