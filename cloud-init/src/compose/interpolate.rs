//! `${VARIABLES}` as the Compose specification writes them ("Interpolation").

use crate::node::{Issue, Node};
use crate::report::Report;
use hull_model::HostFacts;
use serde_yaml::Value;
use std::collections::BTreeMap;

/// The values of variables. Nothing else is ever looked up: not the agent's own environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// `HULL_HOSTNAME`, `HULL_OS`, `HULL_OS_VERSION`, `HULL_DEPLOYMENT` (the booted commit, or `none`) and
    /// `HULL_ARCHITECTURE`. A host name that is about to be set comes before the one in force.
    pub fn from_facts(facts: &HostFacts, hostname: Option<&str>) -> Self {
        let deployment = facts.deployment.as_ref().map_or("none", |d| d.commit.as_str());
        let pairs = [
            ("HULL_HOSTNAME", hostname.unwrap_or(&facts.hostname)),
            ("HULL_OS", &facts.os),
            ("HULL_OS_VERSION", &facts.os_version),
            ("HULL_DEPLOYMENT", deployment),
            ("HULL_ARCHITECTURE", &facts.architecture),
        ];
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// How deep defaults may hold further variables.
const MAX_DEPTH: usize = 16;

/// The value with variables replaced in all its texts; keys stay as they are.
pub(super) fn value(node: &Node<'_>, variables: &Variables, report: &mut Report) -> Value {
    let mut out = node.value().clone();
    replace(&mut out, node.path(), variables, report);
    out
}

fn replace(value: &mut Value, path: &str, variables: &Variables, report: &mut Report) {
    match value {
        Value::String(text) if text.contains('$') => {
            let mut unknown = Vec::new();
            match expand(text, variables, &mut unknown, 0) {
                Ok(expanded) => *text = expanded,
                Err((reason, remedy)) => report.error(Issue { path: path.to_owned(), reason, remedy }),
            }
            for name in unknown {
                report.warning(Issue {
                    path: path.to_owned(),
                    reason: format!("the variable {name} is not set; it is replaced by nothing"),
                    remedy: format!("known are {}; write $$ for a dollar sign", variables.names()),
                });
            }
        }
        Value::Sequence(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                replace(item, &format!("{path}[{i}]"), variables, report);
            }
        }
        Value::Mapping(map) => {
            for (key, item) in map.iter_mut() {
                let key = key.as_str().unwrap_or("?");
                replace(item, &format!("{path}.{key}"), variables, report);
            }
        }
        _ => {}
    }
}

/// Reason and remedy.
type Complaint = (String, String);

fn malformed(text: &str) -> Complaint {
    let remedy = "write ${NAME} for a variable and $$ for a dollar sign".to_owned();
    (format!("{text:?} holds a $ that begins no variable"), remedy)
}

/// One text with its variables replaced; names of those that are not set go to `unknown`.
fn expand(
    text: &str,
    variables: &Variables,
    unknown: &mut Vec<String>,
    depth: usize,
) -> Result<String, Complaint> {
    if depth > MAX_DEPTH {
        return Err((
            format!("variables are nested more than {MAX_DEPTH} deep"),
            "nest them less".to_owned(),
        ));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = closing_brace(inner).ok_or_else(|| malformed(text))?;
            out.push_str(&braced(&inner[..end], variables, unknown, depth)?);
            rest = &inner[end + 1..];
        } else {
            let name = &rest[..name_length(rest)];
            if name.is_empty() {
                return Err(malformed(text));
            }
            out.push_str(&lookup(name, variables, unknown));
            rest = &rest[name.len()..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn lookup(name: &str, variables: &Variables, unknown: &mut Vec<String>) -> String {
    variables.get(name).map(str::to_owned).unwrap_or_else(|| {
        unknown.push(name.to_owned());
        String::new()
    })
}

fn name_length(text: &str) -> usize {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    if !text.bytes().next().is_some_and(letter) {
        return 0;
    }
    text.bytes().take_while(|b| letter(*b) || b.is_ascii_digit()).count()
}

/// Where the brace that was opened before this text is closed, inner `${…}` skipped.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    let bytes = text.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if i > 0 && bytes[i - 1] == b'$' => open += 1,
            b'}' if open == 0 => return Some(i),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// The inside of `${…}`: a name, and what to do if it is unset or, with a colon, empty.
fn braced(
    inner: &str,
    variables: &Variables,
    unknown: &mut Vec<String>,
    depth: usize,
) -> Result<String, Complaint> {
    let name = &inner[..name_length(inner)];
    let rest = &inner[name.len()..];
    if name.is_empty() {
        return Err(malformed(&format!("${{{inner}}}")));
    }
    if rest.is_empty() {
        return Ok(lookup(name, variables, unknown));
    }
    let (colon, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    let set = variables.get(name).filter(|value| !(colon && value.is_empty()));
    let mut operators = rest.chars();
    match (operators.next(), set) {
        (Some('-' | '?'), Some(value)) => Ok(value.to_owned()),
        (Some('-'), None) | (Some('+'), Some(_)) => expand(operators.as_str(), variables, unknown, depth + 1),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            let message = expand(operators.as_str(), variables, unknown, depth + 1)?;
            let said = if message.is_empty() { String::new() } else { format!(": {message}") };
            Err((
                format!("the required variable {name} is not set{said}"),
                format!("known are {}", variables.names()),
            ))
        }
        _ => Err(malformed(&format!("${{{inner}}}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_specification() {
        let pairs = [("SET", "v"), ("EMPTY", "")];
        let variables = Variables(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        let rows: &[(&str, Result<&str, &str>)] = &[
            ("plain", Ok("plain")),
            ("$SET-$SET/x", Ok("v-v/x")),
            ("${SET}x", Ok("vx")),
            ("$$SET $${SET}", Ok("$SET ${SET}")),
            ("${SET:-d}${EMPTY:-d}${NONE:-d}", Ok("vdd")),
            ("${SET-d}[${EMPTY-d}]${NONE-d}", Ok("v[]d")),
            ("${SET:+a}[${EMPTY:+a}][${NONE:+a}]", Ok("a[][]")),
            ("${SET+a}${EMPTY+a}[${NONE+a}]", Ok("aa[]")),
            ("${NONE:-${SET}}", Ok("v")),
            ("${NONE:-${NONE:-{}}}", Ok("{}")),
            ("${SET:?e}", Ok("v")),
            ("${NONE:?give it}", Err("give it")),
            ("${EMPTY:?e}", Err("EMPTY")),
            ("${EMPTY?e}", Ok("")),
            ("$NONE|${NONE}", Ok("|")),
            ("${", Err("begins no variable")),
            ("${SET", Err("begins no variable")),
            ("${}", Err("begins no variable")),
            ("${1}", Err("begins no variable")),
            ("${SET!x}", Err("begins no variable")),
            ("costs 5$", Err("begins no variable")),
            ("$ x", Err("begins no variable")),
        ];
        for (text, expected) in rows {
            let found = expand(text, &variables, &mut Vec::new(), 0);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{text}"),
                (Err((reason, _)), Err(expected)) => assert!(reason.contains(expected), "{text}: {reason}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        let nested = "${N:-".repeat(40) + &"}".repeat(40);
        assert!(expand(&nested, &variables, &mut Vec::new(), 0).is_err());
    }
}
