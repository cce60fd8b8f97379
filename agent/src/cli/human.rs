//! Times and sizes as people read and write them.

use crate::cli::failure::Failure;
use hull_api_docker::human::duration;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

/// `2 minutes ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    duration(now.duration_since(then)) + " ago"
}

/// `2 minutes`, for what lies ahead.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    // Rounded up: what is due in half a second is not due in less than none.
    duration(then.duration_since(now) + SignedDuration::from_millis(999)).to_lowercase()
}

/// `2026-01-31 12:00:00 +0000 UTC`, in a time zone.
pub(crate) fn date(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// `1.23MB`: three digits, multiples of a thousand.
pub(crate) fn size(bytes: u64) -> String {
    size_in(3, bytes)
}

/// So many digits, multiples of a thousand.
pub(crate) fn size_in(digits: u32, bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    format!("{}{unit}", significant(value, digits))
}

/// A number with so many digits that count, without zeros at its end.
fn significant(value: f64, digits: u32) -> String {
    let whole = |v: f64| if v < 1.0 { 1 } else { v.log10() as u32 + 1 };
    let places = digits.saturating_sub(whole(value)) as usize;
    let text = format!("{value:.places$}");
    // Rounding may have made it one digit longer.
    let places = digits.saturating_sub(whole(text.parse().unwrap_or(value))) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// At most so many characters, the last one a sign that more was there.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// `23.54GiB`: four digits, multiples of 1024, as Docker writes memory.
pub(crate) fn memory(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or("B");
    while value >= 1024.0 {
        let Some(next) = units.next() else { break };
        value /= 1024.0;
        unit = next;
    }
    let digits = match value {
        v if v < 9.9995 => 3,
        v if v < 99.995 => 2,
        v if v < 999.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// A point in time, as the API takes it: seconds since 1970 with a fraction. Durations count back from now.
pub(crate) fn point_in_time(text: &str, now: Timestamp) -> Result<String, Failure> {
    let write = |t: Timestamp| format!("{}.{:09}", t.as_second(), t.subsec_nanosecond());
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Ok(text.to_owned());
    }
    if let Ok(back) = hull_model::parse_duration(text)
        && let Ok(then) = now.checked_sub(back)
    {
        return Ok(write(then));
    }
    let local =
        || text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::system()).ok().map(|z| z.timestamp());
    let point = text.parse::<Timestamp>().ok().or_else(local);
    point.map(write).ok_or_else(|| Failure {
        hint: Some("Write it like 10m, 2026-01-31T12:00:00Z or 2026-01-31."),
        ..Failure::new(format!("failed to parse value as time or duration: {text:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_powers_of_two() {
        let rows = [
            (0, "0B"),
            (1024, "1KiB"),
            (1_003_319_296, "956.8MiB"),
            (25_276_514_304, "23.54GiB"),
            (1 << 40, "1TiB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        let rows = [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1kB"),
            (1_234, "1.23kB"),
            (12_345, "12.3kB"),
            (434_000_000, "434MB"),
            (1_500_000_000, "1.5GB"),
            (20_000_000, "20MB"),
            (u64::MAX, "18.4EB"),
        ];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_points_or_count_back() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert_eq!(point_in_time("10m", now).unwrap(), "400.000000000");
        assert_eq!(point_in_time("1970-01-01T00:00:01.5Z", now).unwrap(), "1.500000000");
        assert_eq!(point_in_time("12.5", now).unwrap(), "12.5");
        for bad in ["", "yesterday", "10x"] {
            assert!(point_in_time(bad, now).is_err(), "{bad}");
        }
    }
}
