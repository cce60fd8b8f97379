//! Mounts in their long form.

use super::mode::PROPAGATIONS;
use super::mounts::{driver, tidy, volume_name};
use crate::error::ApiError;
use crate::request::Mount;
use hull_model::{MountKind, MountOptions, MountSpec, Name};
use std::path::{Component, Path};

/// Reads one mount.
pub(crate) fn mount(
    m: &Mount,
    volume_driver: &str,
    names: &mut impl FnMut() -> Name,
    exists: &impl Fn(&Path) -> bool,
) -> Result<MountSpec, ApiError> {
    foreign_options(m)?;
    let bad = |why: &str| invalid(m, why);
    if m.target.is_empty() {
        return Err(bad("field Target must not be empty"));
    }
    if !matches!(m.kind.as_str(), "bind" | "volume" | "tmpfs" | "image") {
        return Err(bad("mount type unknown"));
    }
    if matches!(m.kind.as_str(), "bind" | "image") && m.source.is_empty() {
        return Err(bad("field Source must not be empty"));
    }
    if !m.target.starts_with('/') {
        return Err(bad(&format!("invalid mount path: '{}' mount path must be absolute", m.target)));
    }
    if tidy(&m.target) == Path::new("/") {
        return Err(bad("invalid specification: destination can't be '/'"));
    }
    let (kind, options) = match m.kind.as_str() {
        "bind" => bind(m, exists)?,
        "tmpfs" => tmpfs(m)?,
        "volume" => volume(m, volume_driver, names)?,
        _ => return Err(ApiError::unsupported("mounting an image")),
    };
    Ok(MountSpec { kind, target: tidy(&m.target), read_only: m.read_only, options })
}

fn invalid(m: &Mount, why: &str) -> ApiError {
    ApiError::bad_request(format!("invalid mount config for type {:?}: {why}", m.kind))
}

/// Options of one kind of mount on another.
fn foreign_options(m: &Mount) -> Result<(), ApiError> {
    let options = [
        (m.bind_options.is_some(), "BindOptions", "bind"),
        (m.volume_options.is_some(), "VolumeOptions", "volume"),
        (m.image_options.is_some(), "ImageOptions", "image"),
        (m.tmpfs_options.is_some(), "TmpfsOptions", "tmpfs"),
        (m.cluster_options.is_some(), "ClusterOptions", "cluster"),
    ];
    match options.iter().find(|(there, _, kind)| *there && m.kind != *kind) {
        Some((_, options, _)) => {
            Err(ApiError::bad_request(format!("{options} must not be specified on mount type {:?}", m.kind)))
        }
        None => Ok(()),
    }
}

type Kind = Result<(MountKind, MountOptions), ApiError>;

fn bind(m: &Mount, exists: &impl Fn(&Path) -> bool) -> Kind {
    let asked = m.bind_options.clone().unwrap_or_default();
    if !m.source.starts_with('/') {
        let why = format!("invalid mount path: '{}' mount path must be absolute", m.source);
        return Err(invalid(m, &why));
    }
    let propagation = Some(asked.propagation).filter(|p| !p.is_empty());
    if let Some(bad) = propagation.as_ref().filter(|p| !PROPAGATIONS.contains(&p.as_str())) {
        return Err(invalid(m, &format!("invalid propagation mode: {bad}")));
    }
    if asked.read_only_force_recursive {
        if !m.read_only {
            return Err(invalid(m, "mount must be read-only for \"ReadOnlyForceRecursive\""));
        }
        if asked.read_only_non_recursive {
            let why = "\"ReadOnlyForceRecursive\" and \"ReadOnlyNonRecursive\" exclude each other";
            return Err(invalid(m, why));
        }
    }
    let source = tidy(&m.source);
    if !asked.create_mountpoint && !exists(&source) {
        return Err(invalid(m, &format!("bind source path does not exist: {}", source.display())));
    }
    let options = MountOptions {
        propagation,
        not_recursive: asked.non_recursive,
        // Where it can be done, what is mounted below is read-only too unless that is declined.
        recursive_read_only: m.read_only && !asked.read_only_non_recursive,
        writable_below: m.read_only && asked.read_only_non_recursive,
        ..MountOptions::default()
    };
    Ok((MountKind::Bind { source, create: asked.create_mountpoint }, options))
}

fn volume(m: &Mount, volume_driver: &str, names: &mut impl FnMut() -> Name) -> Kind {
    let asked = m.volume_options.clone().unwrap_or_default();
    if !asked.subpath.is_empty() {
        if m.source.is_empty() {
            return Err(invalid(m, "must not set Subpath when using anonymous volumes"));
        }
        let below = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
        if !Path::new(&asked.subpath).components().all(below) {
            return Err(invalid(m, "subpath must be a relative path within the volume"));
        }
    }
    let own = asked.driver_config.unwrap_or_default();
    driver(&m.source, if own.name.is_empty() { volume_driver } else { &own.name })?;
    if own.options.is_some_and(|o| !o.is_empty()) {
        return Err(ApiError::unsupported("an option of the volume driver \"local\""));
    }
    if asked.labels.is_some_and(|l| !l.is_empty()) && !m.source.is_empty() {
        return Err(ApiError::unsupported("labelling a volume while it is mounted (create it first)"));
    }
    let name = match m.source.as_str() {
        "" => names(),
        name => volume_name(name)?,
    };
    let options = MountOptions {
        no_copy: asked.no_copy,
        subpath: Some(asked.subpath).filter(|s| !s.is_empty()),
        anonymous: m.source.is_empty(),
        ..MountOptions::default()
    };
    Ok((MountKind::Volume { name }, options))
}

fn tmpfs(m: &Mount) -> Kind {
    if !m.source.is_empty() {
        return Err(invalid(m, "field Source must not be specified"));
    }
    let asked = m.tmpfs_options.clone().unwrap_or_default();
    let mut words = Vec::new();
    for option in asked.options.iter().flatten() {
        match option.as_slice() {
            [flag] if matches!(flag.as_str(), "exec" | "noexec") => words.push(flag.clone()),
            _ => {
                let name = option.first().map_or("", String::as_str);
                return Err(invalid(m, &format!("invalid option: {name}")));
            }
        }
    }
    let kind = MountKind::Tmpfs {
        size: u64::try_from(asked.size_bytes).ok().filter(|s| *s > 0),
        mode: Some(asked.mode).filter(|m| *m != 0),
    };
    Ok((kind, MountOptions { tmpfs: words, ..MountOptions::default() }))
}
