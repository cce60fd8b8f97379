//! A container that no client asked for, told as if one had: its Config.

use super::View;
use crate::request::{Config, Empty, Healthcheck, Nanoseconds, Words};

/// What runs in a container, and as what.
pub(crate) fn config(view: View<'_>) -> Config {
    let (record, image) = (view.record, view.config());
    let spec = &record.spec;
    let list = |own: &Option<Vec<String>>, inherited: Vec<String>| {
        own.clone().or_else(|| (!inherited.is_empty()).then_some(inherited)).map(Words)
    };
    let set = |keys: Vec<String>| keys.into_iter().map(|k| (k, Empty {})).collect();
    let mut exposed: Vec<String> = image.exposed_ports.iter().cloned().collect();
    exposed.extend(spec.exposed.iter().cloned());
    exposed.extend(spec.ports.iter().map(|p| format!("{}/{}", p.container_port, p.protocol.as_str())));
    let volumes: Vec<String> = image.volumes.iter().cloned().collect();
    let cmd = if spec.entrypoint.is_some() { Vec::new() } else { image.cmd.clone() };
    let mut labels = image.labels.clone();
    labels.extend(spec.labels.clone());
    let from_image = Some(image.stop_signal.clone()).filter(|s| !s.is_empty());
    let directory = spec.working_dir.as_ref().map(|d| d.display().to_string());
    Config {
        domainname: spec.domainname.clone().unwrap_or_default(),
        user: spec.user.clone().unwrap_or_else(|| image.user.clone()),
        exposed_ports: Some(set(exposed)),
        tty: spec.tty,
        open_stdin: spec.stdin_open,
        stdin_once: spec.stdin_once,
        env: Some(hull_plan::oci::environment(&record.id, spec, &image)),
        cmd: list(&spec.command, cmd),
        healthcheck: spec.healthcheck.as_ref().or(image.healthcheck.as_ref()).map(|h| Healthcheck {
            test: Some(h.test.clone()),
            interval: Nanoseconds(h.interval),
            timeout: Nanoseconds(h.timeout),
            start_period: Nanoseconds(h.start_period),
            start_interval: Nanoseconds(h.start_interval),
            retries: isize::try_from(h.retries).unwrap_or(0),
        }),
        image: spec.image.familiar(),
        volumes: (!volumes.is_empty()).then(|| set(volumes)),
        working_dir: directory.unwrap_or_else(|| image.working_dir.clone()),
        entrypoint: list(&spec.entrypoint, image.entrypoint.clone()),
        labels: Some(labels),
        stop_signal: spec.stop_signal.clone().or(from_image).unwrap_or_default(),
        stop_timeout: spec.stop_grace_seconds.and_then(|s| isize::try_from(s).ok()),
        ..Config::default()
    }
}
