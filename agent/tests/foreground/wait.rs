//! Waiting for conditions, with deadlines.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer. An error, or the deadline, ends the wait.
pub(crate) fn until<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begun.elapsed() > deadline {
            bail!("{what}: not within {} s", deadline.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
