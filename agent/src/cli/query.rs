//! Text in paths and queries of requests.

/// Text as one part of a path or a query.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// The name of an object as part of a path; `/` and `:` stand in names of images.
pub(crate) fn name(text: &str) -> String {
    escape(text).replace("%2F", "/").replace("%3A", ":").replace("%40", "@")
}

/// A query, with the question mark; nothing for no pairs.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{key}={}", escape(&value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// `key=value` filters as the document that the API takes; empty for none.
pub(crate) fn filters<S: AsRef<str>>(given: &[S]) -> String {
    let mut by_key: std::collections::BTreeMap<String, std::collections::BTreeMap<&str, bool>> =
        Default::default();
    for filter in given {
        if let Some((key, value)) = filter.as_ref().split_once('=') {
            by_key.entry(key.trim().to_ascii_lowercase()).or_default().insert(value.trim(), true);
        }
    }
    if by_key.is_empty() { String::new() } else { serde_json::json!(by_key).to_string() }
}

/// The query parameter for filters, if there are any.
pub(crate) fn filter_pair<S: AsRef<str>>(given: &[S]) -> Option<(&'static str, String)> {
    Some(filters(given)).filter(|f| !f.is_empty()).map(|f| ("filters", f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_grouped_by_key() {
        let document = filters(&["label=a=b", "label=c", "name=web"]);
        assert_eq!(document, r#"{"label":{"a=b":true,"c":true},"name":{"web":true}}"#);
        assert_eq!(filters::<&str>(&[]), "");
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(query([("a", "b c&d".to_owned())]), "?a=b%20c%26d");
        assert_eq!(query([]), "");
        assert_eq!(name("127.0.0.1:5000/a/b@sha256:1"), "127.0.0.1:5000/a/b@sha256:1");
    }
}
