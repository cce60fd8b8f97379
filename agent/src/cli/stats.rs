//! `hull stats`: what containers use.

use crate::cli::client::{Client, name};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, human, say};
use futures_util::future::join_all;
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

const TABLE: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";
const HEADS: [(&str, &str); 9] = [
    ("BlockIO", "BLOCK I/O"),
    ("CPUPerc", "CPU %"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("MemPerc", "MEM %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("Name", "NAME"),
    ("NetIO", "NET I/O"),
    ("PIDs", "PIDS"),
];
/// Goes to the upper left corner; the end of each line and of the screen is cleared.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K\n";
const CLEAR_REST: &str = "\x1b[J";
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
const SHORT: usize = 12;

/// Shows what containers use.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let client = &context.client;
    let text = context.config.format(given.some("format"), "statsFormat");
    let format = Format::parse(text, TABLE)?;
    if given.on("all") && !given.args.is_empty() {
        return Err(Failure::new(format!(
            "\"{} stats\" accepts no arguments when --all is given",
            crate::cli::PROGRAM
        )));
    }
    if given.on("no-stream") {
        let rows = look(client, given).await?;
        return say(&format.write(HEADS, &rows)?);
    }
    let on_screen = std::io::stdout().is_terminal();
    if on_screen {
        say("\x1b[2J")?;
    }
    loop {
        let rows = look(client, given).await?;
        let table = format.write(HEADS, &rows)?;
        let mut out = std::io::stdout();
        write!(out, "{HOME}{}{CLEAR_REST}", table.replace('\n', CLEAR_LINE))?;
        out.flush()?;
        // Containers that were named and are gone leave nothing to look at.
        if rows.is_empty() && !given.args.is_empty() {
            return Ok(0);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// One look at each container, all at once: the agent measures for a second.
async fn look(client: &Client, given: &Given) -> Result<Vec<Json>, Failure> {
    let named = !given.args.is_empty();
    let ids: Vec<String> = if named {
        given.args.clone()
    } else {
        let all = if given.on("all") { "?all=1" } else { "" };
        let listed: Vec<Value> = client.get(&format!("/containers/json{all}")).await?;
        listed.iter().filter_map(|c| c["Id"].as_str()).map(str::to_owned).collect()
    };
    let one = async |id: &String| -> Result<Value, Failure> {
        client.get(&format!("/containers/{}/stats?stream=0", name(id))).await
    };
    let mut rows = Vec::new();
    for (id, stats) in ids.iter().zip(join_all(ids.iter().map(one)).await) {
        match stats {
            Ok(stats) => rows.push(row(id, &stats, given.on("no-trunc"), named)),
            // One that ended between two looks is no error; one that was named is.
            Err(failure) if named => return Err(failure),
            Err(_) => {}
        }
    }
    Ok(rows)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

/// Share of the processors since the look before.
fn cpu(stats: &Value) -> f64 {
    let (now, before) = (&stats["cpu_stats"], &stats["precpu_stats"]);
    let used = number(&now["cpu_usage"]["total_usage"]) - number(&before["cpu_usage"]["total_usage"]);
    let all = number(&now["system_cpu_usage"]) - number(&before["system_cpu_usage"]);
    let listed = now["cpu_usage"]["percpu_usage"].as_array().map_or(0, Vec::len);
    let processors = match number(&now["online_cpus"]) {
        n if n > 0.0 => n,
        _ => listed as f64,
    };
    if used > 0.0 && all > 0.0 { used / all * processors * 100.0 } else { 0.0 }
}

/// Memory in use, without what the page cache could give back at once.
fn memory(stats: &Value) -> f64 {
    let usage = number(&stats["memory_stats"]["usage"]);
    let detail = &stats["memory_stats"]["stats"];
    let idle = ["total_inactive_file", "inactive_file"].iter().find_map(|key| detail[*key].as_f64());
    idle.filter(|idle| *idle < usage).map_or(usage, |idle| usage - idle)
}

fn row(asked: &str, stats: &Value, whole: bool, named: bool) -> Json {
    let limit = number(&stats["memory_stats"]["limit"]);
    let used = memory(stats);
    let share = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    let networks = || stats["networks"].as_object().into_iter().flat_map(|n| n.values());
    let sum = |key: &str| networks().map(|n| number(&n[key])).sum::<f64>() as u64;
    let io = |op: &str| -> u64 {
        let rows = stats["blkio_stats"]["io_service_bytes_recursive"].as_array().into_iter().flatten();
        rows.filter(|r| r["op"].as_str().is_some_and(|o| o.eq_ignore_ascii_case(op)))
            .map(|r| r["value"].as_u64().unwrap_or(0))
            .sum()
    };
    let id = stats["id"].as_str().or_else(|| stats["Id"].as_str()).unwrap_or(asked);
    let short = |id: &str| if whole { id.to_owned() } else { id.chars().take(SHORT).collect() };
    let fields = [
        ("BlockIO", format!("{} / {}", human::size(io("read")), human::size(io("write")))),
        ("CPUPerc", format!("{:.2}%", cpu(stats))),
        ("Container", if named { asked.to_owned() } else { short(id) }),
        ("ID", short(id)),
        ("MemPerc", format!("{share:.2}%")),
        ("MemUsage", format!("{} / {}", human::memory(used as u64), human::memory(limit as u64))),
        ("Name", stats["name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned()),
        ("NetIO", format!("{} / {}", human::size(sum("rx_bytes")), human::size(sum("tx_bytes")))),
        ("PIDs", stats["pids_stats"]["current"].as_u64().unwrap_or(0).to_string()),
    ];
    Json::row(fields, Json::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_are_counted_between_two_looks() {
        let stats = json!({
            "id": "0123456789abcdef", "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
            "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 5}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 7}, {"op": "write", "value": 9}]},
            "pids_stats": {"current": 4},
        });
        let row = row("web", &stats, false, true);
        let shown =
            ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"].map(|k| row.text(k));
        assert_eq!(
            shown,
            ["0123456789ab", "web", "40.00%", "2MiB / 8MiB", "25.00%", "1kB / 5B", "7B / 9B", "4"]
        );
    }
}
