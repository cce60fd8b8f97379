//! Steps that failed and have not succeeded since. Kept in memory: after a restart of the agent everything is worth a try.

use hull_model::{Attempt, Step, StepKey};
use hull_ports::{Error, ErrorClass};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Failures by step.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_step: Mutex<BTreeMap<StepKey, Attempt>>,
}

impl Failures {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<StepKey, Attempt>) -> T) -> T {
        work(&mut self.by_step.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything that failed.
    pub(crate) fn all(&self) -> BTreeMap<StepKey, Attempt> {
        self.with(|failures| failures.clone())
    }

    /// Remembers how a step ended.
    pub(crate) fn record(&self, step: &Step, outcome: Result<(), &Error>, now: Timestamp) {
        let key = step.key();
        self.with(|failures| match outcome {
            Ok(()) => _ = failures.remove(&key),
            Err(error) => {
                let permanent = error.class == ErrorClass::Permanent;
                let before = failures.get(&key);
                let attempt =
                    hull_plan::failed(step, before, now, error.chain(), error.remedy.clone(), permanent);
                failures.insert(key, attempt);
            }
        });
    }

    /// Forgets failures of steps that nobody plans any more.
    pub(crate) fn retain(&self, planned: impl Fn(&StepKey) -> bool) {
        self.with(|failures| failures.retain(|key, _| planned(key)));
    }
}
