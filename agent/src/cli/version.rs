//! `hull version`

use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::template::Template;
use crate::cli::{Context, say};

/// Columns of names.
const COLUMN: usize = 20;

/// The architecture this program was built for, as images and Docker spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Shows both versions; ours even if the agent cannot be asked.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    let template = match given.some("format") {
        None => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let server: Result<Json, Failure> = context.client.get("/version").await;
    let api = context.client.version().await.unwrap_or(hull_api_docker::MAX_API_VERSION);
    let client = Json::texts([
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("ApiVersion", api.to_owned()),
        ("DefaultAPIVersion", hull_api_docker::MAX_API_VERSION.to_owned()),
        ("Os", std::env::consts::OS.to_owned()),
        ("Arch", architecture().to_owned()),
        ("Context", "default".to_owned()),
    ]);
    if let Some(template) = template {
        let known = server.as_ref().cloned().unwrap_or_default();
        let fields = [("Client".to_owned(), client), ("Server".to_owned(), known)];
        say(&format!("{}\n", template.render(&Json::Object(fields.into()))?))?;
        return server.map(|_| 0);
    }
    let newest = hull_api_docker::MAX_API_VERSION;
    let downgraded = if api == newest { String::new() } else { format!(" (downgraded from {newest})") };
    say(&format!(
        "Client: Hull\n{}{}{}{}",
        line(" Version", client.text("Version")),
        line(" API version", &format!("{api}{downgraded}")),
        line(" OS/Arch", &format!("{}/{}", client.text("Os"), client.text("Arch"))),
        line(" Context", "default"),
    ))?;
    say(&told(&server?))
}

fn line(name: &str, value: &str) -> String {
    format!("{:<COLUMN$}{value}\n", format!("{name}:"))
}

fn told(server: &Json) -> String {
    let platform = server.get("Platform").map(|p| p.text("Name")).unwrap_or_default();
    let mut text = format!("\nServer: {platform}").trim_end_matches(' ').to_owned() + "\n";
    let Some(Json::List(components)) = server.get("Components") else { return text };
    for component in components {
        text += &format!(" {}:\n", component.text("Name"));
        text += &line("  Version", component.text("Version"));
        let details = component.get("Details").cloned().unwrap_or_default();
        if component.text("Name") == "Engine" {
            text += &engine(&details);
        } else if let Json::Object(mut fields) = details {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let value = |v: &Json| if let Json::Text(text) = v { text.clone() } else { v.write(false) };
            text.extend(fields.iter().map(|(k, v)| line(&format!("  {k}"), &value(v))));
        }
    }
    text
}

fn engine(details: &Json) -> String {
    let built = details.text("BuildTime");
    let built = built.parse::<jiff::Timestamp>().map_or_else(
        |_| built.to_owned(),
        |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%a %b %e %H:%M:%S %Y").to_string(),
    );
    let api = format!("{} (minimum version {})", details.text("ApiVersion"), details.text("MinAPIVersion"));
    let rows = [
        ("  API version", api),
        ("  Go version", details.text("GoVersion").to_owned()),
        ("  Git commit", details.text("GitCommit").to_owned()),
        ("  Built", built),
        ("  OS/Arch", format!("{}/{}", details.text("Os"), details.text("Arch"))),
        ("  Experimental", details.text("Experimental").to_owned()),
    ];
    // What an engine does not have, it does not say.
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| line(name, &value)).collect()
}
