//! Images as Docker lists and inspects them.

use super::inspect::GraphDriver;
use hull_model::{Image, ImageConfig};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An image in the list. Counts that are not computed are -1, as Docker says it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageSummary {
    containers: i64,
    created: i64,
    id: String,
    labels: Option<BTreeMap<String, String>>,
    parent_id: String,
    repo_digests: Vec<String>,
    repo_tags: Vec<String>,
    shared_size: i64,
    size: u64,
}

impl ImageSummary {
    pub(crate) fn new(image: &Image) -> Self {
        Self {
            containers: -1,
            created: image.created.parse::<Timestamp>().map_or(0, Timestamp::as_second),
            id: image.id.to_string(),
            labels: Some(image.config.labels.clone()).filter(|l| !l.is_empty()),
            parent_id: String::new(),
            repo_digests: repo_digests(image),
            repo_tags: repo_tags(image),
            shared_size: -1,
            size: image.size,
        }
    }
}

/// Names with a tag.
pub(crate) fn repo_tags(image: &Image) -> Vec<String> {
    let tagged = image.references.iter().filter(|r| r.tag.is_some());
    tagged.map(|r| hull_model::Reference { digest: None, ..r.clone() }.familiar()).collect()
}

/// Names with the digest of the manifest.
pub(crate) fn repo_digests(image: &Image) -> Vec<String> {
    let names: BTreeSet<String> = image.references.iter().map(hull_model::Reference::familiar_name).collect();
    names.into_iter().map(|name| format!("{name}@{}", image.manifest)).collect()
}

/// Everything about an image, in Docker's order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageInspect {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: String,
    comment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    created: String,
    docker_version: String,
    author: String,
    config: Config,
    architecture: String,
    os: &'static str,
    size: u64,
    graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: &'static str,
    layers: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Value>,
    env: Vec<String>,
    cmd: Option<Vec<String>>,
    volumes: Option<BTreeMap<String, Value>>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
}

impl From<&ImageConfig> for Config {
    fn from(config: &ImageConfig) -> Self {
        let list = |l: &Vec<String>| (!l.is_empty()).then(|| l.clone());
        let set = |keys: &BTreeSet<String>| keys.iter().map(|k| (k.clone(), json!({}))).collect();
        Self {
            user: config.user.clone(),
            exposed_ports: set(&config.exposed_ports),
            env: config.env.clone(),
            cmd: list(&config.cmd),
            volumes: (!config.volumes.is_empty()).then(|| set(&config.volumes)),
            working_dir: config.working_dir.clone(),
            entrypoint: list(&config.entrypoint),
            on_build: None,
            labels: Some(config.labels.clone()).filter(|l| !l.is_empty()),
            stop_signal: config.stop_signal.clone(),
        }
    }
}

impl ImageInspect {
    pub(crate) fn new(image: &Image) -> Self {
        Self {
            id: image.id.to_string(),
            repo_tags: repo_tags(image),
            repo_digests: repo_digests(image),
            parent: String::new(),
            comment: String::new(),
            created: image.created.clone(),
            docker_version: String::new(),
            author: String::new(),
            config: Config::from(&image.config),
            architecture: image.architecture.clone(),
            os: "linux",
            size: image.size,
            graph_driver: GraphDriver { data: None, name: "overlayfs" },
            root_fs: RootFs {
                r#type: "layers",
                layers: image.layers.iter().map(ToString::to_string).collect(),
            },
            metadata: BTreeMap::from([("LastTagTime", super::NEVER)]),
        }
    }
}
