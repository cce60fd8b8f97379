//! What Compose writes either as a mapping or as a list of `KEY=VALUE`: environment, labels, sysctls.

use super::Variables;
use crate::node::{Node, Read};
use crate::report::Report;
use std::collections::BTreeMap;

/// Environment variables. One without a value takes that of the document's variable of the same name, or is left out.
pub(super) fn environment(
    node: &Node<'_>,
    variables: &Variables,
    report: &mut Report,
) -> Read<BTreeMap<String, String>> {
    let mut env = BTreeMap::new();
    for (key, value, at) in pairs(node, "environment: {LOG_LEVEL: info}")? {
        if key.is_empty() || key.contains(['=', '\0']) || value.as_ref().is_some_and(|v| v.contains('\0')) {
            return Err(
                at.issue(format!("{key:?} is not the name of a variable"), "write it like LOG_LEVEL=info")
            );
        }
        match value.or_else(|| variables.get(&key).map(str::to_owned)) {
            Some(value) => {
                env.insert(key, value);
            }
            None => report.warning(at.issue(
                format!(
                    "the variable {key} has no value, and there is no shell to take one from; it is not set"
                ),
                format!("write {key}=VALUE"),
            )),
        }
    }
    Ok(env)
}

/// Labels. One without a value is empty.
pub(super) fn labels(node: &Node<'_>) -> Read<BTreeMap<String, String>> {
    let pairs = pairs(node, "labels: {com.example.team: web}")?;
    for (key, _, at) in &pairs {
        if key.is_empty() {
            return Err(at.issue("a label without a name", "write it like com.example.team=web"));
        }
    }
    Ok(pairs.into_iter().map(|(key, value, _)| (key, value.unwrap_or_default())).collect())
}

/// Kernel parameters.
pub(super) fn sysctls(node: &Node<'_>) -> Read<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (key, value, at) in pairs(node, "sysctls: {net.core.somaxconn: 1024}")? {
        let good = !key.is_empty()
            && !key.contains("..")
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b));
        let Some(value) = value.filter(|v| good && !v.contains(['\n', '\0'])) else {
            let remedy = "write it like net.core.somaxconn=1024";
            return Err(at.issue(format!("{key:?} is not a kernel parameter with its value"), remedy));
        };
        all.insert(key, value);
    }
    Ok(all)
}

/// Keys with their values and places, from either form.
pub(super) fn pairs<'a>(node: &Node<'a>, example: &str) -> Read<Vec<(String, Option<String>, Node<'a>)>> {
    if node.value().is_mapping() {
        let pair = |(key, value): (&str, Node<'a>)| {
            let text = if value.is_null() { None } else { Some(value.scalar(example)?) };
            Ok((key.to_owned(), text, value))
        };
        return node.entries(example)?.into_iter().map(pair).collect();
    }
    let pair = |item: Node<'a>| {
        let text = item.text(example)?;
        Ok(match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned()), item.clone()),
            None => (text.to_owned(), None, item.clone()),
        })
    };
    node.items(example)?.into_iter().map(pair).collect()
}
