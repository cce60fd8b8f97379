//! What is being done right now, and how far it is.

use hull_model::{InProgress, StepKey};
use hull_ports::Progress;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    steps: Arc<Mutex<BTreeMap<StepKey, InProgress>>>,
}

/// A step that is under way for as long as this is alive.
#[derive(Debug)]
pub(crate) struct Entry {
    board: Board,
    key: StepKey,
}

impl Board {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<StepKey, InProgress>) -> T) -> T {
        work(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a step on the board. `None` if one on the same object is there.
    pub(crate) fn begin(&self, key: &StepKey, now: Timestamp) -> Option<Entry> {
        self.with(|steps| {
            if steps.keys().any(|k| k.object == key.object) {
                return None;
            }
            let entry = InProgress { key: key.clone(), since: now, detail: String::new() };
            steps.insert(key.clone(), entry);
            Some(Entry { board: self.clone(), key: key.clone() })
        })
    }

    /// Everything on the board.
    pub(crate) fn list(&self) -> Vec<InProgress> {
        self.with(|steps| steps.values().cloned().collect())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.board.with(|steps| steps.remove(&self.key));
    }
}

impl Progress for Entry {
    fn bytes(&self, done: u64, total: Option<u64>) {
        let detail = match total {
            Some(total) => format!("{} of {}", megabytes(done), megabytes(total)),
            None => megabytes(done),
        };
        self.board.with(|steps| {
            if let Some(entry) = steps.get_mut(&self.key) {
                entry.detail = detail;
            }
        });
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_step_at_a_time_per_object() {
        let board = Board::default();
        let key = |action: &str| StepKey { action: action.into(), object: "container web".into() };
        let entry = board.begin(&key("stop"), Timestamp::UNIX_EPOCH).unwrap();
        assert!(board.begin(&key("start"), Timestamp::UNIX_EPOCH).is_none());
        entry.bytes(12_345_678, Some(20_000_000));
        assert_eq!(board.list()[0].detail, "12.3 MB of 20.0 MB");
        drop(entry);
        assert!(board.begin(&key("start"), Timestamp::UNIX_EPOCH).is_some());
    }
}
