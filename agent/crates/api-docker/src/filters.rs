//! Filters: `{"name": ["web"]}`, or as old clients write it `{"name": {"web": true}}`.

use crate::error::ApiError;
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
        let filters = Self::parse_any(text)?;
        match filters.0.keys().find(|key| !supported.contains(&key.as_str())) {
            Some(key) => Err(ApiError::bad_request(format!("invalid filter '{key}'"))),
            None => Ok(filters),
        }
    }

    /// Reads filters of any key, where Docker takes them all.
    pub(crate) fn parse_any(text: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let read: BTreeMap<String, Values> =
            serde_json::from_str(text).map_err(|_| ApiError::bad_request("invalid filter"))?;
        let values = |values| match values {
            Values::List(list) => list.into_iter().collect::<BTreeSet<String>>(),
            Values::Set(set) => set.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect(),
        };
        let read = read.into_iter().map(|(key, listed)| (key, values(listed)));
        Ok(Self(read.filter(|(_, values)| !values.is_empty()).collect()))
    }

    /// The truth that one value of a key says; `None` if nothing is asked of it.
    pub(crate) fn truth(&self, key: &str) -> Result<Option<bool>, ApiError> {
        let values: Vec<&str> = self.get(key).collect();
        match values[..] {
            [] => Ok(None),
            ["1" | "true"] => Ok(Some(true)),
            ["0" | "false"] => Ok(Some(false)),
            _ => {
                let shown = values.join(" ");
                Err(ApiError::bad_request(format!("invalid filter '{key}=[{shown}]'")))
            }
        }
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
        self.all("label", |wanted| has_label(labels, wanted))
    }

    /// Whether the labels are not there: no `key` and no `key=value` of the key `label!`.
    pub(crate) fn labels_absent(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all("label!", |wanted| !has_label(labels, wanted))
    }

    /// Whether a name matches: equal to one of the values, or found by it as a regular expression.
    pub(crate) fn name(&self, key: &str, candidates: &[&str]) -> bool {
        self.any(key, |wanted| {
            let pattern = regex_lite::Regex::new(wanted).ok();
            candidates.iter().any(|c| *c == wanted || pattern.as_ref().is_some_and(|p| p.is_match(c)))
        })
    }
}

fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
        None => labels.contains_key(wanted),
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
    fn truths_and_labels_are_said_once() {
        let read = |text: &str| Filters::parse_any(Some(text)).unwrap();
        assert_eq!(read(r#"{"dangling":["1"]}"#).truth("dangling").unwrap(), Some(true));
        assert_eq!(read("{}").truth("dangling").unwrap(), None);
        let both = read(r#"{"dangling":["true","false"]}"#).truth("dangling").unwrap_err();
        assert_eq!(both.message, "invalid filter 'dangling=[false true]'");
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        for (text, there) in [("a", true), ("a=b", true), ("a=c", false), ("b", false)] {
            let pass = |key: &str| read(&serde_json::json!({ key: [text] }).to_string());
            assert_eq!(pass("label").labels(&labels), there, "{text}");
            assert_eq!(pass("label!").labels_absent(&labels), !there, "{text}");
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
