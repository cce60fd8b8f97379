//! Which containers a list shows.

use crate::error::ApiError;
use crate::filters::Filters;
use crate::wire::{View, health_word, state_word};
use hull_model::{ContainerRecord, ContainerState, NetworkRecord, Reference};

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATES: &[&str] = &["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTH: &[&str] = &["none", "starting", "healthy", "unhealthy"];

/// Ports, first to last, and what is spoken on them.
type Range = (u16, u16, String);

/// Filters that were understood.
#[derive(Debug)]
pub(super) struct Wanted {
    filters: Filters,
    publish: Vec<Range>,
    expose: Vec<Range>,
    task: Option<bool>,
}

/// A part of the list, newest first: made after one container and before another.
#[derive(Debug, Default)]
pub(super) struct Between {
    after: Option<jiff::Timestamp>,
    before: Option<jiff::Timestamp>,
}

impl Between {
    pub(super) fn holds(&self, record: &ContainerRecord) -> bool {
        self.after.is_none_or(|t| record.created > t) && self.before.is_none_or(|t| record.created < t)
    }
}

impl Wanted {
    pub(super) fn read(text: Option<&str>) -> Result<Self, ApiError> {
        let filters = Filters::parse(text, FILTERS)?;
        for (key, noun, words) in [("status", "state", STATES), ("health", "health", HEALTH)] {
            if let Some(bad) = filters.get(key).find(|value| !words.contains(value)) {
                return Err(ApiError::bad_request(format!(
                    "invalid filter '{key}={bad}': invalid value for {noun} ({bad}): must be one of {}",
                    words.join(", ")
                )));
            }
        }
        if let Some(bad) = filters.get("exited").find(|code| code.parse::<i32>().is_err()) {
            return Err(ApiError::bad_request(format!(
                "invalid filter 'exited={bad}': strconv.Atoi: parsing {bad:?}: invalid syntax"
            )));
        }
        let publish = filters.get("publish").map(|p| range("publish", p)).collect::<Result<_, _>>()?;
        let expose = filters.get("expose").map(|p| range("expose", p)).collect::<Result<_, _>>()?;
        let task = filters.truth("is-task")?;
        Ok(Self { filters, publish, expose, task })
    }

    /// Whether containers that do not run are meant although nobody said so.
    pub(super) fn widens(&self) -> bool {
        ["status", "exited", "before", "since"].iter().any(|key| self.filters.has(key))
    }

    /// Finds the containers that others are compared with.
    pub(super) fn between(&self, containers: &[ContainerRecord]) -> Result<Between, ApiError> {
        let moment = |key| {
            let find = |text: &str| {
                let found = containers.iter().find(|c| {
                    c.spec.name.as_str() == text.trim_start_matches('/') || c.id.as_str().starts_with(text)
                });
                found
                    .map(|c| c.created)
                    .ok_or_else(|| ApiError::not_found(format!("No such container: {text}")))
            };
            self.filters.get(key).next().map(find).transpose()
        };
        Ok(Between { after: moment("since")?, before: moment("before")? })
    }

    pub(super) fn passes(&self, view: View<'_>) -> bool {
        let (record, filters) = (view.record, &self.filters);
        let name = record.spec.name.as_str();
        let exit_code = match &record.state {
            ContainerState::Exited { exit, .. } => Some(exit.code.to_string()),
            _ => None,
        };
        let health = view.health.map_or("none", |h| health_word(h.status));
        filters.any("id", |wanted| record.id.as_str().starts_with(wanted))
            && filters.name("name", &[name, &format!("/{name}")])
            && filters.labels(&record.spec.labels)
            && filters.any("status", |wanted| state_word(view) == wanted)
            && filters.any("health", |wanted| health == wanted)
            && filters.any("ancestor", |wanted| descends(view, wanted))
            && filters.any("exited", |wanted| exit_code.as_deref() == Some(wanted))
            && filters.any("network", |wanted| connected(view, wanted))
            && filters.any("volume", |wanted| mounts(record, wanted))
            && self.task != Some(true)
            && self.ports(view)
    }

    fn ports(&self, view: View<'_>) -> bool {
        let record = view.record;
        let published = |(first, last, protocol): &Range| {
            let ports = record.spec.ports.iter().chain(&record.published);
            ports.into_iter().any(|p| {
                let own = p.container_port;
                (*first..=*last).contains(&own) && p.protocol.as_str() == protocol
            })
        };
        let image = view.config();
        let exposed = |(first, last, protocol): &Range| {
            let listed = image.exposed_ports.iter().chain(&record.spec.exposed).any(|text| {
                let (port, spoken) = text.split_once('/').unwrap_or((text, "tcp"));
                port.parse::<u16>().is_ok_and(|p| (*first..=*last).contains(&p)) && spoken == protocol
            });
            listed || published(&(*first, *last, protocol.clone()))
        };
        (self.publish.is_empty() || self.publish.iter().any(published))
            && (self.expose.is_empty() || self.expose.iter().any(exposed))
    }
}

/// `80`, `80/udp`, `80-90/tcp`.
fn range(filter: &str, text: &str) -> Result<Range, ApiError> {
    let bad = |why: String| ApiError::internal(format!("error while looking up for {filter} {text}: {why}"));
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let number = |text: &str| {
        text.parse::<u16>().map_err(|_| bad(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")))
    };
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(bad(format!("Invalid range specified for the Port: {numbers}")));
    }
    Ok((first, last, protocol.to_ascii_lowercase()))
}

fn connected(view: View<'_>, wanted: &str) -> bool {
    let id = |n: &NetworkRecord| n.id.starts_with(wanted);
    let mut networks = view.record.spec.networks.keys();
    crate::wire::network_mode(view.record) == wanted
        || networks
            .any(|n| n.as_str() == wanted || view.networks.iter().find(|r| r.name == *n).is_some_and(id))
}

fn mounts(record: &ContainerRecord, wanted: &str) -> bool {
    let source = |m: &hull_model::MountSpec| match &m.kind {
        hull_model::MountKind::Volume { name } => name.as_str() == wanted,
        hull_model::MountKind::Bind { source, .. } => source.as_os_str() == wanted,
        hull_model::MountKind::Tmpfs { .. } => false,
    };
    record.spec.mounts.iter().any(|m| source(m) || m.target.as_os_str() == wanted)
}

/// Whether a container was made from the image that a text means.
fn descends(view: View<'_>, wanted: &str) -> bool {
    let id = view.record.image.hex();
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let named = Reference::parse(wanted).is_ok_and(|reference| {
        reference == view.record.spec.image
            || view.image.is_some_and(|image| image.references.contains(&reference))
    });
    named || (hex.len() >= 4 && id.starts_with(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_in_dockers_words() {
        for (filters, words) in [
            (
                r#"{"status":["x"]}"#,
                "invalid filter 'status=x': invalid value for state (x): must be one of created, running, paused, restarting, removing, exited, dead",
            ),
            (
                r#"{"health":["x"]}"#,
                "invalid filter 'health=x': invalid value for health (x): must be one of none, starting, healthy, unhealthy",
            ),
            (r#"{"exited":["x"]}"#, "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
            (
                r#"{"publish":["x"]}"#,
                "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            (
                r#"{"publish":["80-70"]}"#,
                "error while looking up for publish 80-70: Invalid range specified for the Port: 80-70",
            ),
            (r#"{"is-task":["x"]}"#, "invalid filter 'is-task=[x]'"),
            (r#"{"bogus":["x"]}"#, "invalid filter 'bogus'"),
            ("x", "invalid filter"),
        ] {
            assert_eq!(Wanted::read(Some(filters)).unwrap_err().message, words, "{filters}");
        }
    }
}
