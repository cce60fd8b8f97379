//! Images that are on this host.

use crate::{Digest, Reference};
use jiff::Timestamp;
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
    /// How it is found out whether a container works.
    pub healthcheck: Option<crate::Healthcheck>,
    /// The shell of commands in shell form; `/bin/sh -c` if empty.
    pub shell: Vec<String>,
    /// Instructions for whoever builds on this image.
    pub on_build: Vec<String>,
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
    /// Operating system, `linux`.
    #[serde(default)]
    pub os: String,
    /// Variant of the architecture, `v8`; often empty.
    #[serde(default)]
    pub variant: String,
    /// Who made it.
    #[serde(default)]
    pub author: String,
    /// The message of the commit it was made by.
    #[serde(default)]
    pub comment: String,
    /// Repositories it was pulled from or pushed to, each with the digest of its manifest there: `name@sha256:…`.
    #[serde(default)]
    pub repo_digests: BTreeSet<String>,
    /// When a reference was last given to it here.
    #[serde(default)]
    pub tagged: Option<Timestamp>,
    /// The image it was made from on this host, by a commit or a build.
    #[serde(default)]
    pub parent: Option<Digest>,
}

/// One line of an image's history (OCI image specification, "History").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// When, in RFC 3339.
    pub created: String,
    /// The command that made it.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// It changed only the configuration.
    pub empty_layer: bool,
}
