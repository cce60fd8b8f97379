//! Sizes and durations as Docker and Compose write them.

use std::time::Duration;

/// Why a text is not a size or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}; write it like {example}")]
pub struct InvalidUnit {
    what: &'static str,
    text: String,
    example: &'static str,
}

/// Parses a size in bytes: `512`, `64k`, `10m`, `1.5g`, `2gb`, `1GiB`. Multiples are of 1024, as in Docker.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidUnit> {
    let fail = || InvalidUnit { what: "size", text: text.to_owned(), example: "\"512m\" or \"1.5g\"" };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        "p" | "pb" | "pib" => 1 << 50,
        _ => return Err(fail()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(fail);
    }
    let value = number.parse::<f64>().map_err(|_| fail())? * factor as f64;
    if value.is_finite() && (0.0..9.0e18).contains(&value) { Ok(value as u64) } else { Err(fail()) }
}

/// Parses a duration as Compose writes it: `300ms`, `90s`, `1m30s`, `1h5m`. A bare number is refused.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    let fail = || InvalidUnit { what: "duration", text: text.to_owned(), example: "\"1m30s\" or \"500ms\"" };
    let mut rest = text.trim();
    let mut total = 0.0f64;
    if rest.is_empty() {
        return Err(fail());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fail)?;
        let value: f64 = rest[..digits].parse().map_err(|_| fail())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(fail()),
        };
        total += value * seconds;
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| fail())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let rows = [
            ("0", 0),
            ("512", 512),
            ("64k", 65_536),
            ("1.5g", 1_610_612_736),
            ("2GB", 2 << 30),
            ("1 MiB", 1 << 20),
        ];
        for (text, bytes) in rows {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1e9", "99999999999g", "1.2.3k", "NaN"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        let rows = [("1s", 1_000), ("300ms", 300), ("1m30s", 90_000), ("1h5m", 3_900_000), ("0.5s", 500)];
        for (text, ms) in rows {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "10", "s", "-1s", "1d", "1s2"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
