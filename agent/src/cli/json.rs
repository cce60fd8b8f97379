//! JSON that keeps the order in which it came.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::fmt::{self, Write as _};

/// Where a row keeps its labels.
pub(crate) const LABELS: &str = "\0labels";

/// A JSON value whose objects keep the order of their keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a key. `None` if there is none, or this is no object.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => fields.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The same, whatever the case: templates name Go's fields (`.ID`, `.APIVersion`), answers have them as `Id`, `ApiVersion`.
    pub(crate) fn get_as_spelled_in_go(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(fields) => fields.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text of a key; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        match self.get(key) {
            Some(Json::Text(text)) => text,
            _ => "",
        }
    }

    /// An object of texts.
    pub(crate) fn texts<const N: usize>(fields: [(&str, String); N]) -> Self {
        Json::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), Json::Text(v))).collect())
    }

    /// A row of a list: its texts, and labels that `.Label "x"` looks up. Rows are written as Go writes them: with `<`, `>` and `&`
    /// escaped, and without what is only looked up.
    pub(crate) fn row<const N: usize>(fields: [(&str, String); N], labels: Json) -> Self {
        let Json::Object(mut all) = Self::texts(fields) else { return Json::Null };
        all.push((LABELS.to_owned(), labels));
        Json::Object(all)
    }

    /// On one line, or indented by four blanks as `docker inspect` writes it.
    pub(crate) fn write(&self, indented: bool) -> String {
        let mut out = String::new();
        self.append(&mut out, indented.then_some(0));
        out
    }

    fn append(&self, out: &mut String, depth: Option<usize>) {
        match self {
            Json::Null => out.push_str("null"),
            // Writing to a string cannot fail.
            Json::Bool(value) => _ = write!(out, "{value}"),
            Json::Number(value) => _ = write!(out, "{value}"),
            Json::Text(value) => out.push_str(&serde_json::Value::from(value.as_str()).to_string()),
            Json::List(items) => {
                let write = |out: &mut String, item: &Json, depth| item.append(out, depth);
                group(out, depth, ('[', ']'), items, write);
            }
            Json::Object(fields) if fields.last().is_some_and(|(key, _)| key == LABELS) => {
                let row = Json::Object(fields[..fields.len() - 1].to_vec()).write(depth.is_some());
                out.push_str(&row.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"));
            }
            Json::Object(fields) => {
                let write = |out: &mut String, (key, value): &(String, Json), depth: Option<usize>| {
                    out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                    out.push_str(if depth.is_some() { ": " } else { ":" });
                    value.append(out, depth);
                };
                group(out, depth, ('{', '}'), fields, write);
            }
        }
    }
}

fn group<T>(
    out: &mut String,
    depth: Option<usize>,
    (open, close): (char, char),
    items: &[T],
    write: impl Fn(&mut String, &T, Option<usize>),
) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    };
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(depth) = depth {
            line(out, depth + 1);
        }
        write(out, item, depth.map(|d| d + 1));
    }
    if let (Some(depth), false) = (depth, items.is_empty()) {
        line(out, depth);
    }
    out.push(close);
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_shape_are_kept() {
        let text = r#"{"b":[1,-2,1.5,true,null],"a":{"x":"<\"é\n>"},"c":{},"d":[]}"#;
        let value: Json = serde_json::from_str(text).unwrap();
        assert_eq!(value.write(false), text);
        let indented = "{\n    \"b\": [\n        1\n    ],\n    \"c\": {},\n    \"d\": []\n}";
        let value: Json = serde_json::from_str(indented).unwrap();
        assert_eq!(value.write(true), indented);
    }
}
