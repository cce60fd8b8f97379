//! The executor: one step in, one action done. Nothing is decided here.

use crate::engine::Engine;
use crate::progress::Mark;
use hull_model::{HostSettings, Owner, Plan, PlannedStep, Reference, Step};
use hull_ports::{Error, Progress, Result};
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Engine {
    /// Begins every step of a plan that needs no other one first and whose object nobody else is working on. Returns at
    /// once; each end is a change that asks for a new plan, in which the next steps need nothing any more.
    /// `observed` is the mark taken before the host was observed for this plan. After a reset nothing is begun any more.
    pub fn begin(&self, plan: &Plan, observed: Mark) {
        if self.is_stopping() {
            return;
        }
        for planned in plan.steps.iter().filter(|s| s.needs.is_empty()) {
            let Some(entry) = self.inner.board.begin(&planned.step.key(), observed, self.now()) else {
                continue;
            };
            let engine = self.clone();
            let PlannedStep { step, reason, .. } = planned.clone();
            let mut steps = self.inner.steps.lock().unwrap_or_else(PoisonError::into_inner);
            while steps.try_join_next().is_some() {}
            steps.spawn(async move {
                tracing::info!(step = %step.key(), reason, "beginning");
                let outcome = engine.run(&step, &entry).await;
                engine.inner.failures.record(&step, outcome.as_ref().map(|_| ()), engine.now());
                match outcome {
                    Ok(()) => tracing::info!(step = %step.key(), "done"),
                    Err(error) => tracing::warn!(step = %step.key(), error = error.chain(), "failed"),
                }
                drop(entry);
                engine.changed();
            });
        }
    }

    /// Does one step.
    pub async fn run(&self, step: &Step, progress: &dyn Progress) -> Result<()> {
        match step {
            Step::ConfigureHost { settings } => self.configure_host(settings).await,
            Step::PullImage { reference } => self.pull(reference, progress).await,
            Step::CreateVolume { spec } => self.create_volume(spec, Owner::HostSpec).await,
            Step::CreateNetwork { spec, subnet, gateway } => {
                self.create_network(spec, *subnet, *gateway, Owner::HostSpec).await
            }
            Step::RemoveNetwork { name } => self.remove_network(name).await,
            Step::StopContainer { id, .. } => self.stop_container(id).await,
            Step::RemoveContainer { id, .. } => self.remove_container(id).await,
            Step::CreateContainer { spec, image } => {
                self.create_container(spec, image.as_ref(), Owner::HostSpec).await.map(|_| ())
            }
            Step::StartContainer { name, restart } => {
                let container = self.find(name.as_str()).await?;
                self.start_container(&container.id, *restart).await
            }
        }
    }

    async fn configure_host(&self, settings: &HostSettings) -> Result<()> {
        let Some(host) = &self.inner.drivers.host else {
            return Err(Error::permanent("configuring the host: this agent only runs containers"));
        };
        let problems = host.apply(settings).await?;
        *self.inner.item_problems.lock().unwrap_or_else(PoisonError::into_inner) = problems;
        Ok(())
    }

    async fn pull(&self, reference: &Reference, progress: &dyn Progress) -> Result<()> {
        let registries = self.inner.registries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let image = self.inner.drivers.images.pull(reference, &registries, progress).await?;
        let name = reference.familiar();
        self.announce("image", "pull", &name, BTreeMap::from([("name".to_owned(), name.clone())]));
        tracing::info!(image = name, id = %image.id, "pulled");
        Ok(())
    }
}
