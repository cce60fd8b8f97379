//! What is being done right now, and how far it is.

use hull_model::{InProgress, StepKey};
use hull_ports::Progress;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps under way, and which objects were worked on lately.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    steps: BTreeMap<StepKey, InProgress>,
    /// How many steps have ended.
    ended: u64,
    /// The number of the last step that ended, by object.
    last: BTreeMap<String, u64>,
}

/// A moment in the sequence of steps that end. What is observed after a mark was taken shows all that ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// A step that is under way for as long as this is alive.
#[derive(Debug)]
pub(crate) struct Entry {
    board: Board,
    key: StepKey,
}

impl Board {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Now.
    pub(crate) fn mark(&self) -> Mark {
        self.with(|state| Mark(state.ended))
    }

    /// Puts a step on the board. `None` if one on the same object is there, or ended since `observed`: then the step was
    /// decided on what is no longer so.
    pub(crate) fn begin(&self, key: &StepKey, observed: Mark, now: Timestamp) -> Option<Entry> {
        self.with(|state| {
            // Marks only grow: what ended before this one concerns nobody any more.
            state.last.retain(|_, ended| *ended > observed.0);
            if state.last.contains_key(&key.object) || state.steps.keys().any(|k| k.object == key.object) {
                return None;
            }
            let entry = InProgress { key: key.clone(), since: now, detail: String::new() };
            state.steps.insert(key.clone(), entry);
            Some(Entry { board: self.clone(), key: key.clone() })
        })
    }

    /// Everything on the board.
    pub(crate) fn list(&self) -> Vec<InProgress> {
        self.with(|state| state.steps.values().cloned().collect())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.board.with(|state| {
            state.steps.remove(&self.key);
            state.ended += 1;
            state.last.insert(self.key.object.clone(), state.ended);
        });
    }
}

impl Progress for Entry {
    fn bytes(&self, done: u64, total: Option<u64>) {
        let detail = match total {
            Some(total) => format!("{} of {}", megabytes(done), megabytes(total)),
            None => megabytes(done),
        };
        self.board.with(|state| {
            if let Some(entry) = state.steps.get_mut(&self.key) {
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
        let before = board.mark();
        let entry = board.begin(&key("stop"), before, Timestamp::UNIX_EPOCH).unwrap();
        assert!(board.begin(&key("start"), before, Timestamp::UNIX_EPOCH).is_none());
        entry.bytes(12_345_678, Some(20_000_000));
        assert_eq!(board.list()[0].detail, "12.3 MB of 20.0 MB");
        drop(entry);
        let stale = board.begin(&key("start"), before, Timestamp::UNIX_EPOCH);
        assert!(stale.is_none(), "decided before the stop had ended");
        assert!(board.begin(&key("start"), board.mark(), Timestamp::UNIX_EPOCH).is_some());
    }
}
