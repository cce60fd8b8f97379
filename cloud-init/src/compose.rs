//! `services`, `networks` and `volumes` as the Compose specification writes them, to containers, networks and volumes.
//!
//! All or nothing: with one error there are no workloads, so that the last good ones keep running. A key of Compose that
//! this host cannot honour yet is an error that names it; only `x-…` keys are skipped.

mod block;
mod declared;
mod endpoints;
mod environment;
mod health;
mod interpolate;
mod isolation;
mod keys;
mod limits;
mod mounts;
mod ports;
mod process;
mod security;
mod service;
mod shell_words;

use crate::node::{Node, Read};
use crate::report::Report;
use declared::Declared;
use hull_model::{Name, Workloads};
use std::collections::BTreeMap;

pub use interpolate::Variables;

/// The three sections of a document, as far as they are there.
#[derive(Debug, Default)]
pub(crate) struct Sections<'a> {
    pub(crate) services: Option<Node<'a>>,
    pub(crate) networks: Option<Node<'a>>,
    pub(crate) volumes: Option<Node<'a>>,
}

/// Reads the sections. `None` if there are none, or if anything in them is wrong.
pub(crate) fn read(sections: &Sections<'_>, variables: &Variables, report: &mut Report) -> Option<Workloads> {
    let Sections { services, networks, volumes } = sections;
    if services.is_none() && networks.is_none() && volumes.is_none() {
        return None;
    }
    let before = report.errors();
    let mut expand = |node: &Option<Node<'_>>| {
        node.as_ref().map(|node| (node.path().to_owned(), interpolate::value(node, variables, report)))
    };
    let (services, networks, volumes) = (expand(services), expand(networks), expand(volumes));
    let mut declared = Declared::default();
    if let Some(node) = section(&networks) {
        declared.read_networks(&node, report);
    }
    if let Some(node) = section(&volumes) {
        declared.read_volumes(&node, report);
    }
    let services = match section(&services) {
        Some(node) => read_services(&node, &mut declared, variables, report),
        None => Vec::new(),
    };
    let containers = containers(services, report);
    if report.errors() > before {
        return None;
    }
    let networks = declared.networks.into_values().map(|network| (network.name.clone(), network)).collect();
    let volumes = declared.volumes.into_values().map(|volume| (volume.name.clone(), volume)).collect();
    Some(Workloads { containers, networks, volumes })
}

/// A section that says something, its variables replaced.
fn section(expanded: &Option<(String, serde_yaml::Value)>) -> Option<Node<'_>> {
    expanded.as_ref().map(|(path, value)| Node::new(path.clone(), value)).filter(|node| !node.is_null())
}

fn read_services(
    node: &Node<'_>,
    declared: &mut Declared,
    variables: &Variables,
    report: &mut Report,
) -> Vec<service::Service> {
    let Some(entries) = report.take(node.entries("services: {web: {image: \"nginx:1\"}}")) else {
        return Vec::new();
    };
    let mut services = Vec::new();
    for (name, node) in entries {
        if name.starts_with("x-") {
            continue;
        }
        services.extend(service::read(name, &node, declared, variables, report));
    }
    services
}

/// One container for each replica of each service, with `depends_on` turned from services into containers.
fn containers(
    services: Vec<service::Service>,
    report: &mut Report,
) -> BTreeMap<Name, hull_model::ContainerSpec> {
    let names: BTreeMap<String, Vec<Name>> =
        services.iter().map(|service| (service.key.clone(), service.container_names())).collect();
    let mut containers = BTreeMap::new();
    for service in services {
        let mut spec = service.spec.clone();
        for (dependency, path) in &service.depends_on {
            if let Some(found) = report.take(find_dependency(dependency, path, &service.key, &names)) {
                spec.depends_on.extend(found.iter().cloned());
            }
        }
        for join in &service.joins {
            let Some(found) = report.take(find_dependency(&join.service, &join.path, &service.key, &names))
            else {
                continue;
            };
            match found.first() {
                Some(first) => {
                    join.settle(&mut spec, first.as_str());
                    spec.depends_on.extend((!spec.depends_on.contains(first)).then(|| first.clone()));
                }
                None => report.error(crate::node::Issue {
                    path: join.path.clone(),
                    reason: format!("{} has no container to share with", join.service),
                    remedy: "give it a replica".to_owned(),
                }),
            }
        }
        for name in service.container_names() {
            let spec = hull_model::ContainerSpec { name: name.clone(), ..spec.clone() };
            if containers.insert(name.clone(), spec).is_some() {
                report.error(crate::node::Issue {
                    path: format!("services.{}", service.key),
                    reason: format!(
                        "another service's container is called {name:?} too",
                        name = name.as_str()
                    ),
                    remedy: "give one of them another container_name".to_owned(),
                });
            }
        }
    }
    containers
}

fn find_dependency<'n>(
    dependency: &str,
    path: &str,
    own: &str,
    names: &'n BTreeMap<String, Vec<Name>>,
) -> Read<&'n [Name]> {
    let issue = |reason: String, remedy: &str| crate::node::Issue {
        path: path.to_owned(),
        reason,
        remedy: remedy.to_owned(),
    };
    if dependency == own {
        return Err(issue(format!("{own} depends on itself"), "remove it"));
    }
    let near = crate::suggest::did_you_mean(dependency, names.keys().map(String::as_str));
    names.get(dependency).map(Vec::as_slice).ok_or_else(|| match near {
        Some(near) => {
            issue(format!("there is no service {dependency:?}"), &format!("did you mean {near:?}?"))
        }
        None => issue(
            format!("there is no service {dependency:?}"),
            "declare it under services, or remove it here",
        ),
    })
}

#[cfg(test)]
mod tests;
