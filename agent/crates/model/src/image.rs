//! Images that are on this host.

use crate::{Digest, Reference};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The part of an image's configuration that decides how its containers run (OCI image specification, "Config").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// User the process runs as: `name`, `uid`, `user:group`.
    pub user: String,
    /// Ports that the image says it listens on, as `80/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// `KEY=VALUE` strings.
    pub env: Vec<String>,
    /// Program and fixed arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub cmd: Vec<String>,
    /// Directories that should be volumes.
    pub volumes: BTreeSet<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Signal that stops the container; empty means SIGTERM.
    pub stop_signal: String,
}

/// An image that is complete on this host: its configuration and every layer were verified and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of the image's configuration: the image id, as in Docker.
    pub id: Digest,
    /// Digest of the manifest it was pulled by.
    pub manifest: Digest,
    /// References that name it here.
    pub references: BTreeSet<Reference>,
    /// Digests of the uncompressed layers, lowest first.
    pub layers: Vec<Digest>,
    /// How to run it.
    pub config: ImageConfig,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// Bytes of all its layers as stored here.
    pub size: u64,
    /// When the image was built, as its author says, in RFC 3339; empty if it does not say.
    pub created: String,
}
