//! Points in time as people and clients write them: a duration ago, a date, or seconds since 1970.

use crate::error::ApiError;
use axum::http::StatusCode;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Nanoseconds in each unit of Go's durations.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// A duration in Go's spelling: `1h30m`, `-1.5s`, `0`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let word = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (_, size) = UNITS.iter().find(|(unit, _)| *unit == &after[..word])?;
        nanoseconds += number.parse::<f64>().ok()? * size;
        rest = &after[word..];
    }
    let given = !text.trim_start_matches(['-', '+']).is_empty();
    let fits = given && nanoseconds < 9.2e18;
    // Whole nanoseconds of at most 292 years.
    fits.then(|| SignedDuration::from_nanos((sign * nanoseconds) as i64))
}

/// A date, with a time or without, in the zone it names or else in the host's.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let local = match text.contains('T') {
        true => ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H"]
            .iter()
            .find_map(|form| DateTime::strptime(form, text).ok())?,
        false => Date::strptime("%Y-%m-%d", text.trim_end_matches('Z')).ok()?.at(0, 0, 0, 0),
    };
    let zone = if text.ends_with('Z') { TimeZone::UTC } else { TimeZone::system() };
    zone.to_timestamp(local).ok()
}

/// Seconds since 1970 with up to nine digits after the point.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Timestamp::new(whole.parse().ok()?, format!("{fraction:0<9}").parse().ok()?).ok()
}

/// A point in time without a question of when it is now: seconds, or a date with a time.
pub(crate) fn exact(text: &str) -> Option<Timestamp> {
    seconds(text).or_else(|| text.parse().ok())
}

/// What point in time a text means.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    match duration(text) {
        Some(ago) => now.checked_sub(ago).ok(),
        None => seconds(text).or_else(|| date(text)),
    }
}

/// The same for a filter `until`, refused as Docker does.
pub(crate) fn until(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    parse(text, now).ok_or_else(|| {
        let message = format!("failed to parse value as time or duration: {text:?}");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_dates_and_seconds_are_told_apart() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let rows = [
            ("10m", Some(999_400_000)),
            ("1h30m", Some(994_600_000)),
            ("1.5s", Some(999_998_500)),
            ("-1s", Some(1_000_001_000)),
            ("0", Some(1_000_000_000)),
            ("12", Some(12_000)),
            ("12.5", Some(12_500)),
            ("1970-01-02T00:00:00Z", Some(86_400_000)),
            ("1970-01-02T00:00:00.25+00:00", Some(86_400_250)),
            ("1970-01-02Z", Some(86_400_000)),
            ("x", None),
            ("", None),
            ("10", Some(10_000)),
            ("10q", None),
            ("1.0000000001", None),
            ("99999999999999h", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text, now).map(|t| t.as_millisecond()), expected, "{text}");
        }
        assert!(parse("1970-01-02T03:04:05", now).is_some() && parse("1970-01-02", now).is_some());
    }
}
