//! Removing what nobody uses.

use crate::error::ApiError;
use crate::filters::Filters;
use hull_model::{ContainerRecord, NetworkRecord, VolumeRecord};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Which unused objects are to go: those with all the labels that are wanted and none that is not, made before a moment.
#[derive(Debug)]
pub(crate) struct Picker {
    filters: Filters,
    until: Option<Timestamp>,
}

impl Picker {
    /// Reads `label`, `label!` and `until`, and keys that the caller looks at itself.
    pub(crate) fn read(text: Option<&str>, more: &[&str], now: Timestamp) -> Result<Self, ApiError> {
        let supported: Vec<&str> = ["label", "label!", "until"].iter().chain(more).copied().collect();
        let filters = Filters::parse(text, &supported)?;
        let mut moments = filters.get("until");
        let until = match (moments.next(), moments.next()) {
            (None, _) => None,
            (Some(one), None) => Some(moment(one, now)?),
            _ => return Err(ApiError::bad_request("more than one until filter specified")),
        };
        drop(moments);
        Ok(Self { filters, until })
    }

    pub(crate) fn filters(&self) -> &Filters {
        &self.filters
    }

    fn picks(&self, labels: &BTreeMap<String, String>, created: Timestamp) -> bool {
        let there = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|v| v == value),
            None => labels.contains_key(wanted),
        };
        self.filters.labels(labels)
            && !self.filters.get("label!").any(there)
            && self.until.is_none_or(|until| created < until)
    }

    pub(crate) fn container(&self, record: &ContainerRecord) -> bool {
        self.picks(&record.spec.labels, record.created)
    }

    pub(crate) fn volume(&self, record: &VolumeRecord) -> bool {
        self.picks(&record.labels, record.created)
    }

    pub(crate) fn network(&self, record: &NetworkRecord) -> bool {
        self.picks(&record.labels, record.created)
    }
}

/// A point in time, or how long ago it was.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let bad = || ApiError::bad_request(format!("failed to parse value as time or duration: {text:?}"));
    crate::moment::parse(text, now).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_and_age_decide() {
        let now = Timestamp::from_second(10_000).unwrap();
        let picks = |filters: serde_json::Value, age: i64| {
            let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
            let created = Timestamp::from_second(10_000 - age).unwrap();
            let read = Picker::read(Some(&filters.to_string()), &[], now);
            read.map(|p| p.picks(&labels, created)).map_err(|e| e.message)
        };
        assert_eq!(picks(json!({}), 0), Ok(true));
        assert_eq!(picks(json!({ "label": ["a=b"] }), 0), Ok(true));
        assert_eq!(picks(json!({ "label!": ["a"] }), 0), Ok(false));
        assert_eq!(picks(json!({ "until": ["1h"] }), 3_700), Ok(true));
        assert_eq!(picks(json!({ "until": ["1h"] }), 3_500), Ok(false));
        let why = "failed to parse value as time or duration: \"x\"".to_owned();
        assert_eq!(picks(json!({ "until": ["x"] }), 0), Err(why));
        assert_eq!(picks(json!({ "bogus": ["x"] }), 0), Err("invalid filter 'bogus'".to_owned()));
    }
}
