//! Containers of the ledger, kept in memory so that a start does not read them all again.
//!
//! The ledger is written first and this second, by the same caller, so what is here is on the disk as well. The engine is the
//! ledger's only writer.

use hull_model::{ContainerId, ContainerRecord, Name};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A container and the boot in which its state was written.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) record: Arc<ContainerRecord>,
    pub(crate) boot: String,
}

/// Every container, in the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Records {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    order: BTreeMap<u64, ContainerId>,
    by_id: HashMap<ContainerId, (u64, Stored)>,
    by_name: HashMap<Name, ContainerId>,
}

impl Records {
    /// Takes over what the ledger has, oldest first.
    pub(crate) fn new(all: Vec<(ContainerRecord, String)>) -> Self {
        let records = Self::default();
        for (record, boot) in all {
            records.put(record, boot);
        }
        records
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Stored> {
        let state = self.state();
        state.order.values().filter_map(|id| Some(state.by_id.get(id)?.1.clone())).collect()
    }

    /// One of them.
    pub(crate) fn get(&self, id: &ContainerId) -> Option<Arc<ContainerRecord>> {
        self.state().by_id.get(id).map(|(_, stored)| stored.record.clone())
    }

    /// The one of that name.
    pub(crate) fn named(&self, name: &Name) -> Option<Arc<ContainerRecord>> {
        let state = self.state();
        let id = state.by_name.get(name)?;
        state.by_id.get(id).map(|(_, stored)| stored.record.clone())
    }

    /// Adds one, or replaces what was known of it.
    pub(crate) fn put(&self, record: ContainerRecord, boot: String) {
        let mut state = self.state();
        let id = record.id.clone();
        let place = match state.by_id.get(&id) {
            Some((place, old)) => {
                let (place, old) = (*place, old.record.spec.name.clone());
                state.by_name.remove(&old);
                place
            }
            None => {
                state.next += 1;
                let place = state.next;
                state.order.insert(place, id.clone());
                place
            }
        };
        state.by_name.insert(record.spec.name.clone(), id.clone());
        state.by_id.insert(id, (place, Stored { record: Arc::new(record), boot }));
    }

    /// Forgets one.
    pub(crate) fn remove(&self, id: &ContainerId) {
        let mut state = self.state();
        if let Some((place, stored)) = state.by_id.remove(id) {
            state.order.remove(&place);
            state.by_name.remove(&stored.record.spec.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{ContainerSpec, ContainerState, Digest, Owner, Reference};

    fn record(number: u8, name: &str) -> ContainerRecord {
        ContainerRecord {
            id: ContainerId::from_random([number; 32]),
            spec: ContainerSpec::new(Name::new(name).unwrap(), Reference::parse("a").unwrap()),
            image: Digest::from_sha256([0; 32]),
            owner: Owner::Docker,
            created: jiff::Timestamp::UNIX_EPOCH,
            state: ContainerState::Created,
            wanted: false,
            restarts: 0,
            addresses: BTreeMap::new(),
            published: Vec::new(),
            request: None,
        }
    }

    #[test]
    fn order_names_and_renames() {
        let records = Records::new(vec![(record(9, "nine"), "b".into()), (record(1, "one"), "b".into())]);
        let name = |text: &str| Name::new(text).unwrap();
        records.put(record(9, "neun"), "c".into());
        let names: Vec<String> = records.all().iter().map(|s| s.record.spec.name.to_string()).collect();
        assert_eq!(names, ["neun", "one"]);
        assert!(records.named(&name("nine")).is_none());
        assert_eq!(records.named(&name("neun")).unwrap().id, record(9, "x").id);
        records.remove(&record(9, "x").id);
        assert!(records.named(&name("neun")).is_none() && records.get(&record(9, "x").id).is_none());
        assert_eq!(records.all().len(), 1);
    }
}
