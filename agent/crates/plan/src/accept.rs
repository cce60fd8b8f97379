//! Which intent comes into force: the new one, or what was good before.

use crate::{merge, validate};
use hull_model::{HostSpec, Layer, Problem, Severity, Source};

/// The outcome of reading all sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// What the host should be from now on. Its generation is new if and only if it differs from the last one.
    pub spec: HostSpec,
    /// What was wrong with the sources.
    pub problems: Vec<Problem>,
}

/// Keys whose errors concern the workloads.
const WORKLOAD_KEYS: [&str; 3] = ["services", "networks", "volumes"];

/// Decides what comes into force.
///
/// A document that cannot be read at all changes nothing: the last good host settings and workloads stay. An error in the
/// workloads keeps the last good workloads and lets the host settings change, so that a host stays reachable. A host
/// that never had a good spec gets whatever could be understood. Where no document is left, only what the platform says of
/// itself, nothing changes either: a server that lost a file must not empty a host.
pub fn accept(layers: &[Layer], last: Option<&HostSpec>) -> Accepted {
    let mut spec = merge(layers);
    let mut problems: Vec<Problem> = layers.iter().flat_map(|l| l.problems.iter().cloned()).collect();
    problems.extend(validate(&spec));
    let unreadable = problems.iter().any(|p| p.severity == Severity::Error && p.object.is_empty());
    let bad_workloads =
        problems.iter().any(|p| p.severity == Severity::Error && concerns_workloads(&p.object));
    let nobody_speaks = layers.iter().all(|l| l.source <= Source::MetaData);
    if let (true, Some(last)) = (unreadable || nobody_speaks, last) {
        spec = last.clone();
    } else if unreadable || bad_workloads {
        spec.workloads = last.map(|l| l.workloads.clone()).unwrap_or_default();
    }
    spec.generation = number(&spec, last);
    Accepted { spec, problems }
}

fn concerns_workloads(object: &str) -> bool {
    let root = object.split(['.', '[']).next().unwrap_or_default();
    WORKLOAD_KEYS.contains(&root)
}

fn number(spec: &HostSpec, last: Option<&HostSpec>) -> hull_model::Generation {
    match last {
        None => hull_model::Generation(1),
        Some(last) => {
            let same = HostSpec { generation: last.generation, ..spec.clone() } == *last;
            if same { last.generation } else { last.generation.next() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{ContainerSpec, Generation, Name, Reference, Workloads};

    fn layer(hostname: &str, services: &[&str]) -> Layer {
        let mut layer = Layer::empty(Source::UserData);
        layer.host.hostname = Some(hostname.to_owned());
        let mut workloads = Workloads::default();
        for service in services {
            let name = Name::new(*service).unwrap();
            workloads
                .containers
                .insert(name.clone(), ContainerSpec::new(name, Reference::parse(service).unwrap()));
        }
        layer.workloads = Some(workloads);
        layer
    }

    fn broken(object: &str) -> Layer {
        let mut layer = layer("new", &[]);
        layer.workloads = None;
        layer.problems.push(Problem {
            severity: Severity::Error,
            source: "user-data".into(),
            object: object.into(),
            reason: "broken".into(),
            remedy: String::new(),
        });
        layer
    }

    #[test]
    fn bad_input_keeps_what_was_good() {
        let good = accept(&[layer("old", &["web"])], None).spec;
        assert_eq!(good.generation, Generation(1));
        let rows = [
            ("same again", layer("old", &["web"]), 1, "old", 1),
            ("another service", layer("old", &["web", "db"]), 2, "old", 2),
            ("unreadable document", broken(""), 1, "old", 1),
            ("no document", Layer::empty(Source::MetaData), 1, "old", 1),
            ("an empty document", Layer::empty(Source::UserData), 2, "", 0),
            ("broken service", broken("services.web.ports[0]"), 2, "new", 1),
            (
                "broken user",
                {
                    let mut l = layer("new", &["web"]);
                    l.problems = broken("users[0]").problems;
                    l
                },
                2,
                "new",
                1,
            ),
        ];
        for (case, layer, generation, hostname, services) in rows {
            let accepted = accept(&[layer], Some(&good));
            assert_eq!(accepted.spec.generation, Generation(generation), "{case}");
            assert_eq!(accepted.spec.host.hostname.unwrap_or_default(), hostname, "{case}");
            assert_eq!(accepted.spec.workloads.containers.len(), services, "{case}");
        }
    }

    #[test]
    fn a_first_boot_with_broken_services_still_configures_the_host() {
        let accepted = accept(&[broken("services.web")], None);
        assert_eq!(accepted.spec.host.hostname.as_deref(), Some("new"));
        assert_eq!(accepted.problems.len(), 1);
    }
}
