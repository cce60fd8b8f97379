//! From what should be and what is, to what to do: the one place where the host's next steps are decided.

use crate::backoff::RETRY;
use crate::{Verdict, ipam, restart};
use hull_model::{
    Attempt, Blocked, ContainerRecord, ContainerSpec, ContainerState, HostSpec, Inventory, Ipv4Net, Name,
    NetworkRecord, NetworkSpec, Owner, Plan, PlannedStep, Step, StepKey,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Decides what to do now.
///
/// The plan is empty for a host that is what it should be. Doing any prefix of it and planning again converges. Objects of
/// other owners are never planned away. A running container is stopped for a replacement only after everything the replacement
/// needs is there. Steps that failed wait for the end of their back-off, and with them whatever needs them.
pub fn plan(desired: &HostSpec, inventory: &Inventory, now: Timestamp) -> Plan {
    let mut draft = Draft { desired, inventory, steps: Vec::new(), blocked: Vec::new() };
    draft.host();
    // What disturbs nothing comes first, so that a replacement's needs are met before anything is stopped for it.
    draft.images();
    draft.volumes();
    let mut in_use = draft.ranges_in_use();
    draft.new_networks(&mut in_use);
    draft.unwanted_containers();
    draft.changed_networks(&mut in_use);
    draft.containers();
    draft.unwanted_networks();
    let mut plan = withhold(draft.steps, &inventory.failures, now);
    plan.blocked = draft.blocked;
    restarts(desired, inventory, now, &mut plan);
    plan
}

/// What to do on a host that was never told what it should be: people's containers come back as their policies say.
pub fn restarts_alone(inventory: &Inventory, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    restarts(&HostSpec::default(), inventory, now, &mut plan);
    plan
}

/// A plan being written.
struct Draft<'a> {
    desired: &'a HostSpec,
    inventory: &'a Inventory,
    steps: Vec<PlannedStep>,
    blocked: Vec<Blocked>,
}

impl Draft<'_> {
    fn push(&mut self, step: Step, needs: Vec<StepKey>, reason: impl Into<String>) -> StepKey {
        let key = step.key();
        // A step is planned once, however many others need it.
        if !self.steps.iter().any(|s| s.step.key() == key) {
            self.steps.push(PlannedStep { step, needs, reason: reason.into() });
        }
        key
    }

    fn block(&mut self, object: String, owner: Owner) {
        self.blocked.push(Blocked {
            object,
            reason: format!("the name is in use by an object of {owner}"),
            remedy: "remove or rename that one, or choose another name in the host spec".to_owned(),
        });
    }

    fn host(&mut self) {
        let settings = &self.desired.host;
        if self.inventory.manages_host && self.inventory.host.as_ref() != Some(settings) {
            self.push(
                Step::ConfigureHost { settings: Box::new(settings.clone()) },
                vec![],
                "the host's settings changed",
            );
        }
    }

    /// Containers of ours that are no longer declared.
    fn unwanted_containers(&mut self) {
        let desired = &self.desired.workloads.containers;
        let inventory = self.inventory;
        let unwanted =
            |c: &&ContainerRecord| c.owner == Owner::HostSpec && !desired.contains_key(&c.spec.name);
        for container in inventory.containers.iter().filter(unwanted) {
            self.tear_down(container, vec![], "no longer declared");
        }
    }

    /// Stops a container if it runs, then removes it. Returns the key of the removal.
    fn tear_down(&mut self, container: &ContainerRecord, mut needs: Vec<StepKey>, reason: &str) -> StepKey {
        let (id, name) = (container.id.clone(), container.spec.name.clone());
        if container.state.is_running() {
            let stop =
                self.push(Step::StopContainer { id: id.clone(), name: name.clone() }, needs.clone(), reason);
            needs.push(stop);
        }
        self.push(Step::RemoveContainer { id, name }, needs, reason)
    }

    /// Images that declared containers of ours still need.
    fn images(&mut self) {
        let (desired, inventory) = (self.desired, self.inventory);
        for spec in desired.workloads.containers.values() {
            let existing = inventory.container(&spec.name);
            let settled = existing.is_some_and(|r| r.spec == *spec || r.owner != Owner::HostSpec);
            if !settled && inventory.image(&spec.image).is_none() {
                self.push(Step::PullImage { reference: spec.image.clone() }, vec![], "not on this host");
            }
        }
    }

    /// Ranges that no network may be given.
    fn ranges_in_use(&self) -> Vec<Ipv4Net> {
        let existing = self.inventory.networks.iter().map(|n| n.subnet);
        let declared = self.desired.workloads.networks.values().filter_map(|n| n.subnet);
        self.inventory.host_routes.iter().copied().chain(existing).chain(declared).collect()
    }

    fn new_networks(&mut self, in_use: &mut Vec<Ipv4Net>) {
        let (desired, inventory) = (self.desired, self.inventory);
        for spec in desired.workloads.networks.values() {
            match inventory.networks.iter().find(|n| n.name == spec.name) {
                None => self.create_network(spec, vec![], in_use),
                Some(record) if record.owner != Owner::HostSpec => {
                    self.block(format!("network {}", spec.name), record.owner);
                }
                Some(_) => {}
            }
        }
    }

    /// Networks whose definition changed are made anew, their containers with them.
    fn changed_networks(&mut self, in_use: &mut Vec<Ipv4Net>) {
        let (desired, inventory) = (self.desired, self.inventory);
        for spec in desired.workloads.networks.values() {
            let existing = inventory.networks.iter().find(|n| n.name == spec.name);
            let Some(record) = existing.filter(|r| r.owner == Owner::HostSpec && !network_matches(r, spec))
            else {
                continue;
            };
            let removal = self.remove_network(record, "the network's definition changed");
            if let Some(removal) = removal {
                self.create_network(spec, vec![removal], in_use);
            }
        }
    }

    fn unwanted_networks(&mut self) {
        let (desired, inventory) = (self.desired, self.inventory);
        for record in inventory.networks.iter().filter(|n| n.owner == Owner::HostSpec) {
            if !desired.workloads.networks.contains_key(&record.name) {
                self.remove_network(record, "no longer declared");
            }
        }
    }

    fn create_network(&mut self, spec: &NetworkSpec, needs: Vec<StepKey>, in_use: &mut Vec<Ipv4Net>) {
        let object = || format!("network {}", spec.name);
        let Some(subnet) = spec.subnet.or_else(|| ipam::choose_subnet(in_use)) else {
            let reason = "every address range for networks is taken".to_owned();
            let remedy = "remove unused networks, or give this one a subnet".to_owned();
            self.blocked.push(Blocked { object: object(), reason, remedy });
            return;
        };
        let Some(gateway) = spec.gateway.or_else(|| ipam::gateway(&subnet)) else {
            let reason = format!("subnet {subnet} has no room for a gateway");
            self.blocked.push(Blocked { object: object(), reason, remedy: "use a larger subnet".to_owned() });
            return;
        };
        in_use.push(subnet);
        self.push(Step::CreateNetwork { spec: spec.clone(), subnet, gateway }, needs, "declared");
    }

    /// Removes a network after the containers of ours in it. `None` if somebody else's container is in it: then it stays.
    fn remove_network(&mut self, record: &NetworkRecord, reason: &str) -> Option<StepKey> {
        let inventory = self.inventory;
        let users: Vec<_> =
            inventory.containers.iter().filter(|c| c.spec.networks.contains_key(&record.name)).collect();
        if let Some(other) = users.iter().find(|c| c.owner != Owner::HostSpec) {
            self.block(format!("network {}", record.name), other.owner);
            return None;
        }
        let mut removals = Vec::new();
        for user in users {
            let replacement = self.desired.workloads.containers.get(&user.spec.name);
            let needs = replacement.map(|r| self.prerequisites(r)).unwrap_or_default();
            removals.push(self.tear_down(user, needs, reason));
        }
        Some(self.push(Step::RemoveNetwork { name: record.name.clone() }, removals, reason))
    }

    fn volumes(&mut self) {
        for spec in self.desired.workloads.volumes.values() {
            if !self.inventory.volumes.iter().any(|v| v.name == spec.name) {
                self.push(Step::CreateVolume { spec: spec.clone() }, vec![], "declared");
            }
        }
    }

    fn containers(&mut self) {
        let inventory = self.inventory;
        for spec in in_dependency_order(&self.desired.workloads.containers) {
            match inventory.container(&spec.name) {
                Some(record) if record.owner != Owner::HostSpec => {
                    self.block(format!("container {}", spec.name), record.owner);
                }
                Some(record) if record.spec == *spec && !self.is_removed(&record.spec.name) => {
                    if record.state == ContainerState::Created {
                        self.start(spec, vec![]);
                    }
                }
                Some(record) => {
                    let mut needs = self.prerequisites(spec);
                    needs.push(self.tear_down(record, needs.clone(), "its definition changed"));
                    self.create_and_start(spec, needs);
                }
                None => {
                    let needs = self.prerequisites(spec);
                    self.create_and_start(spec, needs);
                }
            }
        }
    }

    fn is_removed(&self, name: &Name) -> bool {
        self.steps.iter().any(|s| matches!(&s.step, Step::RemoveContainer { name: n, .. } if n == name))
    }

    /// Whatever of a container's image, networks and volumes is planned to be made.
    fn prerequisites(&self, spec: &ContainerSpec) -> Vec<StepKey> {
        let needed = |step: &Step| match step {
            Step::PullImage { reference } => *reference == spec.image,
            Step::CreateNetwork { spec: network, .. } => spec.networks.contains_key(&network.name),
            Step::CreateVolume { spec: volume } => spec.volumes().any(|v| *v == volume.name),
            _ => false,
        };
        self.steps.iter().filter(|s| needed(&s.step)).map(|s| s.step.key()).collect()
    }

    fn create_and_start(&mut self, spec: &ContainerSpec, needs: Vec<StepKey>) {
        let image = self.inventory.image(&spec.image).map(|i| i.id.clone());
        let create = Step::CreateContainer { spec: Box::new(spec.clone()), image };
        let created = self.push(create, needs, "declared");
        self.start(spec, vec![created]);
    }

    /// Starts after the containers it depends on, and after those are gone that hold a host port it publishes.
    fn start(&mut self, spec: &ContainerSpec, mut needs: Vec<StepKey>) {
        for planned in &self.steps {
            let needed = match &planned.step {
                Step::StartContainer { name, .. } => spec.depends_on.contains(name),
                Step::RemoveContainer { name, .. } => self.inventory.container(name).is_some_and(|other| {
                    other.spec.ports.iter().any(|p| spec.ports.iter().any(|q| p.host().conflicts(&q.host())))
                }),
                _ => false,
            };
            let key = planned.step.key();
            if needed && !needs.contains(&key) {
                needs.push(key);
            }
        }
        self.push(Step::StartContainer { name: spec.name.clone(), restart: false }, needs, "declared");
    }
}

fn network_matches(record: &NetworkRecord, spec: &NetworkSpec) -> bool {
    record.owner == Owner::HostSpec
        && record.internal == spec.internal
        && spec.subnet.is_none_or(|s| s == record.subnet)
        && spec.gateway.is_none_or(|g| g == record.gateway)
        && record.labels == spec.labels
}

/// Containers with those they depend on before them; circles, which validation refuses, last.
fn in_dependency_order(containers: &BTreeMap<Name, ContainerSpec>) -> Vec<&ContainerSpec> {
    let mut ordered: Vec<&ContainerSpec> = Vec::new();
    let mut left: Vec<&ContainerSpec> = containers.values().collect();
    while !left.is_empty() {
        let waiting: BTreeSet<&Name> = left.iter().map(|c| &c.name).collect();
        let (ready, rest): (Vec<_>, Vec<_>) =
            left.iter().copied().partition(|c| !c.depends_on.iter().any(|d| waiting.contains(d)));
        if ready.is_empty() {
            ordered.extend(rest);
            break;
        }
        ordered.extend(ready);
        left = rest;
    }
    ordered
}

/// Takes out the steps whose back-off is not over, and whatever needs them.
fn withhold(steps: Vec<PlannedStep>, failures: &BTreeMap<StepKey, Attempt>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut withheld: BTreeSet<StepKey> = BTreeSet::new();
    for planned in steps {
        let key = planned.step.key();
        let due =
            failures.get(&key).filter(|f| f.fingerprint == fingerprint(&planned.step)).map(|f| due(f, now));
        let waits = match due {
            Some(Due::Never) => true,
            Some(Due::At(at)) if at > now => {
                plan.wake = earliest(plan.wake, at);
                true
            }
            _ => planned.needs.iter().any(|n| withheld.contains(n)),
        };
        if waits {
            withheld.insert(key.clone());
            plan.waiting.push(key);
        } else {
            plan.steps.push(planned);
        }
    }
    plan
}

/// When a failed step may be tried again.
enum Due {
    At(Timestamp),
    Never,
}

fn due(failure: &Attempt, now: Timestamp) -> Due {
    if failure.permanent { Due::Never } else { Due::At(RETRY.due(failure.count, failure.at, now)) }
}

/// What identifies a step's content: the same step with other content starts its attempts afresh.
pub(crate) fn fingerprint(step: &Step) -> String {
    // Steps are plain values: writing them as JSON cannot fail, and an empty fingerprint would only shorten a wait.
    serde_json::to_string(step).unwrap_or_default()
}

fn earliest(a: Option<Timestamp>, b: Timestamp) -> Option<Timestamp> {
    Some(a.map_or(b, |a| a.min(b)))
}

/// Containers of every owner that ended and whose policy wants them back.
fn restarts(desired: &HostSpec, inventory: &Inventory, now: Timestamp, plan: &mut Plan) {
    for container in &inventory.containers {
        let name = &container.spec.name;
        let undeclared =
            container.owner == Owner::HostSpec && !desired.workloads.containers.contains_key(name);
        let touched = plan.steps.iter().any(|s| s.step.key().object == format!("container {name}"));
        let Verdict::At(due) = restart(container, now) else {
            continue;
        };
        if undeclared || touched {
            continue;
        }
        if due > now {
            plan.wake = earliest(plan.wake, due);
            continue;
        }
        let step = Step::StartContainer { name: name.clone(), restart: true };
        let needs = waits_for(container, plan);
        let single = vec![PlannedStep { step, needs, reason: "its restart policy".to_owned() }];
        let kept = withhold(single, &inventory.failures, now);
        plan.wake = kept.wake.map_or(plan.wake, |at| earliest(plan.wake, at));
        plan.waiting.extend(kept.waiting);
        plan.steps.extend(kept.steps);
    }
}

/// After a host restart everything comes back in the order of its dependencies.
fn waits_for(container: &ContainerRecord, plan: &Plan) -> Vec<StepKey> {
    let starts = plan.steps.iter().filter_map(|s| match &s.step {
        Step::StartContainer { name, .. } if container.spec.depends_on.contains(name) => Some(s.step.key()),
        _ => None,
    });
    starts.collect()
}

/// The failure to remember after a step failed: one more if it is the same step, the first otherwise.
pub fn failed(
    step: &Step,
    before: Option<&Attempt>,
    now: Timestamp,
    error: String,
    remedy: String,
    permanent: bool,
) -> Attempt {
    let fingerprint = fingerprint(step);
    let same = before.filter(|b| b.fingerprint == fingerprint);
    let count = same.map_or(1, |b| b.count.saturating_add(1));
    let since = same.map_or(now, |b| b.since);
    Attempt { count, since, at: now, error, remedy, permanent, fingerprint }
}

#[cfg(test)]
mod tests;
