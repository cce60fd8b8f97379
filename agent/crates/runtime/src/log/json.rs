//! Records of Docker's json-file driver, byte for byte. Pure.

use super::record::{Entry, Source};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;

/// A record as it is read. Whatever else other programs put into it is passed over.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// The member `attrs` of every record of a container, with the comma after it; nothing without attributes.
pub(crate) fn attributes(attributes: &BTreeMap<String, String>) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let mut text = Vec::from(*b"\"attrs\":{");
    for (index, (key, value)) in attributes.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        string(&mut text, key.as_bytes());
        text.push(b':');
        string(&mut text, value.as_bytes());
    }
    text.extend_from_slice(b"},");
    String::from_utf8(text).unwrap_or_default()
}

pub(super) fn encode(out: &mut Vec<u8>, source: Source, at: Timestamp, bytes: &[u8], attributes: &str) {
    let stream = match source {
        Source::Stdout => "stdout",
        Source::Stderr => "stderr",
    };
    out.extend_from_slice(b"{\"log\":");
    string(out, bytes);
    // RFC 3339 with as many digits of a second as it needs; writing into memory does not fail.
    let _ = writeln!(out, ",\"stream\":\"{stream}\",{attributes}\"time\":\"{at}\"}}");
}

pub(super) fn decode(record: &[u8]) -> Option<Entry> {
    let record: Record<'_> = serde_json::from_slice(record).ok()?;
    let at = record.time.parse().ok()?;
    Some(Entry {
        stderr: record.stream == "stderr",
        at,
        bytes: record.log.into_owned().into_bytes(),
        attributes: record.attrs,
    })
}

/// A JSON string. What is not UTF-8 becomes U+FFFD, byte by byte; what HTML or JavaScript would take amiss is escaped.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        text(out, chunk.valid());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

fn text(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escaped = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\u{2028}' => "\\u2028",
            '\u{2029}' => "\\u2029",
            '<' | '>' | '&' | '\0'..'\u{20}' => "",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + character.len_utf8();
        if escaped.is_empty() {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.extend_from_slice(escaped.as_bytes());
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}
