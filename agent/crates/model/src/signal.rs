//! Signals by name.

/// Names in the order of their numbers on amd64 and arm64 (signal(7)), from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// First real-time signal that glibc leaves to programs, and the last.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Parses `SIGTERM`, `term`, `15`, `RTMIN+3`. `None` if there is no such signal.
pub fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|n| *n == name) {
        return i32::try_from(index + 1).ok();
    }
    let number = match name.split_at_checked(5)? {
        ("RTMIN", "") => RTMIN,
        ("RTMAX", "") => RTMAX,
        ("RTMIN", offset) => RTMIN + offset.strip_prefix('+')?.parse::<u8>().ok().map(i32::from)?,
        ("RTMAX", offset) => RTMAX - offset.strip_prefix('-')?.parse::<u8>().ok().map(i32::from)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_name_and_number() {
        let rows = [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("9", Some(9)),
            ("SIGSYS", Some(31)),
            ("RTMIN+3", Some(37)),
            ("SIGRTMAX-1", Some(63)),
            ("0", None),
            ("65", None),
            ("FOO", None),
            ("RTMIN+99", None),
            ("", None),
        ];
        for (text, number) in rows {
            assert_eq!(parse_signal(text), number, "{text}");
        }
    }
}
