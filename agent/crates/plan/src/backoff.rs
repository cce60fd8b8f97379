//! How long to wait before trying again.

use jiff::{SignedDuration, Timestamp};

/// An exponential back-off with a ceiling.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    first: SignedDuration,
    ceiling: SignedDuration,
}

/// Steps that failed: 1 s, 2 s, 4 s, … 5 min.
pub const RETRY: Schedule =
    Schedule { first: SignedDuration::from_secs(1), ceiling: SignedDuration::from_secs(300) };

/// Containers restarted by their policy: 100 ms, 200 ms, … 1 min, as Docker does.
pub const RESTART: Schedule =
    Schedule { first: SignedDuration::from_millis(100), ceiling: SignedDuration::from_secs(60) };

impl Schedule {
    /// The wait after the `count`-th failure in a row. No wait for a count of 0.
    pub fn delay(&self, count: u32) -> SignedDuration {
        let Some(doublings) = count.checked_sub(1) else {
            return SignedDuration::ZERO;
        };
        let factor = 1i32.checked_shl(doublings).filter(|f| doublings < 31 && *f > 0);
        let delay = factor.and_then(|f| self.first.checked_mul(f));
        delay.map_or(self.ceiling, |d| d.min(self.ceiling))
    }

    /// When to try again after the `count`-th failure in a row, which was at `at`. A failure that seems to lie in the
    /// future says that the clock was set back: then it is time now.
    pub fn due(&self, count: u32, at: Timestamp, now: Timestamp) -> Timestamp {
        if at > now {
            return now;
        }
        at.checked_add(self.delay(count)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_ceiling() {
        let rows =
            [(0, 0), (1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (31, 300), (32, 300), (u32::MAX, 300)];
        for (count, seconds) in rows {
            assert_eq!(RETRY.delay(count), SignedDuration::from_secs(seconds), "{count}");
        }
    }

    #[test]
    fn a_clock_set_back_does_not_make_us_wait() {
        let now = Timestamp::from_second(1_000).unwrap();
        let future = Timestamp::from_second(2_000_000_000).unwrap();
        assert_eq!(RETRY.due(3, future, now), now);
        assert_eq!(RETRY.due(2, now, now), Timestamp::from_second(1_002).unwrap());
    }
}
