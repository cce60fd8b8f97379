//! From what should be, what is and what is being done, to the one answer people and programs read.

use crate::backoff::RETRY;
use crate::restart::{Verdict, restart};
use hull_model::{
    Attempt, Condition, ContainerRecord, ContainerSpec, ContainerState, ContainerSummary, HostFacts,
    HostSpec, HostStatus, InProgress, Inventory, Phase, Plan, Problem, Severity, StepKey,
};
use jiff::Timestamp;

/// Everything a status is made from.
#[derive(Debug, Clone)]
pub struct StatusInput<'a> {
    /// What the host should be; `None` while no source has been read.
    pub desired: Option<&'a HostSpec>,
    /// What it is.
    pub inventory: &'a Inventory,
    /// What would be done now.
    pub plan: &'a Plan,
    /// What is being done.
    pub in_progress: Vec<InProgress>,
    /// What was wrong with the sources, and with single items while they were applied.
    pub problems: Vec<Problem>,
    /// Where the HostSpec came from.
    pub datasource: String,
    /// The host.
    pub facts: HostFacts,
    /// Version of the agent.
    pub agent_version: String,
    /// Last generation that the host was seen to be, before now.
    pub observed_generation: hull_model::Generation,
    /// Now.
    pub now: Timestamp,
}

/// Writes the status.
pub fn status(input: StatusInput<'_>) -> HostStatus {
    let containers: Vec<ContainerSummary> = input
        .desired
        .iter()
        .flat_map(|d| d.workloads.containers.values())
        .map(|spec| summary(spec, input.inventory.container(&spec.name), input.now))
        .collect();
    let conditions = conditions(&input);
    let has_errors = input.problems.iter().any(|p| p.severity == Severity::Error);
    let settled = input.desired.is_some() && input.plan.steps.is_empty() && input.in_progress.is_empty();
    let phase = match input.desired {
        None => Phase::Starting,
        Some(_) if !conditions.is_empty() || has_errors => Phase::Degraded,
        Some(_) if settled && containers.iter().all(|c| c.ready) => Phase::Ready,
        Some(_) => Phase::Progressing,
    };
    let generation = input.desired.map(|d| d.generation).unwrap_or_default();
    let converged = settled && conditions.is_empty();
    HostStatus {
        phase,
        generation,
        observed_generation: if converged { generation } else { input.observed_generation },
        datasource: input.datasource,
        host: input.facts,
        agent_version: input.agent_version,
        containers,
        in_progress: input.in_progress,
        conditions,
        problems: input.problems,
        at: Some(input.now),
    }
}

fn conditions(input: &StatusInput<'_>) -> Vec<Condition> {
    let failed = input.inventory.failures.iter().map(|(key, attempt)| failure(key, attempt, input.now));
    let blocked = input.plan.blocked.iter().map(|b| Condition {
        object: b.object.clone(),
        reason: b.reason.clone(),
        remedy: b.remedy.clone(),
        retry: None,
        since: input.now,
    });
    failed.chain(blocked).collect()
}

fn failure(key: &StepKey, attempt: &Attempt, now: Timestamp) -> Condition {
    Condition {
        object: key.object.clone(),
        reason: attempt.error.clone(),
        remedy: attempt.remedy.clone(),
        retry: (!attempt.permanent).then(|| RETRY.due(attempt.count, attempt.at, now)),
        since: attempt.since,
    }
}

fn summary(spec: &ContainerSpec, record: Option<&ContainerRecord>, now: Timestamp) -> ContainerSummary {
    let restarting = record.is_some_and(|r| restart(r, now) != Verdict::Stay);
    let (state, ready, since) = match record.map(|r| &r.state) {
        None => ("missing".to_owned(), false, None),
        Some(ContainerState::Created) => ("created".to_owned(), false, record.map(|r| r.created)),
        Some(ContainerState::Running { started, .. }) => ("running".to_owned(), true, Some(*started)),
        Some(ContainerState::Exited { exit, finished, .. }) => {
            // A job that is not restarted and succeeded is as it should be; so is one between two runs.
            let ready = exit.code == 0;
            let word = if restarting { "restarting" } else { "exited" };
            (format!("{word} ({})", exit.code), ready, Some(*finished))
        }
    };
    let port = |p: &hull_model::PortSpec| {
        let ip = p.host_ip.map(|ip| format!("{ip}:")).unwrap_or_default();
        format!("{ip}{}->{}/{}", p.host_port, p.container_port, p.protocol.as_str())
    };
    ContainerSummary {
        name: spec.name.to_string(),
        image: spec.image.familiar(),
        state,
        ready,
        since,
        restarts: record.map_or(0, |r| r.restarts),
        ports: spec.ports.iter().map(port).collect(),
        addresses: record
            .map(|r| r.addresses.iter().map(|(n, a)| (n.to_string(), a.to_string())).collect())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::{Name, Reference};

    fn input<'a>(desired: Option<&'a HostSpec>, inventory: &'a Inventory, plan: &'a Plan) -> StatusInput<'a> {
        StatusInput {
            desired,
            inventory,
            plan,
            in_progress: vec![],
            problems: vec![],
            datasource: "test".into(),
            facts: HostFacts::default(),
            agent_version: "0".into(),
            observed_generation: hull_model::Generation(0),
            now: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_phase_says_in_one_word_how_the_host_is() {
        let empty = HostSpec { generation: hull_model::Generation(4), ..HostSpec::default() };
        let mut one = empty.clone();
        let spec = ContainerSpec::new(Name::new("a").unwrap(), Reference::parse("a").unwrap());
        one.workloads.containers.insert(spec.name.clone(), spec);
        let nothing = Inventory::default();
        let done = Plan::default();
        let now = Timestamp::UNIX_EPOCH;
        let todo = crate::plan(&one, &nothing, now);
        let mut failing = nothing.clone();
        let step = &todo.steps[0].step;
        failing
            .failures
            .insert(step.key(), crate::failed(step, None, now, "no route".into(), String::new(), false));

        assert_eq!(status(input(None, &nothing, &done)).phase, Phase::Starting);
        let ready = status(input(Some(&empty), &nothing, &done));
        assert_eq!((ready.phase, ready.observed_generation.0), (Phase::Ready, 4));
        let progressing = status(input(Some(&one), &nothing, &todo));
        assert_eq!((progressing.phase, progressing.observed_generation.0), (Phase::Progressing, 0));
        let degraded = status(input(Some(&one), &failing, &crate::plan(&one, &failing, now)));
        assert_eq!(degraded.phase, Phase::Degraded);
        assert_eq!(degraded.conditions[0].object, "image a:latest");
        assert_eq!(degraded.conditions[0].reason, "no route");
    }
}
