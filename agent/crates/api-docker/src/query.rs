//! Query parameters as Docker reads them.

use crate::error::ApiError;
use jiff::Timestamp;
use std::collections::HashMap;

/// The parameters of one request; of a repeated one the first counts, unless all are asked for.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, Vec<String>>);

impl Query {
    /// Reads the part of a URI after the question mark.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        let mut values: HashMap<String, Vec<String>> = HashMap::new();
        for pair in text.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.entry(unescape(key, true)).or_default().push(unescape(value, true));
        }
        Self(values)
    }

    /// Every value of a parameter, in their order.
    pub(crate) fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.first(key).filter(|v| !v.is_empty())
    }

    /// Docker's truth: everything but these is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.first(key).map(|v| v.trim().to_ascii_lowercase()).unwrap_or_default();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A moment, as seconds since 1970 with an optional fraction, or in RFC 3339. Zero is none.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.text(key).filter(|t| *t != "0") else { return Ok(None) };
        let fail =
            || ApiError::bad_request(format!("invalid value {text:?} for {key}: it is no point in time"));
        parse_time(text).map(Some).ok_or_else(fail)
    }
}

/// The words that Go reads as true and false.
pub(crate) fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    if text.contains('T') {
        return text.parse().ok();
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanoseconds).ok()
}

/// Undoes percent-encoding. A malformed escape stays as it is; bytes that are no UTF-8 are replaced.
pub(crate) fn unescape(text: &str, plus_is_space: bool) -> String {
    let source = text.as_bytes();
    let mut bytes = Vec::with_capacity(source.len());
    let mut at = 0;
    while at < source.len() {
        let digits = source.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match (source[at], digits.and_then(|d| u8::from_str_radix(d, 16).ok())) {
            (b'%', Some(value)) => {
                bytes.push(value);
                at += 2;
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_dockers() {
        let query = Query::parse(Some("a=1&b=0&c=False&d&e=yes&f=none"));
        let truths: Vec<bool> = ["a", "b", "c", "d", "e", "f", "g"].iter().map(|k| query.flag(k)).collect();
        assert_eq!(truths, [true, false, false, false, true, false, false]);
    }

    #[test]
    fn escapes_are_undone_once_and_broken_ones_stay() {
        for (text, plain) in [
            ("a%2Fb", "a/b"),
            ("%7B%22a%22%7D", "{\"a\"}"),
            ("a+b", "a b"),
            ("100%", "100%"),
            ("%zz%2", "%zz%2"),
            ("%252F", "%2F"),
            ("%é", "%é"),
        ] {
            assert_eq!(unescape(text, true), plain, "{text}");
        }
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let ms = |text: &str| parse_time(text).map(|t| t.as_millisecond());
        let rows = [
            ("12", Some(12_000)),
            ("12.5", Some(12_500)),
            ("12.000000001", Some(12_000)),
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("x", None),
            ("1.", None),
            ("1.0000000001", None),
            ("99999999999999999", None),
        ];
        for (text, expected) in rows {
            assert_eq!(ms(text), expected, "{text}");
        }
    }
}
