//! In what two answers differ: values in, differences out.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// One difference, at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// The request's name, then the way down: `container inspect: .HostConfig.Memory`.
    pub(super) place: String,
    pub(super) what: What,
}

/// Of which kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// They have it, we have not.
    Missing(String),
    /// We have it, they have not.
    Extra(String),
    /// Ours, then theirs.
    Other(String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Missing(theirs) => write!(f, "{} is missing; theirs: {theirs}", self.place),
            What::Extra(ours) => write!(f, "{} is not theirs; ours: {ours}", self.place),
            What::Other(ours, theirs) => write!(f, "{}: ours {ours}, theirs {theirs}", self.place),
        }
    }
}

/// Everything in which `ours` differs from `theirs`. Texts and numbers that differ by nature (ids, times, addresses, sizes)
/// only have to be of the same kind.
pub(super) fn differences(place: &str, ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(place, ours, theirs, &mut found);
    found
}

fn walk(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let place = format!("{place}.{}", kind_of(key).unwrap_or_else(|| key.clone()));
                match (a.get(key), b.get(key)) {
                    (Some(ours), Some(theirs)) => walk(&place, ours, theirs, found),
                    // Keys that are ids differ by nature.
                    _ if kind_of(key).is_some() => {}
                    (Some(ours), None) => found.push(Difference { place, what: What::Extra(brief(ours)) }),
                    (None, Some(theirs)) => {
                        found.push(Difference { place, what: What::Missing(brief(theirs)) })
                    }
                    (None, None) => {}
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (ours, theirs)) in a.iter().zip(b).enumerate() {
                walk(&format!("{place}[{index}]"), ours, theirs, found);
            }
        }
        (ours, theirs) if alike(ours, theirs) => {}
        (ours, theirs) => {
            let what = What::Other(brief(ours), brief(theirs));
            found.push(Difference { place: place.to_owned(), what });
        }
    }
}

fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::String(a), Value::String(b)) => {
            a == b || kind_of(a).is_some_and(|kind| Some(kind) == kind_of(b)) || masked(a) == masked(b)
        }
        // Counters and sizes; small ones are codes and counts, which must be the same.
        (Value::Number(a), Value::Number(b)) => {
            let large = |n: &serde_json::Number| n.as_f64().is_some_and(|n| n.abs() >= 1000.0);
            a == b || (large(a) && large(b))
        }
        (a, b) => a == b,
    }
}

/// What a text is by nature.
fn kind_of(text: &str) -> Option<String> {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let kind = if let Some(digest) = text.strip_prefix("sha256:").filter(|d| d.len() == 64 && hex(d)) {
        _ = digest;
        "<digest>"
    } else if (text.len() == 64 || text.len() == 12) && hex(text) {
        "<id>"
    } else if text.len() > 18 && text.contains('T') && text[..4].bytes().all(|b| b.is_ascii_digit()) {
        "<time>"
    } else if text.parse::<std::net::IpAddr>().is_ok() && !text.starts_with("0.0.0.0") {
        "<address>"
    } else if text.len() == 17 && text.split(':').count() == 6 {
        "<mac>"
    } else {
        return None;
    };
    Some(kind.to_owned())
}

/// A text with every word that is an id by nature put out of sight.
fn masked(text: &str) -> String {
    let word = |word: &str| {
        let plain = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match kind_of(plain) {
            Some(kind) => word.replace(plain, &kind),
            None => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_by_nature_is_alike() {
        let id = "a".repeat(64);
        let other = "b".repeat(64);
        let ours = json!({ "Id": id, "At": "2026-01-01T00:00:00Z", "Size": 5000, "Msg": format!("no {id} here"), "Ip": "10.0.0.1" });
        let theirs = json!({ "Id": other, "At": "2025-01-01T00:00:00Z", "Size": 9000, "Msg": format!("no {other} here"), "Ip": "172.17.0.2" });
        assert_eq!(differences("x", &ours, &theirs), []);
    }

    #[test]
    fn everything_else_is_told_with_its_place() {
        let ours = json!({ "a": { "b": null, "extra": 1 }, "list": [1], "code": 3 });
        let theirs = json!({ "a": { "b": [], "gone": "x" }, "list": [1, 2], "code": 4 });
        let found: Vec<String> = differences("r", &ours, &theirs).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "r.a.b: ours null, theirs []",
                "r.a.extra is not theirs; ours: 1",
                "r.a.gone is missing; theirs: \"x\"",
                "r.code: ours 3, theirs 4",
                "r.list: ours [1], theirs [1,2]",
            ]
        );
    }
}
