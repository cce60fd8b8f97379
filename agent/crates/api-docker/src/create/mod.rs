//! `POST /containers/create`: from what a client sends to what the engine makes, in pure steps.

mod devices;
mod logging;
mod long_mount;
mod machine;
mod merge;
mod mode;
mod mounts;
mod names;
mod networks;
mod normal;
mod ports;
mod resources;
mod security;
mod spec;
#[cfg(test)]
mod tests;
mod tmpfs;
mod validate;

pub(crate) use machine::Machine;
pub(crate) use mounts::volume_name;
pub(crate) use networks::find as find_network;
pub(crate) use normal::fill;
pub(crate) use resources::{limits, restart};
pub(crate) use spec::{Surroundings, Translated, check, translate};
pub(crate) use validate::name;

use crate::State;
use crate::error::{Answer, ApiError};
use crate::query::Query;
use crate::request::{self, CreateRequest};
use crate::version::Spoken;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use axum::{Extension, Json};
use hull_model::{ContainerRecord, HostPort, Image, Name, Reference};
use hull_ports::ErrorClass;
use serde_json::json;
use std::path::Path;

/// Where the kernel tells what a machine has.
pub(crate) const SYS: &str = "/sys";

/// `POST /containers/create`
pub(crate) async fn create(
    Shared(state): Shared<State>,
    Extension(spoken): Extension<Spoken>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let query = Query::parse(query.as_deref());
    let body = body.map_err(|e| ApiError::new(e.status(), e.body_text()))?;
    request::body(&headers, &body)?;
    let request: CreateRequest = request::document(&body)?;
    check(&request)?;
    let asked = request.config.as_ref().map(|c| c.image.clone()).unwrap_or_default();
    if asked.is_empty() {
        return Err(ApiError::bad_request("no command specified"));
    }
    let image = state.engine.find_image(&asked).await?;
    if let Some(wanted) = query.text("platform") {
        platform(wanted, &asked, &image)?;
    }
    let containers = state.engine.containers().await?;
    let name = chosen_name(&state, query.text("name"), &containers)?;
    let taken = taken_ports(&containers);
    let networks = state.engine.networks().await?;
    let translated = {
        let around = Surroundings {
            spoken,
            machine: &Machine::read(Path::new(SYS)),
            networks: &networks,
            taken: &taken,
            exists: &|path| path.symlink_metadata().is_ok(),
        };
        let entropy = state.engine.drivers().entropy.clone();
        let names = move || random_name(entropy.bytes());
        translate(request, name, reference(&asked, &image)?, &image, &around, names)?
    };
    let Translated { spec, volumes_from, request, mut warnings } = translated;
    let making = hull_engine::CreateRequest { spec, image: image.id, request, volumes_from };
    let created = state.engine.create_by_hand(making).await.map_err(not_made)?;
    warnings.extend(created.warnings);
    let answer = Json(json!({ "Id": created.record.id, "Warnings": warnings }));
    Ok((StatusCode::CREATED, answer).into_response())
}

/// The name that was asked for, or one that nobody has.
fn chosen_name(state: &State, asked: Option<&str>, there: &[ContainerRecord]) -> Result<Name, ApiError> {
    if let Some(text) = asked {
        return name(text);
    }
    let taken = |name: &str| there.iter().any(|c| c.spec.name.as_str() == name);
    names::choose(state.engine.drivers().entropy.bytes(), taken)
        .ok_or_else(|| ApiError::internal("no name could be chosen"))
}

/// Ports of the host that containers have, or will have when they run.
fn taken_ports(containers: &[ContainerRecord]) -> Vec<HostPort> {
    let ports = containers.iter().flat_map(|c| c.spec.ports.iter().chain(&c.published));
    ports.map(hull_model::PortSpec::host).filter(|p| p.port != 0).collect()
}

/// Why a container was not made. Clients take "not found" for a missing image, and pull it: only that is told so.
fn not_made(error: hull_ports::Error) -> ApiError {
    let other = error.class == ErrorClass::NotFound && !error.message.starts_with("No such image");
    let mut answer = ApiError::from(error);
    if other {
        answer.status = StatusCode::BAD_REQUEST;
    }
    answer
}

/// A name for a volume that was given none: 64 hexadecimal digits.
fn random_name(bytes: [u8; 32]) -> Name {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    // Hexadecimal digits are a name by every rule there is.
    Name::new(digits).unwrap_or_else(|e| unreachable!("{e}"))
}

/// What the image is called: as it was asked for, or by any of its names if it was asked for by its id.
fn reference(asked: &str, image: &Image) -> Result<Reference, ApiError> {
    let parsed = Reference::parse(asked);
    if let Ok(reference) = &parsed
        && image.references.contains(reference)
    {
        return Ok(reference.clone());
    }
    if let Some(reference) = image.references.first() {
        return Ok(reference.clone());
    }
    parsed
        .or_else(|_| Reference::parse(&image.id.hex()[..12]))
        .map_err(|e| ApiError::bad_request(e.to_string()))
}

/// Whether the image is for the platform that was asked for.
fn platform(wanted: &str, asked: &str, image: &Image) -> Result<(), ApiError> {
    let parts: Vec<&str> = wanted.split('/').collect();
    let known =
        |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if parts.len() > 3 || !parts.iter().all(known) {
        let why = format!("{wanted:?}: cannot parse platform specifier: invalid argument");
        return Err(ApiError::bad_request(why));
    }
    let os = if image.os.is_empty() { "linux" } else { &image.os };
    let usual = |architecture: &str| match architecture {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    let fits = match parts[..] {
        [one] => one == os || usual(one) == image.architecture,
        [system, architecture] => system == os && usual(architecture) == image.architecture,
        [system, architecture, variant] => {
            let variants = [image.variant.as_str(), if image.architecture == "arm64" { "v8" } else { "" }];
            system == os && usual(architecture) == image.architecture && variants.contains(&variant)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {asked} was found but its platform ({os}/{}) does not match the specified platform ({wanted})",
        image.architecture
    )))
}
