//! The main process: program, environment, working directory, limits.

use super::{OciError, OciInput, capabilities, hostname};
use hull_model::{ContainerId, ContainerSpec, ImageConfig, Ulimit};
use serde_json::{Value, json};
use std::path::PathBuf;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program and its arguments, by Docker's rule: an own entrypoint also clears the image's command.
pub fn command(spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let entrypoint = spec.entrypoint.as_ref().unwrap_or(&image.entrypoint);
    let command = match (&spec.command, &spec.entrypoint) {
        (Some(command), _) => command.clone(),
        (None, Some(_)) => Vec::new(),
        (None, None) => image.cmd.clone(),
    };
    entrypoint.iter().cloned().chain(command).collect()
}

/// The environment: the host's defaults, the image's, the container's, later ones winning.
pub fn environment(id: &ContainerId, spec: &ContainerSpec, image: &ImageConfig) -> Vec<String> {
    let mut env: Vec<(String, String)> =
        vec![("PATH".into(), DEFAULT_PATH.into()), ("HOSTNAME".into(), hostname(id, spec))];
    if spec.tty {
        env.push(("TERM".into(), "xterm".into()));
    }
    let from_image =
        image.env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
    let own = spec.env.iter().map(|(k, v)| (k.clone(), v.clone()));
    for (key, value) in from_image.chain(own) {
        match env.iter_mut().find(|(k, _)| *k == key) {
            Some(place) => place.1 = value,
            None => env.push((key, value)),
        }
    }
    env.into_iter().map(|(k, v)| format!("{k}={v}")).collect()
}

/// The signal that asks a container to stop, by name or number; the container's, the image's, or SIGTERM.
pub fn stop_signal(spec: &ContainerSpec, image: &ImageConfig) -> String {
    let from_image = Some(image.stop_signal.clone()).filter(|s| !s.is_empty());
    spec.stop_signal.clone().or(from_image).unwrap_or_else(|| "SIGTERM".to_owned())
}

pub(super) fn process(input: &OciInput<'_>, args: Vec<String>) -> Result<Value, OciError> {
    let spec = input.spec;
    let capabilities = capabilities(spec)?;
    let image_dir = Some(&input.image.working_dir).filter(|d| !d.is_empty()).map(PathBuf::from);
    let cwd = spec.working_dir.clone().or(image_dir).unwrap_or_else(|| PathBuf::from("/"));
    let rlimit = |(name, limit): (&String, &Ulimit)| {
        let name = format!("RLIMIT_{}", name.to_uppercase());
        json!({ "type": name, "soft": limit.soft, "hard": limit.hard })
    };
    let mut env = environment(input.id, spec, input.image);
    for variable in &input.cdi.env {
        let name = variable.split('=').next().unwrap_or_default();
        env.retain(|v| v.split('=').next() != Some(name));
        env.push(variable.clone());
    }
    let mut process = json!({
        "terminal": spec.tty,
        "user": { "uid": 0, "gid": 0 },
        "args": args,
        "env": env,
        "cwd": cwd,
        // Inheritable and ambient stay empty: a set-user-id program must not find them there.
        "capabilities": { "bounding": capabilities, "permitted": capabilities, "effective": capabilities },
        "noNewPrivileges": spec.no_new_privileges,
        "rlimits": spec.ulimits.iter().map(rlimit).collect::<Vec<_>>(),
    });
    if let Some(score) = spec.oom_score_adj {
        process["oomScoreAdj"] = json!(score);
    }
    if let Some(profile) = &spec.apparmor {
        process["apparmorProfile"] = json!(profile);
    }
    Ok(process)
}
