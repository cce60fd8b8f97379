//! Filters: `{"name": ["web"]}`, or as old clients write it `{"name": {"web": true}}`.

use crate::error::ApiError;
use axum::http::StatusCode;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

/// The filters of one request. An object passes if for each key one of its values matches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Reads filters. Refuses keys that are not `supported`: a filter that is ignored shows too much.
    pub(crate) fn parse(text: Option<&str>, supported: &[&str]) -> Result<Self, ApiError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let read: BTreeMap<String, Values> =
            serde_json::from_str(text).map_err(|e| ApiError::bad_request(format!("invalid filter: {e}")))?;
        let mut filters = BTreeMap::new();
        for (key, values) in read {
            if !supported.contains(&key.as_str()) {
                let message =
                    format!("filter '{key}' is not supported here; use one of: {}", supported.join(", "));
                return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
            }
            let values: BTreeSet<String> = match values {
                Values::List(list) => list.into_iter().collect(),
                Values::Set(set) => set.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect(),
            };
            if !values.is_empty() {
                filters.insert(key, values);
            }
        }
        Ok(Self(filters))
    }

    /// The values of a key.
    pub(crate) fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Whether anything is asked of this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether one of the key's values matches, or nothing is asked of it.
    pub(crate) fn any(&self, key: &str, matches: impl Fn(&str) -> bool) -> bool {
        self.0.get(key).is_none_or(|values| values.iter().any(|v| matches(v)))
    }

    /// Whether all of the key's values match.
    pub(crate) fn all(&self, key: &str, matches: impl Fn(&str) -> bool) -> bool {
        self.get(key).all(matches)
    }

    /// Whether the labels are there: every `key` and every `key=value`.
    pub(crate) fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all("label", |wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
            None => labels.contains_key(wanted),
        })
    }

    /// Whether a name matches: equal to one of the values, or found by it as a regular expression.
    pub(crate) fn name(&self, key: &str, candidates: &[&str]) -> bool {
        self.any(key, |wanted| {
            let pattern = regex_lite::Regex::new(wanted).ok();
            candidates.iter().any(|c| *c == wanted || pattern.as_ref().is_some_and(|p| p.is_match(c)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let list = Filters::parse(Some(r#"{"name":["a","b"]}"#), &["name"]).unwrap();
        let set = Filters::parse(Some(r#"{"name":{"a":true,"b":true,"c":false}}"#), &["name"]).unwrap();
        assert_eq!(list, set);
        for bad in ["x", "[]", r#"{"name":1}"#, r#"{"nme":["a"]}"#] {
            assert!(Filters::parse(Some(bad), &["name"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_regular_expressions() {
        let pass = |wanted: &str| {
            let text = serde_json::json!({ "name": [wanted] }).to_string();
            Filters::parse(Some(&text), &["name"]).unwrap().name("name", &["/web-1", "web-1"])
        };
        for (wanted, expected) in
            [("web", true), ("^/web-1$", true), ("^web", true), ("^eb", false), ("(", false)]
        {
            assert_eq!(pass(wanted), expected, "{wanted}");
        }
    }
}
