//! `hull network`

use crate::cli::client::{filter_pair, name, query};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::rows::Format;
use crate::cli::{Context, create, report, say};
use hyper::Method;
use serde_json::{Map, Value, json};
use std::io::Write as _;

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
const HEADS: [(&str, &str); 9] = [
    ("CreatedAt", "CREATED AT"),
    ("Driver", "DRIVER"),
    ("ID", "NETWORK ID"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("Name", "NAME"),
    ("Scope", "SCOPE"),
];
const SHORT: usize = 12;

/// `hull network connect`
pub(crate) async fn connect(context: &Context, given: &Given) -> Outcome {
    let owned = |flag: &str| given.list(flag).iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let options = create::pairs(&given.list("driver-opt"));
    let links = given.list("link");
    let endpoint = create::networks::endpoint_of(
        given.text("ip"),
        given.text("ip6"),
        &owned("link-local-ip"),
        &owned("alias"),
        &links,
        |endpoint| {
            endpoint["DriverOpts"] = if options.is_empty() { Value::Null } else { Value::Object(options) };
            endpoint["GwPriority"] = json!(given.number("gw-priority"));
        },
    );
    let document = json!({ "Container": given.second(), "EndpointConfig": endpoint });
    context.client.post(&format!("/networks/{}/connect", name(given.first())), Some(&document)).await?;
    Ok(0)
}

/// `hull network disconnect`
pub(crate) async fn disconnect(context: &Context, given: &Given) -> Outcome {
    let document = json!({ "Container": given.second(), "Force": given.on("force") });
    context.client.post(&format!("/networks/{}/disconnect", name(given.first())), Some(&document)).await?;
    Ok(0)
}

/// `hull network create`
pub(crate) async fn create(context: &Context, given: &Given) -> Outcome {
    let mut document = json!({
        "Name": given.first(),
        "Driver": given.text("driver"),
        "Scope": given.text("scope"),
        "IPAM": {
            "Driver": given.text("ipam-driver"),
            "Options": create::pairs(&given.list("ipam-opt")),
            "Config": pools(given)?,
        },
        "Internal": given.on("internal"),
        "Attachable": given.on("attachable"),
        "Ingress": given.on("ingress"),
        "ConfigOnly": given.on("config-only"),
        "ConfigFrom": given.some("config-from").map(|network| json!({ "Network": network })),
        "Options": create::pairs(&given.list("opt")),
        "Labels": create::pairs(&given.list("label")),
    });
    for (flag, key) in [("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")] {
        if given.changed(flag) {
            document[key] = json!(given.on(flag));
        }
    }
    let made = context.client.post("/networks/create", Some(&document)).await?;
    if let Some(warning) = made["Warning"].as_str().filter(|w| !w.is_empty()) {
        eprintln!("WARNING: {warning}");
    }
    say(&format!("{}\n", made["Id"].as_str().unwrap_or_default()))
}

/// Whether an address or a range lies in a subnet.
fn lies_in(subnet: &str, text: &str) -> bool {
    let bits = |text: &str| -> Option<(u128, u32)> {
        match text.parse::<std::net::IpAddr>().ok()? {
            std::net::IpAddr::V4(ip) => Some((u128::from(u32::from(ip)) << 96, 32)),
            std::net::IpAddr::V6(ip) => Some((u128::from(ip), 128)),
        }
    };
    let inside = || -> Option<bool> {
        let (network, length) = subnet.split_once('/')?;
        let ((network, width), length) = (bits(network)?, length.parse::<u32>().ok()?);
        let (address, other) = bits(text.split('/').next()?)?;
        let shift = 128u32.checked_sub(length)?;
        let same = shift == 128 || network >> shift == address >> shift;
        Some(width == other && same)
    };
    inside().unwrap_or(false)
}

/// Subnets, each with the range, gateway and taken addresses that lie in it.
fn pools(given: &Given) -> Result<Vec<Value>, Failure> {
    let subnets = given.list("subnet");
    if subnets.is_empty() && !(given.list("ip-range").is_empty() && given.list("gateway").is_empty()) {
        return Err(Failure::new("every ip-range or gateway must have a corresponding subnet"));
    }
    let mut pools: Vec<Value> = subnets.iter().map(|subnet| json!({ "Subnet": subnet })).collect();
    let home = |text: &str| subnets.iter().position(|subnet| lies_in(subnet, text));
    for (flag, key, called) in [("ip-range", "IPRange", "range"), ("gateway", "Gateway", "gateway")] {
        for text in given.list(flag) {
            let index =
                home(text).ok_or_else(|| Failure::new(format!("no matching subnet for {called} {text}")))?;
            pools[index][key] = json!(text);
        }
    }
    for text in given.list("aux-address") {
        let (label, address) = text.split_once('=').unwrap_or((text, ""));
        let index = home(address)
            .ok_or_else(|| Failure::new(format!("no matching subnet for aux-address {address}")))?;
        pools[index]["AuxiliaryAddresses"][label] = json!(address);
    }
    Ok(pools)
}

fn row(network: &Value, whole: bool) -> Json {
    let text = |key: &str| network[key].as_str().unwrap_or_default().to_owned();
    let labels: Map<String, Value> = network["Labels"].as_object().cloned().unwrap_or_default();
    let label = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let id = text("Id");
    let fields = [
        ("CreatedAt", text("Created").replace('T', " ").replace('Z', " +0000 UTC")),
        ("Driver", text("Driver")),
        ("ID", if whole { id } else { id.chars().take(SHORT).collect() }),
        ("IPv4", network["EnableIPv4"].as_bool().unwrap_or(true).to_string()),
        ("IPv6", (network["EnableIPv6"] == true).to_string()),
        ("Internal", (network["Internal"] == true).to_string()),
        ("Labels", labels.iter().map(|(k, v)| format!("{k}={}", label(v))).collect::<Vec<_>>().join(",")),
        ("Name", text("Name")),
        ("Scope", text("Scope")),
    ];
    Json::row(fields, Json::Object(labels.iter().map(|(k, v)| (k.clone(), Json::Text(label(v)))).collect()))
}

/// `hull network ls`
pub(crate) async fn list(context: &Context, given: &Given) -> Outcome {
    let text = context.config.format(given.some("format"), "networksFormat");
    let format = Format::parse(text, TABLE)?;
    let mut networks: Vec<Value> =
        context.client.get(&format!("/networks{}", query(filter_pair(&given.list("filter"))))).await?;
    networks.sort_by_key(|n| n["Name"].as_str().unwrap_or_default().to_owned());
    let rows: Vec<Json> = networks.iter().map(|n| row(n, given.on("no-trunc"))).collect();
    if given.on("quiet") && matches!(text, None | Some("table")) {
        return say(&rows.iter().map(|r| format!("{}\n", r.text("ID"))).collect::<String>());
    }
    say(&format.write(HEADS, &rows)?)
}

/// `hull network rm`
pub(crate) async fn remove(context: &Context, given: &Given) -> Outcome {
    let mut failed = false;
    for network in &given.args {
        match context.client.call(Method::DELETE, &format!("/networks/{}", name(network)), None).await {
            Ok(_) => writeln!(std::io::stdout(), "{network}")?,
            Err(failure) if given.on("force") && failure.not_found() => {}
            Err(failure) => {
                let mut told: Option<Failure> = Some(failure);
                failed = true;
                report(&mut told, Failure::silent(1));
            }
        }
    }
    // Docker's last line says no more than that something failed.
    if failed { Err(Failure::new("exit status 1")) } else { Ok(0) }
}
