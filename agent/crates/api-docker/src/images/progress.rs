//! How far a transfer is, in Docker's words.

use crate::lines::{Line, Lines};
use hull_ports::{LayerStatus, Progress};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the bytes of one layer are told.
const PACE: Duration = Duration::from_millis(100);
/// Characters of a bar.
const WIDTH: usize = 50;

/// Bytes with four digits and a decimal unit: `2.065MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
    // Shown, not counted with: that large numbers are rounded does not matter.
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let whole = if value < 1.0 { 1 } else { value.log10() as usize + 1 };
    let digits = format!("{value:.*}", 4_usize.saturating_sub(whole));
    let short = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => &digits,
    };
    format!("{short}{}", UNITS[unit])
}

/// `[===>   ]  10MB/30MB`
pub(crate) fn bar(done: u64, total: u64) -> String {
    if total == 0 {
        return format!("{:>8}", size(done));
    }
    // At most the width: a layer may turn out longer than was said.
    let share = (u128::from(done) * WIDTH as u128 / u128::from(total)).min(WIDTH as u128) as usize;
    let numbers = match done <= total {
        true => format!("{:>8}/{}", size(done), size(total)),
        false => format!("{:>8}", size(done)),
    };
    format!("[{}>{}] {numbers}", "=".repeat(share), " ".repeat(WIDTH - share))
}

/// A line that says how much of something is done.
pub(crate) fn measured(status: &str, id: &str, done: u64, total: u64) -> Line {
    Line {
        status: Some(status.to_owned()),
        detail: Some(if total == 0 {
            json!({ "current": done })
        } else {
            json!({ "current": done, "total": total })
        }),
        progress: Some(bar(done, total)),
        id: Some(id.to_owned()),
        ..Line::default()
    }
}

fn plain(status: impl Into<String>, id: &str) -> Line {
    Line { detail: Some(json!({})), ..Line::status(status, Some(id.to_owned())) }
}

/// Which way a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Pull,
    Push,
}

fn line(direction: Direction, id: &str, status: &LayerStatus) -> Line {
    match status {
        LayerStatus::Pulling => plain("Pulling fs layer", id),
        LayerStatus::Waiting => plain("Waiting", id),
        LayerStatus::Downloading { done, total } => measured("Downloading", id, *done, *total),
        LayerStatus::Verifying => plain("Verifying Checksum", id),
        LayerStatus::Downloaded => plain("Download complete", id),
        LayerStatus::Extracting { done, total } => measured("Extracting", id, *done, *total),
        LayerStatus::Pulled => plain("Pull complete", id),
        LayerStatus::Exists if direction == Direction::Pull => plain("Already exists", id),
        LayerStatus::Exists => plain("Layer already exists", id),
        LayerStatus::Retrying { seconds: 1 } => plain("Retrying in 1 second", id),
        LayerStatus::Retrying { seconds } => plain(format!("Retrying in {seconds} seconds"), id),
        LayerStatus::Preparing => plain("Preparing", id),
        LayerStatus::Pushing { done, total } => measured("Pushing", id, *done, *total),
        LayerStatus::Pushed => plain("Pushed", id),
        LayerStatus::Mounted { from } => plain(format!("Mounted from {from}"), id),
    }
}

/// Tells a client how far a transfer is.
pub(crate) struct Telling {
    lines: Lines,
    direction: Direction,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is only told once there is something to tell: an image that is here already has no layers worth a line.
    held: Vec<Line>,
    told: HashMap<String, Instant>,
}

impl Telling {
    /// `first` is told before anything of a layer is.
    pub(crate) fn new(lines: Lines, direction: Direction, first: Vec<Line>) -> Self {
        Self { lines, direction, state: Mutex::new(State { held: first, ..State::default() }) }
    }

    /// Tells what was held back: all of it if something `changed`, only the line that begins it otherwise.
    pub(crate) fn finish(&self, changed: bool) {
        let held = std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).held);
        let worth = held.into_iter().take(if changed { usize::MAX } else { 1 });
        worth.for_each(|line| self.lines.write(&line));
    }
}

impl Progress for Telling {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn layer(&self, layer: &str, status: LayerStatus) {
        let line = line(self.direction, layer, &status);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if status == LayerStatus::Exists && self.direction == Direction::Pull && !state.held.is_empty() {
            state.held.push(line);
            return;
        }
        std::mem::take(&mut state.held).iter().for_each(|held| self.lines.write(held));
        let passing = matches!(
            status,
            LayerStatus::Downloading { .. } | LayerStatus::Extracting { .. } | LayerStatus::Pushing { .. }
        );
        if !passing {
            state.told.remove(layer);
            return self.lines.write(&line);
        }
        let now = Instant::now();
        if state.told.get(layer).is_none_or(|last| now.duration_since(*last) >= PACE) {
            state.told.insert(layer.to_owned(), now);
            self.lines.write_if_read(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_sizes_are_dockers() {
        let rows = [
            (20_992, 2_065_215, "[>                                                  ]  20.99kB/2.065MB"),
            (2_211_840, 2_065_215, "[==================================================>]  2.212MB"),
            (
                23_265_280,
                30_005_510,
                "[======================================>            ]  23.27MB/30.01MB",
            ),
            (327_680, 30_005_510, "[>                                                  ]  327.7kB/30.01MB"),
            (512, 3, "[==================================================>]     512B"),
            (3, 3, "[==================================================>]       3B/3B"),
            (512, 0, "    512B"),
        ];
        for (done, total, expected) in rows {
            assert_eq!(bar(done, total), expected);
        }
        assert_eq!(
            (size(0), size(999), size(1000), size(100_000)),
            ("0B".into(), "999B".into(), "1kB".into(), "100kB".into())
        );
    }

    #[test]
    fn words_are_dockers() {
        let word = |direction, status: LayerStatus| line(direction, "x", &status).status.unwrap();
        assert_eq!(word(Direction::Pull, LayerStatus::Exists), "Already exists");
        assert_eq!(word(Direction::Push, LayerStatus::Exists), "Layer already exists");
        assert_eq!(word(Direction::Push, LayerStatus::Mounted { from: "a/b".into() }), "Mounted from a/b");
        assert_eq!(word(Direction::Pull, LayerStatus::Retrying { seconds: 1 }), "Retrying in 1 second");
        let text = serde_json::to_string(&line(Direction::Push, "x", &LayerStatus::Preparing)).unwrap();
        assert_eq!(text, r#"{"status":"Preparing","progressDetail":{},"id":"x"}"#);
    }
}
