//! What happened, for whoever listens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use tokio::sync::broadcast;

/// Something that happened to an object, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// `container`, `image`, `network`, `volume`.
    pub kind: String,
    /// `create`, `start`, `die`, `stop`, `destroy`, `pull`, …
    pub action: String,
    /// The object's id; its name where it has no id.
    pub id: String,
    /// `name`, `image`, `exitCode`, …
    pub attributes: BTreeMap<String, String>,
}

/// Events a slow listener may miss before it is told so, and how many are remembered.
const BACKLOG: usize = 1024;

/// The way from what happens to whoever listens. The last events are remembered for as long as the agent runs.
#[derive(Debug)]
pub(crate) struct Bus {
    sender: broadcast::Sender<Event>,
    past: Mutex<VecDeque<Event>>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0, past: Mutex::default() }
    }
}

impl Bus {
    /// Tells everybody.
    pub(crate) fn tell(&self, event: Event) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == BACKLOG {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Under the lock, so that whoever asks for the past and then listens sees each event once. Without listeners
        // there is nobody to tell.
        _ = self.sender.send(event);
    }

    /// Events from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// The last events, oldest first, and all that follow them.
    pub(crate) fn since_ever(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        (past.iter().cloned().collect(), self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_bounded_and_joins_the_present() {
        let bus = Bus::default();
        let event = |n: usize| Event {
            at: Timestamp::UNIX_EPOCH,
            kind: "container".into(),
            action: n.to_string(),
            id: String::new(),
            attributes: BTreeMap::new(),
        };
        (0..BACKLOG + 5).for_each(|n| bus.tell(event(n)));
        let (past, mut present) = bus.since_ever();
        assert_eq!((past.len(), past[0].action.as_str()), (BACKLOG, "5"));
        bus.tell(event(9999));
        assert_eq!(present.try_recv().unwrap().action, "9999");
    }
}
