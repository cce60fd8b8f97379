//! Waiting for the end of a container.

use crate::engine::Engine;
use crate::events::Event;
use futures_util::future::BoxFuture;
use hull_model::{ContainerId, ContainerState, ExitStatus};
use hull_ports::Result;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It does not run; at once if it does not.
    NotRunning,
    /// Its process ends the next time.
    NextExit,
    /// It is gone.
    Removed,
}

impl Engine {
    /// Waits for a container. What happens between the return of this call and the first poll of the future counts: so an
    /// answer may be begun, and the container started, before the future is awaited.
    pub async fn wait_until(&self, id: &ContainerId, until: Until) -> Result<BoxFuture<'static, ExitStatus>> {
        let events = self.subscribe();
        let record = self.container(id).await?;
        let last = match &record.state {
            ContainerState::Exited { exit, .. } => Some(exit.clone()),
            _ => None,
        };
        if until == Until::NotRunning && !record.state.is_running() {
            let exit = last.unwrap_or_default();
            return Ok(Box::pin(async move { exit }));
        }
        let follower = Follower { engine: self.clone(), id: id.clone(), until, last };
        Ok(Box::pin(follower.run(events)))
    }
}

struct Follower {
    engine: Engine,
    id: ContainerId,
    until: Until,
    /// How it ended the last time: kept past its removal.
    last: Option<ExitStatus>,
}

impl Follower {
    async fn run(mut self, mut events: Receiver<Event>) -> ExitStatus {
        loop {
            let done = match events.recv().await {
                Ok(event) => self.hear(&event),
                Err(RecvError::Closed) => true,
                // What was missed is found by looking; a missed exit between two runs is told by the next one.
                Err(RecvError::Lagged(_)) => self.look(),
            };
            if done {
                return self.last.unwrap_or_default();
            }
        }
    }

    fn hear(&mut self, event: &Event) -> bool {
        if event.id != self.id.as_str() || event.kind != "container" {
            return false;
        }
        if event.action == "die" {
            let code = event.attributes.get("exitCode").and_then(|c| c.parse().ok()).unwrap_or(0);
            let recorded = self.engine.stored(&self.id).and_then(|r| match r.state {
                ContainerState::Exited { exit, .. } if exit.code == code => Some(exit),
                _ => None,
            });
            self.last = Some(recorded.unwrap_or(ExitStatus { code, ..ExitStatus::default() }));
        }
        match self.until {
            Until::Removed => event.action == "destroy",
            Until::NextExit | Until::NotRunning => event.action == "die" || event.action == "destroy",
        }
    }

    fn look(&mut self) -> bool {
        match self.engine.stored(&self.id).map(|r| r.state) {
            None => true,
            Some(ContainerState::Exited { exit, .. }) if self.until != Until::Removed => {
                self.last = Some(exit);
                true
            }
            Some(_) => false,
        }
    }
}
