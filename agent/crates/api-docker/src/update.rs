//! `POST /containers/{id}/update`: limits and restart policy of a container that exists.

use crate::State;
use crate::create::{Machine, SYS, limits, restart};
use crate::error::{Answer, ApiError};
use crate::request::{self, Resources, UpdateRequest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use hull_engine::Update;
use hull_model::ContainerRecord;
use serde_json::{Value, json};

/// `POST /containers/{id}/update`
pub(crate) async fn update(
    Shared(state): Shared<State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    request::body(&headers, &body)?;
    let asked: UpdateRequest = request::optional_document(&body)?;
    let policy =
        (!asked.restart_policy.name.is_empty()).then(|| restart(&asked.restart_policy)).transpose()?;
    let machine = Machine::read(std::path::Path::new(SYS));
    // What is asked for is checked by itself first, then with what stays.
    limits(&mut asked.resources.clone(), &machine, true)?;
    let record = state.engine.find(&id).await?;
    let merged = merge(&asked.resources, &record)?;
    let (resources, _) = limits(&mut merged.clone(), &machine, true)?;
    let document = record.request.clone().map(|shown| show(shown, &merged, &asked));
    let update = Update { resources, restart: policy, request: document };
    let warnings = state.engine.update_by_hand(&record.id, update).await.map_err(|error| {
        let mut answer = ApiError::from(error);
        if !answer.message.starts_with("Cannot update") && !answer.message.starts_with("cannot update") {
            answer.message = format!("Cannot update container {id}: {}", answer.message);
        }
        answer
    })?;
    let warnings = Some(warnings).filter(|w| !w.is_empty());
    Ok(Json(json!({ "Warnings": warnings })).into_response())
}

/// The limits in force with what is asked for over them. What is not asked for stays.
fn merge(asked: &Resources, record: &ContainerRecord) -> Result<Resources, ApiError> {
    let mut merged = current(record);
    let conflict = |words: &str| Err(ApiError::conflict(words));
    for (own, new) in [
        (&mut merged.cpu_shares, asked.cpu_shares),
        (&mut merged.memory, asked.memory),
        (&mut merged.memory_swap, asked.memory_swap),
        (&mut merged.memory_reservation, asked.memory_reservation),
    ] {
        if new != 0 {
            *own = new;
        }
    }
    if asked.memory != 0
        && asked.memory_swap == 0
        && merged.memory_swap > 0
        && merged.memory > merged.memory_swap
    {
        return conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    if asked.nano_cpus > 0 && (merged.cpu_quota > 0 || merged.cpu_period > 0) {
        return conflict(
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota/Period has already been set",
        );
    }
    if (asked.cpu_quota != 0 || asked.cpu_period != 0) && merged.nano_cpus > 0 {
        return conflict(
            "Conflicting options: CPU Quota/Period cannot be updated as NanoCPUs has already been set",
        );
    }
    over(&mut merged, asked);
    Ok(merged)
}

/// Puts what is asked for over the rest.
fn over(merged: &mut Resources, asked: &Resources) {
    for (own, new) in [
        (&mut merged.nano_cpus, asked.nano_cpus),
        (&mut merged.cpu_quota, asked.cpu_quota),
        (&mut merged.cpu_period, asked.cpu_period),
    ] {
        if new != 0 {
            *own = new;
        }
    }
    for (own, new) in
        [(&mut merged.cpuset_cpus, &asked.cpuset_cpus), (&mut merged.cpuset_mems, &asked.cpuset_mems)]
    {
        if !new.is_empty() {
            own.clone_from(new);
        }
    }
    if asked.blkio_weight != 0 {
        merged.blkio_weight = asked.blkio_weight;
    }
    if let Some(pids) = asked.pids_limit {
        merged.pids_limit = Some(pids).filter(|p| *p > 0);
    }
}

/// The limits in force, as Docker counts them.
fn current(record: &ContainerRecord) -> Resources {
    let limits = &record.spec.resources;
    let number = |value: Option<u64>| value.map_or(0, |v| i64::try_from(v).unwrap_or(-1));
    let mut shown = shown(record).unwrap_or_default();
    shown.memory = number(limits.memory);
    shown.memory_swap = number(limits.memory_swap);
    shown.memory_reservation = number(limits.memory_reservation);
    shown.nano_cpus = number(limits.nano_cpus);
    shown.cpu_quota = limits.cpu_quota.unwrap_or(0);
    shown.cpu_period = number(limits.cpu_period);
    shown.cpu_shares = number(limits.cpu_shares);
    shown.cpuset_cpus = limits.cpuset.clone().unwrap_or_default();
    shown.cpuset_mems = limits.cpuset_mems.clone().unwrap_or_default();
    shown.pids_limit = limits.pids.map(|p| i64::try_from(p).unwrap_or(i64::MAX));
    shown.blkio_weight = limits.blkio_weight.unwrap_or(0);
    shown.memory_swappiness = limits.memory_swappiness.and_then(|s| i64::try_from(s).ok());
    shown
}

/// What was asked for when it was made, for limits that cannot be updated.
fn shown(record: &ContainerRecord) -> Option<Resources> {
    let text = serde_json::to_vec(record.request.as_ref()?.get("HostConfig")?).ok()?;
    request::document(&text).ok()
}

/// What inspections show, with the new limits.
fn show(mut shown: Value, merged: &Resources, asked: &UpdateRequest) -> Value {
    let (Some(host), Ok(Value::Object(limits))) =
        (shown.get_mut("HostConfig").and_then(Value::as_object_mut), serde_json::to_value(merged))
    else {
        return shown;
    };
    host.extend(limits);
    if !asked.restart_policy.name.is_empty()
        && let Ok(policy) = serde_json::to_value(&asked.restart_policy)
    {
        host.insert("RestartPolicy".to_owned(), policy);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_testkit::container;

    fn record(resources: hull_model::Resources) -> ContainerRecord {
        let mut spec = container("web", "web:1");
        spec.resources = resources;
        ContainerRecord {
            id: hull_model::ContainerId::from_random([1; 32]),
            spec,
            image: hull_model::Digest::from_sha256([1; 32]),
            owner: hull_model::Owner::Docker,
            created: jiff::Timestamp::UNIX_EPOCH,
            state: hull_model::ContainerState::Created,
            wanted: false,
            restarts: 0,
            addresses: Default::default(),
            published: Vec::new(),
            request: Some(json!({ "HostConfig": { "Memory": 0, "Binds": ["/a:/b"] } })),
        }
    }

    #[test]
    fn what_is_not_asked_for_stays() {
        let old = record(hull_model::Resources {
            memory: Some(64 << 20),
            nano_cpus: Some(500_000_000),
            ..Default::default()
        });
        let merged = merge(&Resources { cpu_shares: 512, ..Resources::default() }, &old).unwrap();
        assert_eq!((merged.cpu_shares, merged.memory, merged.nano_cpus), (512, 64 << 20, 500_000_000));
        let quota = merge(&Resources { cpu_quota: 5_000, ..Resources::default() }, &old).unwrap_err();
        assert!(quota.message.contains("NanoCPUs has already been set"), "{}", quota.message);
        let shown = show(old.request.unwrap(), &merged, &UpdateRequest::default());
        assert_eq!(shown["HostConfig"]["Memory"], 64 << 20);
        assert_eq!(shown["HostConfig"]["Binds"], json!(["/a:/b"]));
    }
}
