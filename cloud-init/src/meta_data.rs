//! `meta-data`: what the platform knows of this instance.

use crate::cloud_config::{default_user, is_hostname, ssh_key};
use crate::node::{Issue, Node, Read};
use crate::report::Report;
use crate::yaml;
use hull_model::{Layer, Problem, Source};

const NAME: &str = "meta-data";

/// What the platform says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaData {
    /// The instance's id: another one means another machine from the same disk.
    pub instance_id: Option<String>,
    /// Host name, perhaps with a domain.
    pub local_hostname: Option<String>,
    /// Keys of the default user.
    pub public_keys: Vec<String>,
    /// What was wrong.
    pub problems: Vec<Problem>,
}

impl MetaData {
    /// The layer that says this.
    pub fn layer(&self) -> Layer {
        let mut layer = Layer::empty(Source::MetaData);
        if let Some(name) = &self.local_hostname {
            layer.host.hostname = name.split('.').next().map(str::to_owned);
            layer.host.fqdn = Some(name.clone()).filter(|name| name.contains('.'));
        }
        if !self.public_keys.is_empty() {
            layer.host.users.push(default_user(self.public_keys.clone()));
        }
        layer.problems.clone_from(&self.problems);
        layer
    }
}

/// Parses YAML or JSON. Keys that are not for us are the platform's own business and skipped.
pub fn parse(bytes: &[u8]) -> MetaData {
    let mut report = Report::new(NAME);
    let mut data = MetaData::default();
    match yaml::parse(bytes) {
        Ok(value) if value.is_null() => {}
        Ok(value) => read(&Node::new("", &value), &mut data, &mut report),
        Err(e) => {
            report.error(Issue { path: String::new(), reason: e.to_string(), remedy: e.remedy.to_owned() })
        }
    }
    data.problems = report.into_problems();
    data
}

fn read(root: &Node<'_>, data: &mut MetaData, report: &mut Report) {
    for (key, node) in report.take(root.entries("instance-id: i-1")).unwrap_or_default() {
        let read = match key.replace('_', "-").as_str() {
            _ if node.is_null() => Ok(()),
            "instance-id" => node.scalar("instance-id: i-1").map(|id| data.instance_id = Some(id)),
            "local-hostname" => hostname(&node).map(|name| data.local_hostname = Some(name)),
            // Only where the platform says nothing better.
            "hostname" => hostname(&node).map(|name| {
                data.local_hostname.get_or_insert(name);
            }),
            "public-keys" => public_keys(&node, data, report),
            "network-interfaces" => {
                report.warning(node.issue("this old format is not supported", "send network-config"));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(issue) = read {
            report.error(issue);
        }
    }
}

fn hostname(node: &Node<'_>) -> Read<String> {
    let text = node.text("local-hostname: web1")?;
    if is_hostname(text) {
        return Ok(text.to_owned());
    }
    Err(node.issue(format!("{text:?} is not a host name"), "use letters, digits and '-'"))
}

/// A list of keys; one text with a key on each line; or names, each with a key, keys, or `{openssh-key: …}`.
fn public_keys(node: &Node<'_>, data: &mut MetaData, report: &mut Report) -> Read<()> {
    if !node.value().is_mapping() {
        for item in node.one_or_many("public-keys: [\"ssh-ed25519 AAAA…\"]")? {
            lines(&item, data, report)?;
        }
        return Ok(());
    }
    for (_, value) in node.entries("public-keys: {mine: \"ssh-ed25519 AAAA…\"}")? {
        if value.value().is_mapping() {
            for (key, inner) in value.entries("{openssh-key: \"ssh-ed25519 AAAA…\"}")? {
                if key == "openssh-key" {
                    lines(&inner, data, report)?;
                }
            }
        } else {
            for item in value.one_or_many("[\"ssh-ed25519 AAAA…\"]")? {
                lines(&item, data, report)?;
            }
        }
    }
    Ok(())
}

fn lines(node: &Node<'_>, data: &mut MetaData, report: &mut Report) -> Read<()> {
    for line in node.text("ssh-ed25519 AAAA…")?.lines().filter(|line| !line.trim().is_empty()) {
        let value = serde_yaml::Value::String(line.to_owned());
        let key = ssh_key(&Node::new(node.path(), &value));
        data.public_keys.extend(report.take(key).filter(|key| !data.public_keys.contains(key)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_every_shape() {
        let rows = [
            "public-keys: [ssh-rsa AAAA1 a, ssh-rsa AAAA2 b]",
            "public-keys: \"ssh-rsa AAAA1 a\\nssh-rsa AAAA2 b\\n\"",
            "public-keys: {x: ssh-rsa AAAA1 a, y: [ssh-rsa AAAA2 b]}",
            "public-keys: {'0': {openssh-key: ssh-rsa AAAA1 a}, '1': {openssh-key: ssh-rsa AAAA2 b}}",
            "{\"public_keys\": {\"x\": \"ssh-rsa AAAA1 a\", \"y\": \"ssh-rsa AAAA2 b\"}}",
        ];
        for text in rows {
            let data = parse(text.as_bytes());
            assert_eq!(data.problems, [], "{text}");
            assert_eq!(data.public_keys, ["ssh-rsa AAAA1 a", "ssh-rsa AAAA2 b"], "{text}");
            assert_eq!(data.layer().host.users[0].name, "hull");
        }
    }

    #[test]
    fn names_and_ids() {
        let data = parse(b"instance-id: 7\nlocal-hostname: web1.example.org\nregion: x\nhostname: other\n");
        assert_eq!(data.instance_id.as_deref(), Some("7"));
        let layer = data.layer();
        assert_eq!(layer.host.hostname.as_deref(), Some("web1"));
        assert_eq!(layer.host.fqdn.as_deref(), Some("web1.example.org"));
        for bad in [&b"local-hostname: a b"[..], b"- x", b"a: [", b"public-keys: 5", b"public-keys: [x]"] {
            assert_eq!(parse(bad).problems.len(), 1, "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(parse(b""), MetaData::default());
    }
}
