//! Docker's wire shapes, field for field in its order, and how the host's records are told in them.

mod config;
mod container;
mod host_config;
mod image;
mod inspect;
mod network;
mod stats;
mod summary;
mod volume;

pub(crate) use container::{MountPoint, NetworkSettings, Port, mounts, networks, ports};
pub(crate) use host_config::network_mode;
pub(crate) use image::{
    ImageInspect, ImageSummary, created as image_created, os as image_os, repo_digests, repo_tags,
};
pub(crate) use inspect::ContainerInspect;
pub(crate) use network::NetworkResource;
pub(crate) use stats::{StatsSource, stats};
pub(crate) use summary::{ContainerSummary, health_word, state_word};
pub(crate) use volume::Volume;

use hull_model::{ContainerRecord, Image, NetworkRecord};
use std::path::Path;

/// What every container's files are made of: layers, and one writable directory above them.
pub(crate) const STORAGE: &str = "overlayfs";

/// Go's zero time.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// A container's hardware address, as it is written.
pub(crate) fn hardware_address(address: std::net::Ipv4Addr) -> String {
    hull_model::hardware_address(address).map(|byte| format!("{byte:02x}")).join(":")
}

/// A container with everything that is told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) record: &'a ContainerRecord,
    /// The image it was made from, if it is still here.
    pub(crate) image: Option<&'a Image>,
    pub(crate) networks: &'a [NetworkRecord],
    pub(crate) volumes: &'a [hull_model::VolumeRecord],
    /// Where the files are that containers see below /etc, each container's in a directory of its id.
    pub(crate) files: &'a Path,
    /// The directory that everything is kept in.
    pub(crate) root: &'a Path,
    /// It ended, and its policy is about to start it again.
    pub(crate) restarting: bool,
    /// Whether it works, if that is checked.
    pub(crate) health: Option<&'a hull_engine::Health>,
    /// Bytes of its writable layer and of its whole root file system, if they were asked for.
    pub(crate) sizes: Option<(u64, u64)>,
    /// Containers that it has links to: their names, and what it calls them.
    pub(crate) links: &'a [(String, String)],
    /// Containers that have links to it: their names, and what they call it.
    pub(crate) linked: &'a [(String, String)],
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

    /// A part of what a client asked for, filled in.
    pub(crate) fn asked(&self, part: &str) -> Option<&serde_json::Value> {
        self.record.request.as_ref()?.get(part).filter(|p| p.is_object())
    }

    /// The image as it was asked for; its id if that name means another one now.
    pub(crate) fn image_name(&self) -> String {
        match self.image {
            Some(image) if !image.references.contains(&self.record.spec.image) => image.id.to_string(),
            _ => {
                let asked = self.asked("Config").and_then(|c| c["Image"].as_str());
                asked.map_or_else(|| self.record.spec.image.familiar(), str::to_owned)
            }
        }
    }
}
