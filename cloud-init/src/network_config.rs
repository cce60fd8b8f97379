//! `network-config`, versions 1 and 2, to files of systemd-networkd.
//!
//! An interface that cannot be understood is left out with an error, and keeps the image's own setting (DHCP on wired
//! interfaces), so that a mistake does not cut the host off. Every value is checked for what it is before it is written:
//! nothing from the document can begin a line of its own.

mod interface;
mod units;
mod v1;
mod v2;
mod values;

use crate::node::{Issue, Node, Read};
use crate::report::Report;
use crate::yaml;
use hull_model::{HostNetwork, Problem};
use interface::Interface;

const EXAMPLE: &str = "version: 2";

/// Parses a network-config. `None` if it declares no interface that could be understood: the image's own settings hold.
/// `name` is how problems call the document.
pub fn parse(name: &str, bytes: &[u8]) -> (Option<HostNetwork>, Vec<Problem>) {
    let mut report = Report::new(name);
    let network = match yaml::parse(bytes) {
        Ok(value) => read(&Node::new("", &value), &mut report),
        Err(e) => {
            report.error(Issue { path: String::new(), reason: e.to_string(), remedy: e.remedy.to_owned() });
            None
        }
    };
    (network, report.into_problems())
}

fn read(root: &Node<'_>, report: &mut Report) -> Option<HostNetwork> {
    if root.is_null() {
        return None;
    }
    let entries = report.take(root.entries(EXAMPLE))?;
    // Some platforms wrap the document once.
    let inner = entries.iter().find(|(key, _)| *key == "network").map(|(_, node)| node);
    let interfaces = versioned(inner.unwrap_or(root), report);
    let interfaces = report.take(interfaces)?;
    let interfaces = check_references(interfaces, report);
    (!interfaces.is_empty()).then(|| units::render(&interfaces))
}

fn versioned(root: &Node<'_>, report: &mut Report) -> Read<Vec<Interface>> {
    let entries = root.entries(EXAMPLE)?;
    let find = |wanted: &str| entries.iter().find(|(key, _)| *key == wanted).map(|(_, node)| node);
    if let Some(config) = find("config").filter(|node| node.value().as_str() == Some("disabled")) {
        report.warning(config.issue(
            "a host without a network cannot be reached, and is not supported",
            "remove it; interfaces keep the image's own setting",
        ));
        return Ok(Vec::new());
    }
    let version = find("version").ok_or_else(|| root.issue("version is missing", "add version: 2"))?;
    match version.integer(1..=2)? {
        1 => v1::read(&entries, root, report),
        _ => v2::read(&entries, root, report),
    }
}

/// Leaves out what refers to interfaces that are not there; repeats, since that may leave others without theirs.
fn check_references(mut interfaces: Vec<Interface>, report: &mut Report) -> Vec<Interface> {
    loop {
        let ids: Vec<String> = interfaces.iter().map(|i| i.id.clone()).collect();
        let before = interfaces.len();
        interfaces.retain(|interface| {
            let missing = interface.refers_to().find(|id| !ids.iter().any(|known| known == *id));
            if let Some(id) = missing {
                report.error(Issue {
                    path: interface.path.clone(),
                    reason: format!("it refers to the interface {id:?}, which is not declared"),
                    remedy: "declare it too, by the name used here".to_owned(),
                });
            }
            missing.is_none()
        });
        if interfaces.len() == before {
            return interfaces;
        }
    }
}

#[cfg(test)]
mod tests;
