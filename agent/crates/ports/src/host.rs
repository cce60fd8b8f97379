//! The host itself: names, people, files, time, trust, interfaces.

use crate::Result;
use async_trait::async_trait;
use hull_model::{HostFacts, HostSettings, Problem};

/// The host's own settings. Only present where the agent is in charge of the whole machine.
#[async_trait]
pub trait Host: Send + Sync {
    /// What the host is.
    async fn facts(&self) -> Result<HostFacts>;

    /// Makes the host what the settings say, item by item. An item that cannot be applied is reported and does not keep the
    /// others from being applied; an error means that nothing could be.
    async fn apply(&self, settings: &HostSettings) -> Result<Vec<Problem>>;

    /// The settings that `apply` last brought into force since the host booted; `None` if it did not run yet.
    async fn applied(&self) -> Result<Option<HostSettings>>;
}
