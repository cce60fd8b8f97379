//! Networks: listing, inspecting, making, removing.

use crate::State;
use crate::create::find_network;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::prune::Picker;
use crate::query::Query;
use crate::request::{self, NetworkCreate};
use crate::wire::NetworkResource;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use hull_model::{Ipv4Net, Name, NetworkRecord, NetworkSpec, Owner};
use hull_ports::ErrorClass;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const FILTERS: &[&str] = &["id", "name", "label", "driver", "scope", "type", "dangling"];
/// Networks that every host has.
const PREDEFINED: &[&str] = &["bridge", "host", "none"];

/// `GET /networks`
pub(crate) async fn list(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let filters = Filters::parse(query.text("filters"), FILTERS)?;
    let dangling = filters.truth("dangling")?;
    let containers = state.engine.containers().await?;
    let used = |n: &NetworkRecord| containers.iter().any(|c| c.spec.networks.contains_key(&n.name));
    let predefined = |n: &NetworkRecord| PREDEFINED.contains(&n.name.as_str());
    let mut networks = state.engine.networks().await?;
    networks.retain(|n| {
        filters.any("id", |wanted| n.id.starts_with(wanted))
            && filters.name("name", &[n.name.as_str()])
            && filters.labels(&n.labels)
            && filters.any("driver", |wanted| wanted == "bridge")
            && filters.any("scope", |wanted| wanted == "local")
            && filters.any("type", |wanted| wanted == if predefined(n) { "builtin" } else { "custom" })
            && dangling.is_none_or(|wanted| wanted == (!used(n) && !predefined(n)))
    });
    let mut told: Vec<Value> =
        networks.iter().filter_map(|n| serde_json::to_value(NetworkResource::new(n, &[])).ok()).collect();
    for name in ["host", "none"] {
        let builtin = builtin(name);
        let text = |key: &str| builtin[key].as_str().unwrap_or_default().to_owned();
        let shown = filters.any("id", |wanted| text("Id").starts_with(wanted))
            && filters.name("name", &[name])
            && !filters.has("label")
            && filters.any("driver", |wanted| wanted == text("Driver"))
            && filters.any("scope", |wanted| wanted == "local")
            && filters.any("type", |wanted| wanted == "builtin")
            && dangling != Some(true);
        if shown {
            told.push(builtin);
        }
    }
    Ok(Json(told).into_response())
}

/// The host's own network, and none at all, as networks. Their ids are the same on every host.
fn builtin(name: &str) -> Value {
    let (driver, digit) = if name == "host" { ("host", "1") } else { ("null", "0") };
    json!({
        "Name": name,
        "Id": digit.repeat(64),
        "Created": "1970-01-01T00:00:00Z",
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": null },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {},
        "Labels": {},
    })
}

/// `GET /networks/{id}`
pub(crate) async fn inspect(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    if id == "bridge" {
        // It is made when it is first used; nobody has to know.
        state.engine.ensure_default_network().await?;
    }
    let networks = state.engine.networks().await?;
    if let Some(network) = find_network(&networks, &id) {
        let containers = state.engine.containers().await?;
        return Ok(Json(NetworkResource::new(network, &containers)).into_response());
    }
    for name in ["host", "none"] {
        let builtin = builtin(name);
        if id == name || builtin["Id"] == id.as_str() {
            return Ok(Json(builtin).into_response());
        }
    }
    Err(missing(&id))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("network {id} not found"))
}

/// `POST /networks/create`
pub(crate) async fn create(
    Shared(state): Shared<State>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    request::body(&headers, &body)?;
    let spec = spec(request::document(&body)?)?;
    let made = state.engine.create_network_by_hand(&spec).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": made.id, "Warning": "" }))).into_response())
}

/// Refuses what a network cannot have here.
fn only_simple(asked: &NetworkCreate) -> Result<(), ApiError> {
    let ipam = asked.ipam.clone().unwrap_or_default();
    let ranges = ipam.config.unwrap_or_default();
    let from = asked.config_from.as_ref().is_some_and(|f| !f.network.is_empty());
    let auxiliary = ranges.iter().any(|r| r.auxiliary_addresses.as_ref().is_some_and(|a| !a.is_empty()));
    let unsupported = [
        (asked.enable_ipv6 == Some(true), "IPv6 in a network"),
        (asked.enable_ipv4 == Some(false), "a network without IPv4"),
        (!matches!(asked.scope.as_str(), "" | "local"), "a network of more than one host"),
        (asked.attachable || asked.ingress, "a network of more than one host"),
        (asked.config_only || from, "a configuration-only network"),
        (asked.options.as_ref().is_some_and(|o| !o.is_empty()), "an option of a network's driver"),
        (!matches!(ipam.driver.as_str(), "" | "default"), "another address manager than the default one"),
        (ipam.options.is_some_and(|o| !o.is_empty()), "an option of the address manager"),
        (ranges.len() > 1, "more than one range in a network"),
        (ranges.iter().any(|r| !r.ip_range.is_empty()), "a range within a network's subnet"),
        (auxiliary, "auxiliary addresses"),
    ];
    match unsupported.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(ApiError::unsupported(what)),
        None => Ok(()),
    }
}

/// A bridge network; everything else is refused.
fn spec(asked: NetworkCreate) -> Result<NetworkSpec, ApiError> {
    if asked.name.is_empty() {
        return Err(ApiError::bad_request("invalid name: name is empty"));
    }
    if PREDEFINED.contains(&asked.name.as_str()) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!("operation is not permitted on predefined {} network ", asked.name),
        ));
    }
    match asked.driver.as_str() {
        "" | "bridge" | "default" => {}
        "overlay" | "macvlan" | "ipvlan" | "host" | "null" | "none" => {
            return Err(ApiError::unsupported(format!("a network with the driver {:?}", asked.driver)));
        }
        other => return Err(ApiError::not_found(format!("plugin \"{other}\" not found"))),
    }
    only_simple(&asked)?;
    let ranges = asked.ipam.unwrap_or_default().config.unwrap_or_default();
    let range = ranges.into_iter().next().unwrap_or_default();
    let invalid = |why: String| ApiError::bad_request(format!("invalid network config:\n{why}"));
    let subnet = match range.subnet.as_str() {
        "" => None,
        text => {
            let bad = |_| invalid(format!("invalid subnet {text}: invalid CIDR block notation"));
            Some(Ipv4Net::try_from(text.to_owned()).map_err(bad)?)
        }
    };
    let gateway = match range.gateway.as_str() {
        "" => None,
        text => {
            let bad = |_| invalid(format!("invalid gateway {text}: invalid address"));
            Some(text.parse::<Ipv4Addr>().map_err(bad)?)
        }
    };
    if let (Some(subnet), Some(gateway)) = (subnet, gateway)
        && !subnet.contains(gateway)
    {
        return Err(invalid(format!("invalid gateway {gateway}: parent subnet is {subnet}")));
    }
    let name = Name::new(asked.name).map_err(|e| ApiError::bad_request(format!("invalid name: {e}")))?;
    Ok(NetworkSpec {
        name,
        subnet,
        gateway,
        internal: asked.internal,
        labels: asked.labels.unwrap_or_default(),
    })
}

/// `DELETE /networks/{id}`
pub(crate) async fn remove(Shared(state): Shared<State>, Path(id): Path<String>) -> Answer {
    if PREDEFINED.contains(&id.as_str()) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!("{id} is a pre-defined network and cannot be removed"),
        ));
    }
    let networks = state.engine.networks().await?;
    let network = find_network(&networks, &id).ok_or_else(|| missing(&id))?;
    if network.owner == Owner::HostSpec {
        return Err(ApiError::conflict(format!(
            "network {id} is declared in the host spec: take it out there first"
        )));
    }
    state.engine.remove_network(&network.name).await.map_err(|error| match error.class {
        ErrorClass::Conflict => {
            let mut answer = ApiError::from(error);
            answer.status = StatusCode::FORBIDDEN;
            answer.message = format!("error while removing network: {}", answer.message);
            answer
        }
        _ => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /networks/prune`
pub(crate) async fn prune(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Answer {
    let query = Query::parse(query.as_deref());
    let picker = Picker::read(query.text("filters"), &[], state.engine.drivers().clock.now())?;
    let containers = state.engine.containers().await?;
    let mut gone = Vec::new();
    for network in state.engine.networks().await? {
        let used = containers.iter().any(|c| c.spec.networks.contains_key(&network.name));
        let kept = network.owner != Owner::Docker || PREDEFINED.contains(&network.name.as_str());
        if used || kept || !picker.network(&network) {
            continue;
        }
        match state.engine.remove_network(&network.name).await {
            Ok(()) => gone.push(network.name),
            // A container came and took it.
            Err(error) if error.class == ErrorClass::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(json!({ "NetworksDeleted": Some(gone).filter(|g| !g.is_empty()) })).into_response())
}
