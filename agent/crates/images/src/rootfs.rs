//! Root file systems of containers: an image below, a writable layer above. On the way of every start, so nothing here is
//! flushed and little is asked of the kernel.

use crate::base;
use crate::disk::{DiskError, disk_error};
use crate::store::Inner;
use hull_model::{ContainerId, Digest};
use hull_ports::{Error, Result, Rootfs};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

/// Makes a container's writable layer on an image, or finds it.
pub(crate) fn prepare(inner: &Inner, container: &ContainerId, image: &Digest) -> Result<Rootfs> {
    let message = || format!("preparing the root file system of container {}", container.short());
    let (layers, known) = {
        let mut state = inner.state();
        let Some(found) = state.images.get(image) else {
            return Err(Error::not_found(format!("No such image: {image}")).remedy("pull the image"));
        };
        let layers = found.record.layers.clone();
        match state.containers.get(container) {
            Some(other) if other != image => {
                return Err(Error::conflict(message())
                    .remedy("discard the container's old root file system first")
                    .because(format!("it was made on image {}", other.short())));
            }
            known => {
                let known = known.is_some();
                // Before anything is made: from here on, the image cannot be removed.
                state.containers.insert(container.clone(), image.clone());
                (layers, known)
            }
        }
    };
    let made = base::directories(inner, &layers)
        .and_then(|lower| Ok((writable(inner, container, image, &lower[0])?, lower)));
    match made {
        Ok((dir, lower)) => Ok(Rootfs { lower, upper: dir.join("upper"), work: dir.join("work") }),
        Err(error) => {
            if !known {
                inner.state().containers.remove(container);
            }
            Err(error.at_door(message()))
        }
    }
}

/// Makes the writable layer, or finds it. Nothing is flushed: after a power cut it is there whole or not at all, because
/// only names were made and file systems keep their order, the link last; then it is made again.
fn writable(
    inner: &Inner,
    container: &ContainerId,
    image: &Digest,
    top: &Path,
) -> std::result::Result<PathBuf, DiskError> {
    let target = inner.disk.container(container.as_str());
    let private = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    match private(&target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if target.join("image").is_symlink() {
                return Ok(target);
            }
            // Something without a link to its image is not ours, or was cut off.
            inner.disk.take_away(&target)?;
            private(&target).map_err(DiskError::new("making", &target))?;
        }
        result => result.map_err(DiskError::new("making", &target))?,
    }
    let make = || -> io::Result<()> {
        let upper = target.join("upper");
        // The root directory of an overlay is that of its writable layer.
        let root = fs::metadata(top)?;
        private(&upper)?;
        if (root.uid(), root.gid()) != (0, 0) {
            chown(&upper, Some(root.uid()), Some(root.gid()))?;
        }
        fs::set_permissions(&upper, fs::Permissions::from_mode(root.mode() & 0o7777))?;
        private(&target.join("work"))?;
        symlink(image.to_string(), target.join("image"))
    };
    make().map_err(DiskError::new("making", &target))?;
    Ok(target)
}

/// Removes a container's writable layer. Nothing there is success.
pub(crate) fn discard(inner: &Inner, container: &ContainerId) -> Result<()> {
    let message = || format!("removing the root file system of container {}", container.short());
    let path = inner.disk.container(container.as_str());
    inner.disk.take_away(&path).map_err(|error| disk_error(message(), error))?;
    inner.state().containers.remove(container);
    Ok(())
}
