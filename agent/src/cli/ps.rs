//! `hull ps`: containers as Docker lists them.

mod ports;

use crate::cli::client::{filter_pair, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::human;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, say};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ports::Port;
use serde::Deserialize;
use std::collections::BTreeMap;

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const TABLE_WITH_SIZE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";
const HEADS: [(&str, &str); 14] = [
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];
/// Characters of a shortened command.
const COMMAND_WIDTH: usize = 20;
/// Characters of a shortened id.
const SHORT: usize = 12;

/// A container as the API lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    image: String,
    #[serde(default)]
    command: String,
    created: i64,
    #[serde(default)]
    ports: Vec<Port>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    state: String,
    status: String,
    #[serde(default)]
    network_settings: Networks,
    #[serde(default)]
    mounts: Vec<Mount>,
    #[serde(default)]
    size_rw: u64,
    #[serde(default)]
    size_root_fs: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Networks {
    networks: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(default)]
    name: String,
    #[serde(default)]
    source: String,
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    quiet: bool,
    whole: bool,
}

/// Lists containers.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let text = context.config.format(given.some("format"), "psFormat");
    let size = given.on("size") || Format::shows(text, ".Size") || Format::shows(text, "json .}");
    let format = Format::parse(text, if given.on("size") { TABLE_WITH_SIZE } else { TABLE })?;
    let last = Some(given.number("last")).filter(|n| *n > 0).or(given.on("latest").then_some(1));
    let mut pairs = Vec::new();
    if given.on("all") {
        pairs.push(("all", "1".to_owned()));
    }
    pairs.extend(last.map(|n| ("limit", n.to_string())));
    if size {
        pairs.push(("size", "1".to_owned()));
    }
    pairs.extend(filter_pair(&given.list("filter")));
    let containers: Vec<Container> = context.client.get(&format!("/containers/json{}", query(pairs))).await?;
    let shown = Shown {
        quiet: given.on("quiet") && matches!(text, None | Some("table")),
        whole: given.on("no-trunc"),
    };
    say(&write(&containers, shown, &format, Timestamp::now(), &TimeZone::system())?)
}

/// The containers of `system df -v`.
pub(super) fn usage(containers: &serde_json::Value) -> Result<String, Failure> {
    let containers: Vec<Container> = serde_json::from_value(containers.clone()).unwrap_or_default();
    let columns = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
    // What an image has is counted there.
    let own = containers.into_iter().map(|container| Container { size_root_fs: 0, ..container });
    let own: Vec<Container> = own.collect();
    write(&own, Shown::default(), &Format::parse(None, columns)?, Timestamp::now(), &TimeZone::system())
}

fn write(
    containers: &[Container],
    shown: Shown,
    format: &Format,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, Failure> {
    if shown.quiet {
        return Ok(containers.iter().map(|c| shorten(&c.id, shown.whole) + "\n").collect());
    }
    let rows: Vec<Json> = containers.iter().map(|c| row(c, shown.whole, now, zone)).collect();
    format.write(HEADS, &rows)
}

fn shorten(id: &str, whole: bool) -> String {
    if whole { id.to_owned() } else { id.chars().take(SHORT).collect() }
}

/// One container in the words of the columns.
fn row(container: &Container, whole: bool, now: Timestamp, zone: &TimeZone) -> Json {
    let created = Timestamp::from_second(container.created).unwrap_or(Timestamp::UNIX_EPOCH);
    // A name with a slash inside is that of a link: only the whole list has it.
    let names = container.names.iter().map(|n| n.trim_start_matches('/'));
    let names: Vec<&str> = names.filter(|n| whole || !n.contains('/')).collect();
    let labels: Vec<String> = container.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let networks: Vec<&str> = container.network_settings.networks.keys().map(String::as_str).collect();
    let mounts: Vec<String> = container.mounts.iter().map(|m| mount(m, whole)).collect();
    let volumes = container.mounts.iter().filter(|m| !m.name.is_empty()).count();
    let image = container.image.strip_prefix("sha256:").map(|id| shorten(id, whole));
    let known = container.labels.iter().map(|(k, v)| (k.clone(), Json::Text(v.clone()))).collect();
    let fields = [
        ("Command", command(&container.command, whole)),
        ("CreatedAt", human::date(created, zone)),
        ("ID", shorten(&container.id, whole)),
        ("Image", image.unwrap_or_else(|| container.image.clone())),
        ("Labels", labels.join(",")),
        ("LocalVolumes", volumes.to_string()),
        ("Mounts", mounts.join(",")),
        ("Names", names.join(",")),
        ("Networks", networks.join(",")),
        ("Ports", ports::column(&container.ports)),
        ("RunningFor", human::ago(created, now)),
        ("Size", size(container)),
        ("State", container.state.clone()),
        ("Status", container.status.clone()),
    ];
    let mut row = Json::row(fields, Json::Object(known));
    if let Json::Object(fields) = &mut row {
        // A list of this version of the API does not tell it; the column is there.
        let at = fields.iter().position(|(name, _)| name == "Ports").unwrap_or(0);
        fields.insert(at, ("Platform".to_owned(), Json::Null));
    }
    row
}

/// What a container wrote, and what it sees.
fn size(container: &Container) -> String {
    let own = human::size(container.size_rw);
    match container.size_root_fs {
        0 => own,
        all => format!("{own} (virtual {})", human::size(all)),
    }
}

fn mount(mount: &Mount, whole: bool) -> String {
    const WIDTH: usize = 15;
    let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
    if whole { name.clone() } else { human::shortened(name, WIDTH) }
}

fn command(command: &str, whole: bool) -> String {
    let shown = if whole { command.to_owned() } else { human::shortened(command, COMMAND_WIDTH) };
    format!(
        "\"{}\"",
        shown.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"[
        {"Id":"0123456789abcdef","Names":["/web"],"Image":"web:1","Command":"/bin/serve 'hello world'","Created":880,
         "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":443,"Type":"tcp"}],
         "Labels":{"tier":"front"},"State":"running","Status":"Up 2 minutes",
         "NetworkSettings":{"Networks":{"front":{}}},"Mounts":[{"Type":"volume","Name":"data","Source":"/v"}]},
        {"Id":"fedcba9876543210","Names":["/job"],"Image":"sha256:aaaaaaaaaaaaaaaa","Command":"sh","Created":0,
         "State":"exited","Status":"Exited (1) 3 seconds ago"}]"#;

    fn show(text: Option<&str>, shown: Shown) -> String {
        let containers: Vec<Container> = serde_json::from_str(LIST).unwrap();
        let format = Format::parse(text, TABLE).unwrap();
        write(&containers, shown, &format, Timestamp::from_second(1_000).unwrap(), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn the_table_is_dockers() {
        let golden = "\
CONTAINER ID   IMAGE          COMMAND                  CREATED          STATUS                     PORTS                           NAMES
0123456789ab   web:1          \"/bin/serve 'hello w…\"   2 minutes ago    Up 2 minutes               443/tcp, 0.0.0.0:8080->80/tcp   web
fedcba987654   aaaaaaaaaaaa   \"sh\"                     16 minutes ago   Exited (1) 3 seconds ago                                   job
";
        assert_eq!(show(None, Shown::default()), golden);
    }

    #[test]
    fn other_formats() {
        assert_eq!(
            show(Some("{{.Names}}\\t{{.Status}}"), Shown::default()),
            "web\tUp 2 minutes\njob\tExited (1) 3 seconds ago\n"
        );
        assert_eq!(
            show(Some("table {{.Names}}\\t{{.Labels}}"), Shown::default()),
            "NAMES     LABELS\nweb       tier=front\njob       \n"
        );
        let json = show(Some("json"), Shown::default());
        assert!(json.starts_with(r#"{"Command":"\"/bin/serve 'hello w…\"","CreatedAt":"1970-01-01 00:14:40 +0000 UTC","ID":"0123456789ab","#), "{json}");
        assert_eq!(show(None, Shown { quiet: true, whole: true }), "0123456789abcdef\nfedcba9876543210\n");
    }
}
