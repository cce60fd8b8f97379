//! Volumes and host directories of one container: what must be there before it runs.

use crate::engine::Engine;
use hull_model::{
    ContainerRecord, ContainerSpec, ImageConfig, MountKind, MountOptions, MountSpec, Name, Owner, VolumeSpec,
};
use hull_ports::{ContainerTree, Error, Result, Rootfs, TreeMount};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

impl Engine {
    /// Adds what the container did not ask for itself: mounts of other containers, then volumes that its image declares.
    pub(crate) async fn complete_mounts(
        &self,
        spec: &mut ContainerSpec,
        image: &ImageConfig,
        from: &[(String, bool)],
    ) -> Result<()> {
        for (container, read_only) in from {
            let other = self.find(container).await?;
            for mount in &other.spec.mounts {
                let tmpfs = matches!(mount.kind, MountKind::Tmpfs { .. });
                if !tmpfs && !has_target(spec, &mount.target) {
                    let mut mount = mount.clone();
                    mount.read_only |= read_only;
                    spec.mounts.push(mount);
                }
            }
        }
        for target in image.volumes.iter().map(|v| Path::new("/").join(v)) {
            if !has_target(spec, &target) {
                let options = MountOptions { anonymous: true, ..MountOptions::default() };
                let kind = MountKind::Volume { name: self.random_name()? };
                spec.mounts.push(MountSpec { kind, target, read_only: false, options });
            }
        }
        Ok(())
    }

    /// Makes the container's volumes that are not there yet. Says which ones it made.
    pub(crate) async fn ensure_volumes(&self, record: &ContainerRecord) -> Result<BTreeSet<Name>> {
        let there: BTreeSet<Name> = self.volumes().await?.into_iter().map(|v| v.name).collect();
        let mut made = BTreeSet::new();
        for mount in &record.spec.mounts {
            let MountKind::Volume { name } = &mount.kind else { continue };
            if there.contains(name) || made.contains(name) {
                continue;
            }
            let spec = VolumeSpec { name: name.clone(), labels: BTreeMap::new() };
            self.ensure_volume(&spec, record.owner, mount.options.anonymous).await?;
            made.insert(name.clone());
        }
        Ok(made)
    }

    /// Fills volumes that are empty with what the image has in their place.
    pub(crate) async fn populate(&self, record: &ContainerRecord, rootfs: &Rootfs) -> Result<()> {
        let places = self.volume_paths(record).await?;
        for mount in &record.spec.mounts {
            let MountKind::Volume { name } = &mount.kind else { continue };
            let Some(place) = places.get(name) else { continue };
            if !mount.options.no_copy && mount.options.subpath.is_none() {
                self.inner.drivers.archives.populate(rootfs, &mount.target, place).await?;
            }
        }
        Ok(())
    }

    /// Where the container's volumes are.
    pub(crate) async fn volume_paths(&self, record: &ContainerRecord) -> Result<BTreeMap<Name, PathBuf>> {
        if record.spec.volumes().next().is_none() {
            return Ok(BTreeMap::new());
        }
        let used: BTreeSet<&Name> = record.spec.volumes().collect();
        let volumes = self.volumes().await?.into_iter();
        Ok(volumes.filter(|v| used.contains(&v.name)).map(|v| (v.name, v.path)).collect())
    }

    /// Removes the volumes that go with a container.
    pub(crate) async fn remove_anonymous_volumes(&self, record: &ContainerRecord) -> Result<()> {
        let own: BTreeSet<Name> =
            record.spec.mounts.iter().filter(|m| m.options.anonymous).filter_map(volume_of).collect();
        for volume in self.volumes().await? {
            let used = || !self.users_of(&volume.name).is_empty();
            if volume.anonymous && own.contains(&volume.name) && volume.owner != Owner::HostSpec && !used() {
                self.remove_volume(&volume.name, true).await?;
            }
        }
        Ok(())
    }

    /// A container's files as its processes see them.
    pub async fn tree(&self, id: &hull_model::ContainerId) -> Result<ContainerTree> {
        let record = self.container(id).await?;
        let rootfs = self.inner.drivers.images.prepare(id, &record.image).await?;
        let places = self.volume_paths(&record).await?;
        let pid = match record.state {
            hull_model::ContainerState::Running { pid, .. } => Some(pid),
            _ => None,
        };
        let mounts = record.spec.mounts.iter().filter_map(|m| tree_mount(m, &places)).collect();
        Ok(ContainerTree { rootfs, read_only: record.spec.read_only, mounts, pid })
    }
}

fn volume_of(mount: &MountSpec) -> Option<Name> {
    match &mount.kind {
        MountKind::Volume { name } => Some(name.clone()),
        _ => None,
    }
}

fn tree_mount(mount: &MountSpec, places: &BTreeMap<Name, PathBuf>) -> Option<TreeMount> {
    let source = match &mount.kind {
        MountKind::Volume { name } => {
            let place = places.get(name)?;
            match &mount.options.subpath {
                Some(subpath) => place.join(plain(Path::new(subpath))?),
                None => place.clone(),
            }
        }
        MountKind::Bind { source, .. } => source.clone(),
        MountKind::Tmpfs { .. } => return None,
    };
    Some(TreeMount { source, target: mount.target.clone(), read_only: mount.read_only })
}

/// The path, if it only goes down.
fn plain(path: &Path) -> Option<&Path> {
    path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)).then_some(path)
}

fn has_target(spec: &ContainerSpec, target: &Path) -> bool {
    let tidy = |path: &Path| -> PathBuf { path.components().collect() };
    spec.mounts.iter().any(|m| tidy(&m.target) == tidy(target))
}

/// `-v` and `create_host_path` make a missing host directory. What is there already may be a file, a socket or a device.
pub(crate) fn make_bind_sources(record: &ContainerRecord) -> Result<()> {
    for mount in &record.spec.mounts {
        if let MountKind::Bind { source, create: true } = &mount.kind
            && !source.exists()
        {
            std::fs::create_dir_all(source).map_err(|e| {
                Error::permanent(format!("making host directory {}", source.display())).because(e)
            })?;
        }
    }
    Ok(())
}
