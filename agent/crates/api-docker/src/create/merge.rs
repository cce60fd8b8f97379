//! What a container takes from its image: filled in once, so that inspections show it whatever becomes of the image.

use crate::error::ApiError;
use crate::request::{Config, Empty, Healthcheck, Nanoseconds, Words};
use hull_model::ImageConfig;
use std::collections::BTreeMap;

/// Fills in what the image says. Refuses a container without a program.
pub(crate) fn merge(config: &mut Config, image: &ImageConfig) -> Result<(), ApiError> {
    fill(&mut config.user, &image.user);
    fill(&mut config.working_dir, &image.working_dir);
    fill(&mut config.stop_signal, &image.stop_signal);
    let ports = config.exposed_ports.get_or_insert_default();
    ports.extend(image.exposed_ports.iter().map(|p| (p.clone(), Empty {})));
    if ports.is_empty() {
        config.exposed_ports = None;
    }
    let volumes = image.volumes.iter().map(|v| (v.clone(), Empty {}));
    if volumes.len() > 0 {
        config.volumes.get_or_insert_default().extend(volumes);
    }
    environment(config, &image.env);
    let labels = config.labels.get_or_insert_default();
    for (name, value) in &image.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    command(config, image)?;
    if config.shell.is_none() && !image.shell.is_empty() {
        config.shell = Some(Words(image.shell.clone()));
    }
    if config.on_build.is_none() && !image.on_build.is_empty() {
        config.on_build = Some(image.on_build.clone());
    }
    config.healthcheck = health(config.healthcheck.take(), image);
    Ok(())
}

fn fill(own: &mut String, image: &str) {
    if own.is_empty() {
        own.push_str(image);
    }
}

/// The container's own first; of the image's those that it does not name.
fn environment(config: &mut Config, image: &[String]) {
    let name = |e: &str| e.split('=').next().unwrap_or_default().to_owned();
    let own: Vec<String> = config.env.iter().flatten().map(|e| name(e)).collect();
    let more: Vec<String> = image.iter().filter(|e| !own.contains(&name(e))).cloned().collect();
    if !more.is_empty() {
        config.env.get_or_insert_default().extend(more);
    }
}

/// An own entrypoint also clears the image's command; an empty text clears the image's entrypoint.
fn command(config: &mut Config, image: &ImageConfig) -> Result<(), ApiError> {
    let words = |list: &[String]| (!list.is_empty()).then(|| Words(list.to_vec()));
    let length = |own: &Option<Words>| own.as_ref().map_or(0, |w| w.0.len());
    if length(&config.entrypoint) == 0 {
        if length(&config.cmd) == 0 {
            config.cmd = words(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint = words(&image.entrypoint);
        }
    }
    if config.entrypoint.as_ref().is_some_and(|e| e.0 == [""]) {
        config.entrypoint = Some(Words::default());
    }
    match length(&config.entrypoint) + length(&config.cmd) {
        0 => Err(ApiError::bad_request("no command specified")),
        _ => Ok(()),
    }
}

fn health(own: Option<Healthcheck>, image: &ImageConfig) -> Option<Healthcheck> {
    let inherited = image.healthcheck.as_ref().map(|h| Healthcheck {
        test: Some(h.test.clone()).filter(|t| !t.is_empty()),
        interval: Nanoseconds(h.interval),
        timeout: Nanoseconds(h.timeout),
        start_period: Nanoseconds(h.start_period),
        start_interval: Nanoseconds(h.start_interval),
        retries: isize::try_from(h.retries).unwrap_or(0),
    });
    let (mut own, inherited) = match (own, inherited) {
        (Some(own), Some(inherited)) => (own, inherited),
        (own, inherited) => return own.or(inherited),
    };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test = inherited.test;
    }
    for (own, inherited) in [
        (&mut own.interval, inherited.interval),
        (&mut own.timeout, inherited.timeout),
        (&mut own.start_period, inherited.start_period),
        (&mut own.start_interval, inherited.start_interval),
    ] {
        if own.0 == 0 {
            *own = inherited;
        }
    }
    if own.retries == 0 {
        own.retries = inherited.retries;
    }
    Some(own)
}

/// The variables by their names. One without a value takes the image's away; there is no such thing in a container of its own.
pub(crate) fn variables(env: &[String]) -> BTreeMap<String, String> {
    env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageConfig {
        ImageConfig {
            env: vec!["PATH=/bin".into(), "A=image".into()],
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            working_dir: "/srv".into(),
            ..ImageConfig::default()
        }
    }

    fn words(list: &[&str]) -> Option<Words> {
        Some(Words(list.iter().map(|w| (*w).to_owned()).collect()))
    }

    #[test]
    fn programs_follow_dockers_rule() {
        let rows = [
            (None, None, words(&["/entry"]), words(&["serve"])),
            (None, words(&["x"]), words(&["/entry"]), words(&["x"])),
            (words(&["own"]), None, words(&["own"]), None::<Words>),
            (words(&["own"]), words(&["x"]), words(&["own"]), words(&["x"])),
            (words(&[]), None, words(&[]), words(&["serve"])),
        ];
        for (entrypoint, cmd, expected_entrypoint, expected_cmd) in rows {
            let mut config = Config { entrypoint, cmd, ..Config::default() };
            let asked = format!("{:?} {:?}", config.entrypoint, config.cmd);
            merge(&mut config, &image()).unwrap();
            assert_eq!((config.entrypoint, config.cmd), (expected_entrypoint, expected_cmd), "{asked}");
        }
        let mut cleared = Config { entrypoint: words(&[""]), ..Config::default() };
        assert_eq!(merge(&mut cleared, &image()).unwrap_err().message, "no command specified");
    }

    #[test]
    fn the_containers_own_variables_win() {
        let mut config = Config { env: Some(vec!["A=own".into()]), ..Config::default() };
        merge(&mut config, &image()).unwrap();
        assert_eq!(config.env.unwrap(), ["A=own", "PATH=/bin"]);
        assert_eq!(config.working_dir, "/srv");
    }
}
