//! Docker's wire shapes, field for field in its order, and how the host's records are told in them.

mod container;
mod host_config;
mod image;
mod inspect;
mod network;
mod summary;
mod volume;

pub(crate) use container::{MountPoint, NetworkSettings, Port, mounts, networks, ports};
pub(crate) use host_config::HostConfig;
pub(crate) use image::{ImageInspect, ImageSummary, config as image_config, created as image_created, os as image_os, repo_digests, repo_tags};
pub(crate) use inspect::ContainerInspect;
pub(crate) use network::NetworkResource;
pub(crate) use summary::{ContainerSummary, state_word};
pub(crate) use volume::Volume;

use hull_model::{ContainerRecord, Image, NetworkRecord};

/// What every container's files are made of: layers, and one writable directory above them.
pub(crate) const STORAGE: &str = "overlayfs";

/// Go's zero time.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// A container with everything that is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) record: &'a ContainerRecord,
    /// The image it was made from, if it is still here.
    pub(crate) image: Option<&'a Image>,
    pub(crate) networks: &'a [NetworkRecord],
    pub(crate) volumes: &'a [hull_model::VolumeRecord],
    /// It ended, and its policy is about to start it again.
    pub(crate) restarting: bool,
}

impl View<'_> {
    /// The image's configuration, or that of an empty one.
    pub(crate) fn config(&self) -> hull_model::ImageConfig {
        self.image.map(|i| i.config.clone()).unwrap_or_default()
    }

    /// Program and arguments.
    pub(crate) fn command(&self) -> Vec<String> {
        hull_plan::oci::command(&self.record.spec, &self.config())
    }

    /// The image as it was asked for; its id if that name means another one now.
    pub(crate) fn image_name(&self) -> String {
        match self.image {
            Some(image) if !image.references.contains(&self.record.spec.image) => image.id.to_string(),
            _ => self.record.spec.image.familiar(),
        }
    }
}
