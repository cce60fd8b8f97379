//! Sizes, durations and shares as people write them.

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// Bytes of a text like `512m`, `1.5g` or `10`; units are powers of 1024.
pub(crate) fn size(text: &str) -> Result<i64, String> {
    let refuse = || format!("invalid size: '{text}'");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| refuse())?;
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let unit = match unit.as_str() {
        "" | "b" => 1u64,
        _ => {
            let rest = &unit[1..];
            if !matches!(rest, "" | "b" | "ib") {
                return Err(refuse_unit(&unit));
            }
            match unit.as_bytes()[0] {
                b'k' => 1 << 10,
                b'm' => 1 << 20,
                b'g' => 1 << 30,
                b't' => 1 << 40,
                b'p' => 1 << 50,
                _ => return Err(refuse_unit(&unit)),
            }
        }
    };
    Ok((number * unit as f64) as i64)
}

fn refuse_unit(unit: &str) -> String {
    format!("invalid suffix: '{unit}'")
}

/// Nanoseconds of `1h2m3.5s`, as Go reads durations.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let refuse = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().map_err(|_| refuse())?;
        let after = &rest[end..];
        let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let unit = match &after[..length] {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => SECOND,
            "m" => 60.0 * SECOND,
            "h" => 3600.0 * SECOND,
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * unit;
        rest = &after[length..];
    }
    Ok((sign * total) as i64)
}

/// Billionths of a processor.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let refuse = || format!("failed to parse {text} as a rational number");
    let value: f64 = text.parse().map_err(|_| refuse())?;
    if !value.is_finite() || !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')) {
        return Err(refuse());
    }
    let nanos = value * 1e9;
    if (nanos - nanos.round()).abs() > 1e-3 {
        return Err("value is too precise".to_owned());
    }
    Ok(nanos.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_dockers() {
        for (text, bytes) in
            [("10", 10), ("512m", 512 << 20), ("1.5g", 3 << 29), ("4kb", 4096), ("1KiB", 1024)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, nanoseconds) in
            [("0", 0), ("1.5s", 1_500_000_000), ("1h1m", 3_660_000_000_000), ("-2ms", -2_000_000)]
        {
            assert_eq!(duration(text), Ok(nanoseconds), "{text}");
        }
        assert_eq!(duration("10").unwrap_err(), "time: missing unit in duration \"10\"");
        assert_eq!(duration("1x").unwrap_err(), "time: unknown unit \"x\" in duration \"1x\"");
        assert_eq!((nano_cpus("1.5"), nano_cpus(".1")), (Ok(1_500_000_000), Ok(100_000_000)));
        assert!(nano_cpus("x").is_err() && nano_cpus("0.0000000001").is_err() && size("1x").is_err());
    }
}
