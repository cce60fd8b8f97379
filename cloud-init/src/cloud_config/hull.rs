//! The `hull:` key: settings of Hull itself.

use crate::node::{Node, Read};
use crate::report::Report;
use hull_model::{HullSettings, Registry};

const EXAMPLE: &str = "hull: {registries: {\"registry.example.org:5000\": {insecure: true}}}";

/// Reads the settings. A registry that cannot be understood is left out.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Read<HullSettings> {
    let mut settings = HullSettings::default();
    for (key, value) in node.entries(EXAMPLE)? {
        match key {
            "registries" if value.is_null() => {}
            "registries" => {
                for (host, entry) in value.entries(EXAMPLE)? {
                    if let Some(registry) = report.take(registry(host, &entry)) {
                        settings.registries.insert(host.to_owned(), registry);
                    }
                }
            }
            _ if key.starts_with("x-") => {}
            _ => report.warning(node.unknown(key, ["registries"])),
        }
    }
    Ok(settings)
}

fn registry(host: &str, node: &Node<'_>) -> Read<Registry> {
    if !is_host(host) {
        let remedy =
            "write it as in image references: registry.example.org or 10.0.2.2:5000, without http://";
        return Err(node.issue(format!("{host:?} is not a registry's host and port"), remedy));
    }
    let mut registry = Registry::default();
    if node.is_null() {
        return Ok(registry);
    }
    for (key, value) in node.entries("{insecure: true}")? {
        match key {
            "insecure" => registry.insecure = value.boolean()?,
            "mirrors" => registry.mirrors = mirrors(&value)?,
            "username" => registry.username = Some(value.scalar("username: robot")?),
            "password" => registry.password = Some(value.scalar("password: \"secret\"")?),
            _ if key.starts_with("x-") => {}
            _ => return Err(node.unknown(key, ["insecure", "mirrors", "username", "password"])),
        }
    }
    if registry.username.is_some() != registry.password.is_some() {
        return Err(node.issue("username and password only mean something together", "give both, or neither"));
    }
    Ok(registry)
}

fn mirrors(node: &Node<'_>) -> Read<Vec<String>> {
    let example = "[\"mirror.example.org:5000\", \"http://10.0.0.5\"]";
    let mirror = |item: &Node<'_>| {
        let text = item.text(example)?;
        let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        if is_host(bare.trim_end_matches('/')) {
            return Ok(text.trim_end_matches('/').to_owned());
        }
        Err(item.issue(format!("{text:?} is not a mirror's address"), format!("write it like {example}")))
    };
    node.items(example)?.iter().map(mirror).collect()
}

/// Whether a text can stand before the first slash of an image reference.
fn is_host(text: &str) -> bool {
    // A single word is no registry in a reference unless it has a port or is localhost; a repository stands in for one.
    hull_model::Reference::parse(&format!("{text}/probe/probe")).is_ok_and(|r| r.registry == text)
        || matches!(text, "index.docker.io" | "registry-1.docker.io")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_hosts_are_told_from_addresses_and_names() {
        for good in ["10.0.2.2:5000", "localhost", "registry.example.org", "docker.io", "[::1]:5000"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["http://x", "a/b.c", "", "x:99999", "a b", "word"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
