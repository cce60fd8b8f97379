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

    /// Remembers how a step ended. A container that was just made has not failed to start, whatever one of its name did.
    pub(crate) fn record(&self, step: &Step, outcome: Result<(), &Error>, now: Timestamp) {
        let key = step.key();
        self.with(|failures| match outcome {
            Ok(()) => {
                failures.remove(&key);
                if let Step::CreateContainer { spec, .. } = step {
                    let start = Step::StartContainer { name: spec.name.clone(), restart: false };
                    failures.remove(&start.key());
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{ContainerSpec, Name, Reference};

    #[test]
    fn a_new_container_is_started_although_the_old_one_could_not_be() {
        let name = Name::new("web").unwrap();
        let start = Step::StartContainer { name: name.clone(), restart: false };
        let spec = Box::new(ContainerSpec::new(name, Reference::parse("web").unwrap()));
        let create = Step::CreateContainer { spec, image: None };
        let error = Error::permanent("executing");
        let failures = Failures::default();
        failures.record(&start, Err(&error), Timestamp::UNIX_EPOCH);
        failures.record(&create, Err(&error), Timestamp::UNIX_EPOCH);
        assert_eq!(failures.all().len(), 2);
        failures.record(&create, Ok(()), Timestamp::UNIX_EPOCH);
        assert!(failures.all().is_empty());
    }
}
