//! `hull info`: what the agent knows of the host.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::flags::Given;
use crate::cli::json::Json;
use crate::cli::template::Template;
use crate::cli::{Context, human, say};
use serde_json::Value;
use std::fmt::Write as _;

/// Shows the information.
pub(crate) async fn run(context: &Context, given: &Given) -> Outcome {
    if let Some(format) = given.some("format") {
        let format = if format == "json" { "{{json .}}" } else { format };
        let template = Template::parse(format)?;
        let mut info: Json = context.client.get("/info").await?;
        if let Json::Object(fields) = &mut info {
            let client =
                [("Version", env!("CARGO_PKG_VERSION").to_owned()), ("Context", "default".to_owned())];
            fields.push(("ClientInfo".to_owned(), Json::texts(client)));
        }
        return say(&format!("{}\n", template.render(&info)?));
    }
    say(&format!(
        "Client: Hull\n Version:    {}\n Context:    default\n Debug Mode: false\n\n",
        env!("CARGO_PKG_VERSION")
    ))?;
    match context.client.get::<Value>("/info").await {
        Ok(info) => {
            for warning in info["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                eprintln!("{warning}");
            }
            say(&told(&info))
        }
        Err(failure) => {
            say("Server:\n")?;
            Err(Failure { message: format!("{}\nerrors pretty printing info", failure.message), ..failure })
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The names of a list, in a row.
fn words(value: &Value) -> String {
    let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(" ")
}

fn told(info: &Value) -> String {
    let mut text = "Server:\n".to_owned();
    let mut line = |name: &str, value: String| _ = writeln!(text, " {name}: {value}");
    let plain = |key: &str| shown(&info[key]);
    line("Containers", plain("Containers"));
    for (name, key) in
        [("Running", "ContainersRunning"), ("Paused", "ContainersPaused"), ("Stopped", "ContainersStopped")]
    {
        line(&format!(" {name}"), plain(key));
    }
    line("Images", plain("Images"));
    for (name, key) in [("Server Version", "ServerVersion"), ("Storage Driver", "Driver")] {
        if !plain(key).is_empty() {
            line(name, plain(key));
        }
    }
    for pair in info["DriverStatus"].as_array().into_iter().flatten() {
        line(&format!(" {}", shown(&pair[0])), shown(&pair[1]));
    }
    for (name, key) in [
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    ] {
        if !plain(key).is_empty() {
            line(name, plain(key));
        }
    }
    text + &drivers(info) + &host(info)
}

fn drivers(info: &Value) -> String {
    let mut text = " Plugins:\n".to_owned();
    for key in ["Volume", "Network", "Authorization", "Log"] {
        let names = words(&info["Plugins"][key]);
        if !names.is_empty() {
            _ = writeln!(text, "  {key}: {names}");
        }
    }
    let folders: Vec<&str> =
        info["CDISpecDirs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !folders.is_empty() {
        text += " CDI spec directories:\n";
        text.extend(folders.iter().map(|folder| format!("  {folder}\n")));
    }
    if let Some(state) = info["Swarm"]["LocalNodeState"].as_str() {
        _ = writeln!(text, " Swarm: {state}");
    }
    let mut runtimes: Vec<&str> =
        info["Runtimes"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    runtimes.sort_unstable();
    if !runtimes.is_empty() {
        _ = writeln!(
            text,
            " Runtimes: {}\n Default Runtime: {}",
            runtimes.join(" "),
            shown(&info["DefaultRuntime"])
        );
    }
    let programs = [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")];
    if info["InitBinary"].as_str().is_some_and(|program| !program.is_empty()) {
        _ = writeln!(text, " Init Binary: {}", shown(&info["InitBinary"]));
    }
    for (name, key) in programs {
        if !info[key].is_null() && info["OSType"] == "linux" {
            _ = writeln!(text, " {name} version: {}", shown(&info[key]["ID"]));
        }
    }
    text
}

fn host(info: &Value) -> String {
    let mut text = String::new();
    let options: Vec<&str> =
        info["SecurityOptions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !options.is_empty() {
        text += " Security Options:\n";
    }
    for option in options {
        for part in option.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => _ = writeln!(text, "  {name}"),
                Some(("profile", profile)) => _ = writeln!(text, "   Profile: {profile}"),
                Some((key, value)) => _ = writeln!(text, "   {key}: {value}"),
                None => _ = writeln!(text, "  {part}"),
            }
        }
    }
    let rows = [
        ("Kernel Version", shown(&info["KernelVersion"])),
        ("Operating System", shown(&info["OperatingSystem"])),
        ("OSType", shown(&info["OSType"])),
        ("Architecture", shown(&info["Architecture"])),
        ("CPUs", shown(&info["NCPU"])),
        ("Total Memory", human::memory(info["MemTotal"].as_u64().unwrap_or(0))),
        ("Name", shown(&info["Name"])),
        ("ID", shown(&info["ID"])),
        ("Docker Root Dir", shown(&info["DockerRootDir"])),
        ("Debug Mode", shown(&info["Debug"])),
        ("HTTP Proxy", shown(&info["HttpProxy"])),
        ("HTTPS Proxy", shown(&info["HttpsProxy"])),
        ("No Proxy", shown(&info["NoProxy"])),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        _ = writeln!(text, " {name}: {value}");
    }
    let labels = info["Labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let labels: Vec<String> = labels.map(|label| format!("  {label}\n")).collect();
    if !labels.is_empty() {
        text += &format!(" Labels:\n{}", labels.concat());
    }
    _ = writeln!(text, " Experimental: {}", info["ExperimentalBuild"] == true);
    text += &registries(info);
    _ = writeln!(text, " Live Restore Enabled: {}", info["LiveRestoreEnabled"] == true);
    text + "\n"
}

fn registries(info: &Value) -> String {
    let config = &info["RegistryConfig"];
    let indexes = config["IndexConfigs"].as_object().into_iter().flatten();
    let mut open: Vec<&str> =
        indexes.filter(|(_, i)| i["Secure"] == false).map(|(name, _)| name.as_str()).collect();
    open.sort_unstable();
    let ranges = config["InsecureRegistryCIDRs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut text = " Insecure Registries:\n".to_owned();
    text.extend(open.into_iter().chain(ranges).map(|name| format!("  {name}\n")));
    let mirrors: Vec<&str> =
        config["Mirrors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !mirrors.is_empty() {
        text += " Registry Mirrors:\n";
        text.extend(mirrors.iter().map(|mirror| format!("  {mirror}\n")));
    }
    text
}
