//! Volumes, directories of the host and memory: short forms, long forms, and those an image would make.

use super::mode::{Mode, mode};
use crate::error::ApiError;
use crate::request::{Config, HostConfig, Mount};
use hull_model::{MountKind, MountOptions, MountSpec, Name};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// What a container mounts.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Mounts {
    pub(crate) mounts: Vec<MountSpec>,
    /// Containers whose mounts it gets too, and whether they are only to be read.
    pub(crate) volumes_from: Vec<(String, bool)>,
}

/// A path without `.`, `..` and double slashes.
pub(crate) fn tidy(path: &str) -> PathBuf {
    let mut tidied = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => tidied.push(name),
            Component::ParentDir => _ = tidied.pop(),
            _ => {}
        }
    }
    tidied
}

/// Reads all mounts. `names` makes names for volumes that have none; `exists` says whether the host has a path.
pub(crate) fn mounts(
    config: &Config,
    host: &HostConfig,
    mut names: impl FnMut() -> Name,
    exists: impl Fn(&Path) -> bool,
) -> Result<Mounts, ApiError> {
    let volumes_from = host.volumes_from.iter().flatten().map(|text| from(text)).collect::<Result<_, _>>()?;
    let mut mounts: BTreeMap<PathBuf, MountSpec> = BTreeMap::new();
    let mut add = |mount: MountSpec| match mounts.insert(mount.target.clone(), mount) {
        None => Ok(()),
        Some(twice) => {
            Err(ApiError::bad_request(format!("Duplicate mount point: {}", twice.target.display())))
        }
    };
    for text in host.binds.iter().flatten() {
        add(bind(text, &host.volume_driver, &mut names)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        add(super::long_mount::mount(mount, &host.volume_driver, &mut names, &exists)?)?;
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        let mount = super::tmpfs::mount(target, options)?;
        // One that is also there in its long form is the same one.
        let long = |m: &Mount| m.kind == "tmpfs" && tidy(&m.target) == mount.target;
        if !host.mounts.iter().flatten().any(long) {
            add(mount)?;
        }
    }
    for target in config.volumes.iter().flatten().map(|(target, _)| target) {
        if !target.starts_with('/') || tidy(target) == Path::new("/") {
            return Err(ApiError::bad_request(format!(
                "invalid volume specification: '{target}': the mount path must be absolute and not '/'"
            )));
        }
        let target = tidy(target);
        mounts.entry(target.clone()).or_insert_with(|| anonymous(names(), target));
    }
    Ok(Mounts { mounts: mounts.into_values().collect(), volumes_from })
}

fn anonymous(name: Name, target: PathBuf) -> MountSpec {
    let options = MountOptions { anonymous: true, ..MountOptions::default() };
    MountSpec { kind: MountKind::Volume { name }, target, read_only: false, options }
}

/// `container`, `container:ro`, `container:rw`.
fn from(text: &str) -> Result<(String, bool), ApiError> {
    let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
    if container.is_empty() {
        return Err(ApiError::bad_request("volumes-from specification cannot be an empty string"));
    }
    match super::mode::mode(mode) {
        Some(read) => Ok((container.to_owned(), read.read_only)),
        None => Err(ApiError::bad_request(format!("invalid mode: {mode}"))),
    }
}

/// Only volumes of this host are there.
pub(crate) fn driver(volume: &str, driver: &str) -> Result<(), ApiError> {
    match driver {
        "" | "local" => Ok(()),
        other => Err(ApiError::not_found(format!(
            "create {volume}: error looking up volume plugin {other}: plugin \"{other}\" not found"
        ))),
    }
}

/// A name that a volume can have, in Docker's words.
pub(crate) fn volume_name(text: &str) -> Result<Name, ApiError> {
    if text.len() < 2 {
        return Err(ApiError::bad_request(format!(
            "create {text}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    Name::new(text).map_err(|_| {
        ApiError::bad_request(format!(
            "create {text}: {text:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ))
    })
}

/// `[source:]target[:mode]`. Errors of these have status 500, as Docker answers them.
fn bind(text: &str, driver_name: &str, names: &mut impl FnMut() -> Name) -> Result<MountSpec, ApiError> {
    let bad = |why: &str| ApiError::internal(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, words) = match parts[..] {
        [target] if !target.is_empty() => ("", target, ""),
        [source, target] if !source.is_empty() => match mode(target) {
            Some(_) if !target.is_empty() && !target.starts_with('/') => ("", source, target),
            _ => (source, target, ""),
        },
        [source, target, words] if !source.is_empty() => (source, target, words),
        _ => return Err(bad("")),
    };
    let read = mode(words).ok_or_else(|| ApiError::internal(format!("invalid mode: {words}")))?;
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let invalid = |why: &str| bad(&format!(": invalid mount config for type \"{kind}\": {why}"));
    if target.is_empty() {
        return Err(invalid("field Target must not be empty"));
    }
    if !target.starts_with('/') {
        return Err(invalid(&format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    if tidy(target) == Path::new("/") {
        return Err(invalid("invalid specification: destination can't be '/'"));
    }
    let Mode { read_only, no_copy, propagation } = read;
    let kind = match (kind, source) {
        ("bind", _) if no_copy => return Err(invalid("field VolumeOptions must not be specified")),
        ("bind", source) => MountKind::Bind { source: tidy(source), create: true },
        (_, _) if propagation.is_some() => return Err(invalid("field BindOptions must not be specified")),
        (_, "") => MountKind::Volume { name: names() },
        (_, name) => {
            driver(name, driver_name)?;
            MountKind::Volume { name: volume_name(name)? }
        }
    };
    let options = MountOptions {
        propagation,
        no_copy,
        anonymous: source.is_empty(),
        recursive_read_only: read_only,
        ..MountOptions::default()
    };
    Ok(MountSpec { kind, target: tidy(target), read_only, options })
}
