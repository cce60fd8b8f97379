//! Health checks: when the next one is due, and what a result means (Docker's HEALTHCHECK).

use hull_model::Healthcheck;
use jiff::{SignedDuration, Timestamp};

const INTERVAL: SignedDuration = SignedDuration::from_secs(30);
const START_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
const TIMEOUT: SignedDuration = SignedDuration::from_secs(30);
const RETRIES: u32 = 3;

/// How a container is checked, every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Between the end of a check and the beginning of the next one.
    pub interval: SignedDuration,
    /// The longest a check may take.
    pub timeout: SignedDuration,
    /// Failures this early do not count.
    pub start_period: SignedDuration,
    /// As `interval`, until the first success within the start period.
    pub start_interval: SignedDuration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// Whether a container works, as far as its checks told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No check has succeeded yet, and not enough have failed.
    Starting,
    /// The last check succeeded.
    Healthy,
    /// Enough checks failed in a row.
    Unhealthy,
}

/// The check of a container: its own, item by item over its image's. `None` if there is none, or it was switched off.
pub fn check(own: Option<&Healthcheck>, image: Option<&Healthcheck>, shell: &[String]) -> Option<Check> {
    let empty = Healthcheck::default();
    let (own, image) = (own.unwrap_or(&empty), image.unwrap_or(&empty));
    let test = if own.test.is_empty() { &image.test } else { &own.test };
    let args = match test.split_first() {
        Some((kind, rest)) if kind == "CMD" && !rest.is_empty() => rest.to_vec(),
        Some((kind, rest)) if kind == "CMD-SHELL" && !rest.is_empty() => {
            let default = ["/bin/sh".to_owned(), "-c".to_owned()];
            let shell = if shell.is_empty() { &default[..] } else { shell };
            shell.iter().cloned().chain([rest.join(" ")]).collect()
        }
        _ => return None,
    };
    let pick = |own: i64, image: i64, default: SignedDuration| match (own, image) {
        (0, 0) => default,
        (0, image) => SignedDuration::from_nanos(image),
        (own, _) => SignedDuration::from_nanos(own),
    };
    let retries = if own.retries > 0 { own.retries } else { image.retries };
    Some(Check {
        args,
        interval: pick(own.interval, image.interval, INTERVAL),
        timeout: pick(own.timeout, image.timeout, TIMEOUT),
        start_period: pick(own.start_period, image.start_period, SignedDuration::ZERO),
        start_interval: pick(own.start_interval, image.start_interval, START_INTERVAL),
        retries: u32::try_from(retries).ok().filter(|r| *r > 0).unwrap_or(RETRIES),
    })
}

/// How long to wait for the next check.
pub fn pause(check: &Check, verdict: Verdict, started: Timestamp, now: Timestamp) -> SignedDuration {
    let early = verdict == Verdict::Starting && now.duration_since(started) < check.start_period;
    if early { check.start_interval } else { check.interval }
}

/// What a result makes of the verdict and of the number of failures in a row. Only an exit code of 0 is a success.
pub fn judge(
    check: &Check,
    before: (Verdict, u32),
    exit_code: i32,
    started: Timestamp,
    at: Timestamp,
) -> (Verdict, u32) {
    let (verdict, streak) = before;
    if exit_code == 0 {
        return (Verdict::Healthy, 0);
    }
    let early = verdict == Verdict::Starting && at.duration_since(started) < check.start_period;
    if early {
        return (Verdict::Starting, 0);
    }
    let streak = streak.saturating_add(1);
    (if streak >= check.retries { Verdict::Unhealthy } else { verdict }, streak)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::new(1_000_000 + n, 0).unwrap()
    }

    fn healthcheck(test: &[&str]) -> Healthcheck {
        Healthcheck { test: test.iter().map(|t| (*t).to_owned()).collect(), ..Healthcheck::default() }
    }

    #[test]
    fn commands_come_from_the_container_then_from_the_image() {
        let image = Healthcheck { interval: 1_000_000_000, retries: 5, ..healthcheck(&["CMD", "true"]) };
        let shell = ["/bin/ash".to_owned(), "-c".to_owned()];
        let rows: [(Option<Healthcheck>, Option<&[&str]>); 5] = [
            (None, Some(&["true"])),
            (Some(healthcheck(&["NONE"])), None),
            (Some(healthcheck(&["CMD"])), None),
            (Some(healthcheck(&["CMD-SHELL", "a | b"])), Some(&["/bin/ash", "-c", "a | b"])),
            (Some(Healthcheck { retries: 1, ..Healthcheck::default() }), Some(&["true"])),
        ];
        for (own, expected) in rows {
            let found = check(own.as_ref(), Some(&image), &shell);
            let args = found.as_ref().map(|c| c.args.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(args.as_deref(), expected, "{own:?}");
            if let Some(found) = found {
                assert_eq!(found.interval, SignedDuration::from_secs(1));
                assert_eq!(found.retries, if own.is_some_and(|o| o.retries == 1) { 1 } else { 5 });
            }
        }
        assert!(check(None, None, &[]).is_none());
    }

    #[test]
    fn failures_count_only_after_the_start_period() {
        let own = Healthcheck { start_period: 10_000_000_000, retries: 2, ..healthcheck(&["CMD", "x"]) };
        let check = check(Some(&own), None, &[]).unwrap();
        let start = second(0);
        let early = judge(&check, (Verdict::Starting, 0), 1, start, second(5));
        assert_eq!(early, (Verdict::Starting, 0));
        assert_eq!(pause(&check, early.0, start, second(5)), START_INTERVAL);
        let first = judge(&check, early, 1, start, second(11));
        assert_eq!(first, (Verdict::Starting, 1));
        assert_eq!(pause(&check, first.0, start, second(11)), INTERVAL);
        assert_eq!(judge(&check, first, 1, start, second(41)), (Verdict::Unhealthy, 2));
        assert_eq!(judge(&check, (Verdict::Unhealthy, 7), 0, start, second(50)), (Verdict::Healthy, 0));
        // Once healthy, the start period protects no more.
        assert_eq!(judge(&check, (Verdict::Healthy, 0), 1, start, second(6)), (Verdict::Healthy, 1));
    }
}
