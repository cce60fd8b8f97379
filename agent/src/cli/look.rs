//! What can be seen of a container: changed files, ports, processes.

use crate::cli::client::{name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::{Context, say, table};
use serde_json::Value;

/// `hull diff`
pub(crate) async fn diff(context: &Context, given: &Given) -> Outcome {
    if given.first().is_empty() {
        return Err(Failure::new("Container name cannot be empty"));
    }
    let changes: Value = context.client.get(&format!("/containers/{}/changes", name(given.first()))).await?;
    let mut text = String::new();
    for change in changes.as_array().into_iter().flatten() {
        let kind = match change["Kind"].as_i64() {
            Some(0) => 'C',
            Some(1) => 'A',
            _ => 'D',
        };
        text += &format!("{kind} {}\n", change["Path"].as_str().unwrap_or_default());
    }
    say(&text)
}

/// `hull port`
pub(crate) async fn port(context: &Context, given: &Given) -> Outcome {
    let container: Value = context.client.get(&format!("/containers/{}/json", name(given.first()))).await?;
    let ports = container["NetworkSettings"]["Ports"].as_object();
    let addresses = |bindings: &Value| -> Vec<String> {
        let address = |b: &Value| {
            let (ip, port) =
                (b["HostIp"].as_str().unwrap_or_default(), b["HostPort"].as_str().unwrap_or_default());
            if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
        };
        bindings.as_array().into_iter().flatten().map(address).collect()
    };
    if let Some(wanted) = given.second() {
        let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
        if number.parse::<u16>().is_err() {
            return Err(Failure::new(format!(
                "Error: invalid port ({number}): strconv.ParseUint: parsing {number:?}: invalid syntax"
            )));
        }
        let bindings = ports.and_then(|p| p.get(&format!("{number}/{protocol}"))).filter(|b| !b.is_null());
        let Some(bindings) = bindings else {
            return Err(Failure::new(format!(
                "Error: No public port '{wanted}' published for {}",
                given.first()
            )));
        };
        return say(&addresses(bindings).into_iter().map(|a| a + "\n").collect::<String>());
    }
    let mut rows: Vec<(u16, String, String)> = Vec::new();
    for (port, bindings) in ports.into_iter().flatten() {
        let number = port.split('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        rows.extend(addresses(bindings).into_iter().map(|address| (number, port.clone(), address)));
    }
    rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    say(&rows.iter().map(|(_, port, address)| format!("{port} -> {address}\n")).collect::<String>())
}

/// Columns of `top` are not wider than what they hold.
const TOP_WIDTH: usize = 20;

/// `hull top`
pub(crate) async fn top(context: &Context, given: &Given) -> Outcome {
    let options = given.args[1..].join(" ");
    let pairs = (!options.is_empty()).then_some(("ps_args", options));
    let path = format!("/containers/{}/top{}", name(given.first()), query(pairs));
    let processes: Value = context.client.get(&path).await?;
    let line = |row: &Value| -> String {
        let cells: Vec<&str> = row.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        cells.join("\t")
    };
    let mut lines = vec![line(&processes["Titles"])];
    lines.extend(processes["Processes"].as_array().into_iter().flatten().map(line));
    say(&table::align_to(&lines, TOP_WIDTH))
}
