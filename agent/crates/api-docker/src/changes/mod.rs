//! Changes to an image's configuration, written as the few instructions of a Dockerfile that only concern it. Pure.

mod health;
mod words;

use hull_model::parse_signal;
use serde_json::{Map, Value, json};
use words::Line;

type Outcome = Result<(), String>;
/// An image's `config` object (OCI image specification, "Image Configuration").
pub(crate) type Config = Map<String, Value>;

const SHELL: &[&str] = &["/bin/sh", "-c"];

/// Applies changes to a configuration. The first that cannot be understood is named in Docker's words, and then nothing of
/// the configuration is to be used.
pub(crate) fn apply(config: &mut Config, changes: &[String]) -> Result<(), String> {
    if changes.is_empty() {
        return Ok(());
    }
    let lines = words::lines(&changes.join("\n"));
    if lines.is_empty() {
        return Err("file with no instructions".to_owned());
    }
    // Everything is known by name before anything is done, as Docker does.
    if let Some(unknown) = lines.iter().find(|line| instruction(&line.instruction).is_none()) {
        return Err(format!("{} is not a valid change command", unknown.instruction));
    }
    let command_set = lines.iter().any(|line| line.instruction == "CMD");
    for line in &lines {
        let takes_flags = line.instruction == "HEALTHCHECK";
        if let Some((name, _)) = line.flags.first().filter(|_| !takes_flags) {
            return Err(format!("unknown flag: --{name}"));
        }
        if let Some(act) = instruction(&line.instruction) {
            act(config, line)?;
        }
        if line.instruction == "ENTRYPOINT" && starts_something(&line.rest) && !command_set {
            config.insert("Cmd".to_owned(), Value::Null);
        }
    }
    Ok(())
}

fn instruction(name: &str) -> Option<fn(&mut Config, &Line) -> Outcome> {
    Some(match name {
        "CMD" => command,
        "ENTRYPOINT" => entrypoint,
        "ENV" => environment,
        "EXPOSE" => expose,
        "LABEL" => label,
        "ONBUILD" => on_build,
        "USER" => user,
        "VOLUME" => volume,
        "WORKDIR" => working_dir,
        "HEALTHCHECK" => health::healthcheck,
        "STOPSIGNAL" => stop_signal,
        _ => return None,
    })
}

fn env_of(config: &Config) -> Vec<String> {
    strings(config.get("Env"))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// What follows, if it is there at all.
fn required<'a>(line: &'a Line, how_many: &str) -> Result<&'a str, String> {
    match line.rest.as_str() {
        "" => Err(format!("{} requires {how_many}", line.instruction)),
        rest => Ok(rest),
    }
}

const SOME: &str = "at least one argument";
const ONE: &str = "exactly one argument";

/// A list in JSON as it is; anything else is for the shell.
fn program(config: &Config, rest: &str) -> Result<Vec<String>, String> {
    if let Some(list) = words::json_list(rest) {
        return list;
    }
    let mut shell = strings(config.get("Shell"));
    if shell.is_empty() {
        shell = SHELL.iter().map(|&s| s.to_owned()).collect();
    }
    if !rest.is_empty() {
        shell.push(rest.to_owned());
    }
    Ok(shell)
}

fn command(config: &mut Config, line: &Line) -> Outcome {
    let program = program(config, &line.rest)?;
    config.insert("Cmd".to_owned(), if program.is_empty() { Value::Null } else { json!(program) });
    Ok(())
}

/// An empty entry point says nothing.
fn starts_something(rest: &str) -> bool {
    !rest.is_empty() && words::json_list(rest).is_none_or(|list| list.is_ok_and(|words| !words.is_empty()))
}

fn entrypoint(config: &mut Config, line: &Line) -> Outcome {
    let program = program(config, &line.rest)?;
    if starts_something(&line.rest) {
        config.insert("Entrypoint".to_owned(), json!(program));
    }
    Ok(())
}

/// `name value` or `name=value name=value`, resolved.
fn pairs(config: &Config, line: &Line) -> Result<Vec<(String, String)>, String> {
    let rest = required(line, SOME)?;
    let words = words::split(rest);
    let raw: Vec<(String, String)> = match words.first().is_some_and(|word| word.contains('=')) {
        true => words.iter().map(|word| named(word)).collect::<Result<_, _>>()?,
        false => {
            let (name, value) = rest
                .split_once(char::is_whitespace)
                .ok_or_else(|| format!("{} must have two arguments", line.instruction))?;
            vec![(name.to_owned(), value.trim_start().to_owned())]
        }
    };
    let env = env_of(config);
    let resolved = raw
        .into_iter()
        .map(|(name, value)| Ok((words::resolve(&name, &env)?, words::resolve(&value, &env)?)));
    let resolved: Vec<_> = resolved.collect::<Result<_, String>>()?;
    match resolved.iter().any(|(name, _)| name.is_empty()) {
        true => Err(format!("{} names can not be blank", line.instruction)),
        false => Ok(resolved),
    }
}

fn named(word: &str) -> Result<(String, String), String> {
    let missing = || format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value");
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(missing)
}

fn environment(config: &mut Config, line: &Line) -> Outcome {
    let mut env = env_of(config);
    for (name, value) in pairs(config, line)? {
        let entry = format!("{name}={value}");
        match env.iter_mut().find(|e| e.split_once('=').is_some_and(|(key, _)| key == name)) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    config.insert("Env".to_owned(), json!(env));
    Ok(())
}

/// The object below a key, made if there is none.
fn object<'a>(config: &'a mut Config, key: &str) -> &'a mut Config {
    let slot = config.entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object"),
    }
}

fn label(config: &mut Config, line: &Line) -> Outcome {
    let pairs = pairs(config, line)?;
    object(config, "Labels").extend(pairs.into_iter().map(|(name, value)| (name, json!(value))));
    Ok(())
}

fn expose(config: &mut Config, line: &Line) -> Outcome {
    let env = env_of(config);
    let mut ports = Vec::new();
    for word in words::split(required(line, SOME)?) {
        ports.extend(exposed(&words::resolve(&word, &env)?)?);
    }
    object(config, "ExposedPorts").extend(ports.into_iter().map(|port| (port, json!({}))));
    Ok(())
}

/// The ports that `[address:][host:]port[-port][/protocol]` exposes.
fn exposed(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let container = ports.rsplit(':').next().unwrap_or_default();
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("Invalid containerPort: {container}"));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("Invalid containerPort: {container}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn on_build(config: &mut Config, line: &Line) -> Outcome {
    let rest = required(line, SOME)?;
    let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match trigger.as_str() {
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        "FROM" | "MAINTAINER" => return Err(format!("{trigger} isn't allowed as an ONBUILD trigger")),
        _ => {}
    }
    let mut triggers = strings(config.get("OnBuild"));
    triggers.push(rest.to_owned());
    config.insert("OnBuild".to_owned(), json!(triggers));
    Ok(())
}

fn user(config: &mut Config, line: &Line) -> Outcome {
    let user = words::resolve(required(line, ONE)?, &env_of(config))?;
    config.insert("User".to_owned(), json!(user));
    Ok(())
}

fn volume(config: &mut Config, line: &Line) -> Outcome {
    let rest = required(line, SOME)?;
    let list = words::json_list(rest).unwrap_or_else(|| Ok(words::split(rest)))?;
    let env = env_of(config);
    let paths = list.iter().map(|path| words::resolve(path.trim(), &env)).collect::<Result<Vec<_>, _>>()?;
    if paths.iter().any(String::is_empty) {
        return Err("VOLUME specified can not be an empty string".to_owned());
    }
    object(config, "Volumes").extend(paths.into_iter().map(|path| (path, json!({}))));
    Ok(())
}

fn working_dir(config: &mut Config, line: &Line) -> Outcome {
    let path = words::resolve(required(line, ONE)?, &env_of(config))?;
    let current = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default();
    let whole = if path.starts_with('/') { path } else { format!("/{current}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let clean = format!("/{}", parts.join("/"));
    config.insert("WorkingDir".to_owned(), json!(clean));
    Ok(())
}

fn stop_signal(config: &mut Config, line: &Line) -> Outcome {
    let signal = words::resolve(required(line, ONE)?, &env_of(config))?;
    if parse_signal(&signal).is_none() {
        return Err(format!("invalid signal: {signal}"));
    }
    config.insert("StopSignal".to_owned(), json!(signal));
    Ok(())
}

#[cfg(test)]
mod tests;
