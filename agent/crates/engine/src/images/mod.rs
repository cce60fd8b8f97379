//! What a person does to images by hand: everything that needs more than the store knows, which is containers and events.

mod find;
mod import;
mod load;
mod prune;
mod removal;
mod remove;
mod tell;
mod transfer;

pub use find::parse_reference;
pub use import::{Import, repository_and_tag};

use crate::engine::Engine;
use hull_model::Registry;
use hull_ports::PullOptions;
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Engine {
    /// How registries are reached.
    pub fn registries(&self) -> BTreeMap<String, Registry> {
        self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same with whatever else a transfer is asked for with: the registries of `options` are replaced.
    pub fn reaching(&self, options: PullOptions) -> PullOptions {
        PullOptions { registries: self.registries(), ..options }
    }
}
