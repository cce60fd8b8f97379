//! `#cloud-config` documents.
//!
//! Handled: host name, users, groups, keys, files, time, trust, `services`/`networks`/`volumes` as in Compose, and `hull:`.
//! Every other key that cloud-init knows is reported by name; a key that nobody knows is reported with the nearest one.

mod hull;
mod identity;
mod time_and_trust;
mod users;
mod write_files;

use crate::compose::{self, Sections, Variables};
use crate::document::{Document, classify};
use crate::known_keys;
use crate::node::{Issue, Node, Read};
use crate::report::Report;
use crate::suggest::did_you_mean;
use crate::yaml;
use hull_model::{HostFacts, Layer, Source};
use identity::Identity;
use users::People;

pub(crate) use identity::is_hostname;
pub(crate) use users::{default_user, ssh_key};

/// Parses one `#cloud-config` document into a layer. Never fails: what cannot be understood becomes a problem of the layer.
///
/// `name` is how problems call the document: `user-data`, or a file's path. `facts` gives the values of `${HULL_…}` in
/// `services`, `networks` and `volumes`; a host name that the document itself sets comes before the one in force.
pub fn parse(source: Source, name: &str, bytes: &[u8], facts: &HostFacts) -> Layer {
    let mut report = Report::new(name);
    let mut layer = Layer::empty(source);
    match classify(bytes) {
        Document::Empty => {}
        Document::Other { reason, remedy } => {
            report.error(Issue { path: String::new(), reason, remedy: remedy.to_owned() });
        }
        Document::CloudConfig(text) => match yaml::parse(&text) {
            Ok(value) => read(&Node::new("", &value), facts, &mut layer, &mut report),
            Err(e) => report.error(Issue {
                path: String::new(),
                reason: e.to_string(),
                remedy: e.remedy.to_owned(),
            }),
        },
    }
    layer.problems = report.into_problems();
    layer
}

/// What is gathered key by key before it becomes the layer.
#[derive(Default)]
struct Draft<'a> {
    identity: Identity,
    people: People,
    sections: Sections<'a>,
    /// A key was meant to be one of the sections.
    misspelt: bool,
}

fn read<'a>(root: &Node<'a>, facts: &HostFacts, layer: &mut Layer, report: &mut Report) {
    if root.is_null() {
        return;
    }
    let mut draft = Draft::default();
    let Some(entries) = report.take(root.entries("hostname: web1")) else { return };
    for (key, node) in entries {
        // A key without a value says nothing; for the sections of Compose it says "none of these".
        let section = matches!(key, "services" | "networks" | "volumes");
        if node.is_null() && !section && known_keys::HANDLED.contains(&key) {
            continue;
        }
        if let Err(issue) = read_key(key, &node, root, &mut draft, layer, report) {
            report.error(issue);
        }
    }
    draft.identity.settle(&mut layer.host);
    draft.people.settle(&mut layer.host, report);
    let hostname = layer.host.hostname.as_deref();
    let variables = Variables::from_facts(facts, hostname);
    layer.workloads = compose::read(&draft.sections, &variables, report).filter(|_| !draft.misspelt);
}

fn read_key<'a>(
    key: &str,
    node: &Node<'a>,
    root: &Node<'a>,
    draft: &mut Draft<'a>,
    layer: &mut Layer,
    report: &mut Report,
) -> Read<()> {
    match key {
        "hostname" => draft.identity.hostname = Some(identity::hostname(node)?),
        "fqdn" => draft.identity.fqdn = Some(identity::hostname(node)?),
        "prefer_fqdn_over_hostname" => identity::prefer_fqdn(node, report)?,
        "manage_etc_hosts" => identity::manage_etc_hosts(node, report)?,
        "users" => draft.people.users(node, report)?,
        "groups" => draft.people.groups(node, report)?,
        "ssh_authorized_keys" => draft.people.default_keys(node, report)?,
        "disable_root" => users::disable_root(node, report)?,
        "write_files" => layer.host.files = write_files::read(node, report)?,
        "timezone" => layer.host.timezone = Some(time_and_trust::timezone(node)?),
        "ntp" => layer.host.ntp = time_and_trust::ntp(node, report)?,
        "ca_certs" | "ca-certs" => layer.host.ca_certs = time_and_trust::ca_certs(node, report)?,
        "bootcmd" | "runcmd" => return Err(no_commands(key, node)),
        "services" => draft.sections.services = Some(node.clone()),
        "networks" => draft.sections.networks = Some(node.clone()),
        "volumes" => draft.sections.volumes = Some(node.clone()),
        "hull" => layer.hull = hull::read(node, report)?,
        "version" => {}
        _ => match misspelt_section(key) {
            Some(section) => {
                draft.misspelt = true;
                let issue = root.unknown(key, [section]);
                return Err(Issue { path: section.to_owned(), ..issue });
            }
            None => report.warning(not_handled(key, node, root)),
        },
    }
    Ok(())
}

/// The section of Compose that an unknown key was meant to be. A document that means to declare workloads must not be taken
/// for one that declares none.
fn misspelt_section(key: &str) -> Option<&'static str> {
    let known = known_keys::top_level().into_iter().any(|k| k == key)
        || known_keys::NOT_HANDLED.iter().any(|(k, _)| *k == key)
        || known_keys::COMPOSE_TOP_LEVEL.contains(&key);
    if known { None } else { did_you_mean(key, ["services", "networks", "volumes"]) }
}

fn no_commands(key: &str, node: &Node<'_>) -> Issue {
    node.issue(
        format!("{key} is refused: commands run once at boot leave a host that no document describes"),
        "run it as a service under services, or write the files it would make with write_files",
    )
}

fn not_handled(key: &str, node: &Node<'_>, root: &Node<'_>) -> Issue {
    if let Some((_, remedy)) = known_keys::NOT_HANDLED.iter().find(|(known, _)| *known == key) {
        let remedy = if remedy.is_empty() { "remove it" } else { remedy };
        return node.issue(format!("known to cloud-init, not handled by Hull: {key}"), remedy);
    }
    if known_keys::COMPOSE_TOP_LEVEL.contains(&key) {
        return node.issue(format!("known to Compose, not supported yet: {key}"), "remove it");
    }
    let issue = root.unknown(key, known_keys::top_level());
    Issue { path: key.to_owned(), ..issue }
}

#[cfg(test)]
mod tests;
