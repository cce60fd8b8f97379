//! The functions of templates: Go's own, and those that Docker adds.

use crate::cli::json::Json;
use std::cmp::Ordering;

/// Every function there is.
pub(super) const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad",
    "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// How Go prints a value.
pub(super) fn print(value: &Json) -> String {
    match value {
        Json::Null => "<no value>".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(value) => value.to_string(),
        Json::Text(value) => value.clone(),
        Json::List(items) => format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(" ")),
        Json::Object(fields) => {
            let mut fields: Vec<&(String, Json)> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let fields: Vec<String> = fields.into_iter().map(|(k, v)| format!("{k}:{}", inner(v))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

fn inner(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".to_owned(),
        other => print(other),
    }
}

/// What counts as true: everything but zero, empty and null.
pub(super) fn truth(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(value) => value.as_f64() != Some(0.0),
        Json::Text(value) => !value.is_empty(),
        Json::List(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
    }
}

/// Calls a function by name.
pub(super) fn call(name: &str, arguments: &[Json]) -> Result<Json, String> {
    let text = |t: String| Ok(Json::Text(t));
    let truth_of = |b: bool| Ok(Json::Bool(b));
    match (name, arguments) {
        ("json", [value]) => text(value.write(false)),
        ("print", values) => text(values.iter().map(print).collect()),
        ("println", values) => text(values.iter().map(print).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [format, values @ ..]) => text(printf(&print(format), values)),
        ("len", [value]) => length(value).map(|n| Json::Number(n.into())),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("join", [Json::List(items), separator]) => {
            text(items.iter().map(print).collect::<Vec<_>>().join(&print(separator)))
        }
        ("split", [value, separator]) => {
            let value = print(value);
            Ok(Json::List(value.split(&print(separator)).map(|p| Json::Text(p.to_owned())).collect()))
        }
        ("lower", [value]) => text(print(value).to_lowercase()),
        ("upper", [value]) => text(print(value).to_uppercase()),
        ("title", [value]) => text(title(&print(value))),
        ("truncate", [value, length]) => text(print(value).chars().take(count(length)?).collect()),
        ("pad", [value, before, after]) => {
            text(format!("{}{}{}", " ".repeat(count(before)?), print(value), " ".repeat(count(after)?)))
        }
        ("not", [value]) => truth_of(!truth(value)),
        ("and", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |v, n| if truth(v) { n } else { v }).clone())
        }
        ("or", [first, rest @ ..]) => {
            Ok(rest.iter().fold(first, |v, n| if truth(v) { v } else { n }).clone())
        }
        ("eq", [first, rest @ ..]) if !rest.is_empty() => truth_of(rest.iter().any(|v| same(first, v))),
        ("ne", [a, b]) => truth_of(!same(a, b)),
        ("lt", [a, b]) => truth_of(order(a, b)? == Ordering::Less),
        ("le", [a, b]) => truth_of(order(a, b)? != Ordering::Greater),
        ("gt", [a, b]) => truth_of(order(a, b)? == Ordering::Greater),
        ("ge", [a, b]) => truth_of(order(a, b)? != Ordering::Less),
        (
            "json" | "len" | "index" | "slice" | "join" | "split" | "lower" | "upper" | "title" | "truncate"
            | "pad" | "not" | "and" | "or" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "printf",
            _,
        ) => Err(format!("wrong arguments for {name}")),
        _ => Err(format!("function {name:?} not defined")),
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn order(a: &Json, b: &Json) -> Result<Ordering, String> {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).ok_or_else(|| "numbers cannot be compared".to_owned())
        }
        (Json::Text(a), Json::Text(b)) => Ok(a.cmp(b)),
        _ => Err(format!("incompatible types for comparison: {} and {}", print(a), print(b))),
    }
}

/// A number of characters; more than anybody can read is refused.
fn count(value: &Json) -> Result<usize, String> {
    const MOST: u64 = 1 << 16;
    let number = match value {
        Json::Number(number) => number.as_u64().filter(|n| *n <= MOST),
        _ => None,
    };
    let refused = || format!("{} is no number from 0 to {MOST}", print(value));
    number.and_then(|n| usize::try_from(n).ok()).ok_or_else(refused)
}

fn length(value: &Json) -> Result<usize, String> {
    match value {
        Json::Text(text) => Ok(text.len()),
        Json::List(items) => Ok(items.len()),
        Json::Object(fields) => Ok(fields.len()),
        other => Err(format!("len of {}", print(other))),
    }
}

fn index(value: &Json, key: &Json) -> Result<Json, String> {
    match (value, key) {
        (Json::List(items), Json::Number(at)) => {
            let item = at.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?));
            item.cloned().ok_or_else(|| format!("index out of range: {at}"))
        }
        // A missing key is the zero value of a map of texts.
        (Json::Object(_), Json::Text(key)) => {
            Ok(value.get(key).cloned().unwrap_or(Json::Text(String::new())))
        }
        (Json::Null, _) => Err("index of untyped nil".to_owned()),
        _ => Err(format!("can't index item of {} with {}", print(value), print(key))),
    }
}

fn slice(value: &Json, bounds: &[Json]) -> Result<Json, String> {
    let length = length(value)?;
    let from = bounds.first().map_or(Ok(0), count)?;
    let to = bounds.get(1).map_or(Ok(length), count)?;
    let outside = || format!("index out of range: {from}:{to} of {length}");
    match value {
        Json::Text(text) => text.get(from..to).map(|t| Json::Text(t.to_owned())).ok_or_else(outside),
        Json::List(items) => items.get(from..to).map(|i| Json::List(i.to_vec())).ok_or_else(outside),
        other => Err(format!("can't slice {}", print(other))),
    }
}

fn title(text: &str) -> String {
    let mut new_word = true;
    let letter = |c: char| {
        let shown: String = if new_word { c.to_uppercase().collect() } else { c.to_string() };
        new_word = !c.is_alphanumeric();
        shown
    };
    text.chars().map(letter).collect()
}

/// `%s`, `%v`, `%d`, `%q` and `%%`, with a width as in `%-10s`.
fn printf(format: &str, values: &[Json]) -> String {
    let (mut out, mut rest, mut values) = (String::new(), format, values.iter());
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let directive = &rest[at + 1..];
        let end = directive.find(|c: char| !matches!(c, '-' | '0'..='9')).unwrap_or(directive.len());
        let Some(verb) = directive[end..].chars().next() else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        rest = &directive[end + verb.len_utf8()..];
        let text = match (verb, values.as_slice().first()) {
            ('%', _) => {
                out.push('%');
                continue;
            }
            (_, None) => format!("%!{verb}(MISSING)"),
            ('q', Some(value)) => Json::Text(print(value)).write(false),
            ('s' | 'v' | 'd', Some(value)) => print(value),
            (_, Some(value)) => format!("%!{verb}({})", print(value)),
        };
        values.next();
        let (left, width) = (directive.starts_with('-'), directive[..end].trim_start_matches('-'));
        let width = width.parse::<usize>().unwrap_or(0).min(1 << 10);
        out.push_str(&if left { format!("{text:<width$}") } else { format!("{text:>width$}") });
    }
    out + rest
}
