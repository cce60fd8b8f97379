//! Images as Docker lists and inspects them.

use super::NEVER;
use crate::version::Spoken;
use hull_model::{Image, ImageConfig, Reference};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Second in which Go's zero time was.
const NEVER_SECOND: i64 = -62_135_596_800;

/// When an image was built, in seconds; Go's zero time if its author does not say.
pub(crate) fn created(text: &str) -> i64 {
    text.parse::<Timestamp>().map_or(NEVER_SECOND, Timestamp::as_second)
}

/// Names with a tag.
pub(crate) fn repo_tags(image: &Image) -> Vec<String> {
    let tagged = image.references.iter().filter(|r| r.tag.is_some());
    tagged.map(|r| Reference { digest: None, ..r.clone() }.familiar()).collect()
}

/// Names with the digest of a manifest.
pub(crate) fn repo_digests(image: &Image) -> Vec<String> {
    let pulled = image.references.iter().filter(|r| r.digest.is_some()).cloned();
    let known = image.repo_digests.iter().filter_map(|text| Reference::parse(text).ok());
    let names: BTreeSet<String> =
        pulled.chain(known).map(|r| Reference { tag: None, ..r }.familiar()).collect();
    names.into_iter().collect()
}

/// An image in the list. Counts that were not asked for are -1, as Docker says it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageSummary {
    pub(crate) containers: i64,
    pub(crate) created: i64,
    pub(crate) id: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) parent_id: String,
    pub(crate) repo_digests: Option<Vec<String>>,
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) shared_size: i64,
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_size: Option<u64>,
}

impl ImageSummary {
    /// As a client of this version reads it.
    pub(crate) fn new(image: &Image, version: Spoken) -> Self {
        let mut summary = Self {
            containers: -1,
            created: created(&image.created),
            id: image.id.to_string(),
            labels: Some(image.config.labels.clone()).filter(|l| !l.is_empty()),
            parent_id: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            repo_digests: Some(repo_digests(image)),
            repo_tags: Some(repo_tags(image)),
            shared_size: -1,
            size: image.size,
            virtual_size: (version < Spoken(1, 44)).then_some(image.size),
        };
        summary.name_for(version);
        summary
    }

    /// Old clients want a name for what has none.
    pub(crate) fn name_for(&mut self, version: Spoken) {
        let none = |names: &Option<Vec<String>>| names.as_ref().is_none_or(Vec::is_empty);
        if version < Spoken(1, 43) && none(&self.repo_tags) && none(&self.repo_digests) {
            self.repo_tags = Some(vec!["<none>:<none>".to_owned()]);
            self.repo_digests = Some(vec!["<none>@<none>".to_owned()]);
        }
    }

    /// The same where Docker leaves out empty lists.
    #[must_use]
    pub(crate) fn without_empty_lists(mut self) -> Self {
        self.repo_digests = self.repo_digests.filter(|list| !list.is_empty());
        self.repo_tags = self.repo_tags.filter(|list| !list.is_empty());
        self
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    container_config: Option<Value>,
    docker_version: String,
    author: String,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    graph_driver: Value,
    #[serde(rename = "RootFS")]
    root_fs: Value,
    metadata: Value,
    config: Value,
}

impl ImageInspect {
    /// As a client of this version reads it. `docker_version` is who built it, if its configuration says.
    pub(crate) fn new(image: &Image, docker_version: &str, version: Spoken) -> Self {
        let tagged = image.tagged.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
        Self {
            id: image.id.to_string(),
            repo_tags: repo_tags(image),
            repo_digests: repo_digests(image),
            parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            comment: image.comment.clone(),
            created: image.created.clone(),
            container_config: (version < Spoken(1, 45)).then(|| config(&ImageConfig::default(), version)),
            docker_version: docker_version.to_owned(),
            author: image.author.clone(),
            architecture: image.architecture.clone(),
            variant: image.variant.clone(),
            os: os(image).to_owned(),
            size: image.size,
            virtual_size: (version < Spoken(1, 44)).then_some(image.size),
            graph_driver: json!({ "Data": null, "Name": super::STORAGE }),
            root_fs: json!({ "Type": "layers", "Layers": image.layers }),
            metadata: json!({ "LastTagTime": tagged }),
            config: config(&image.config, version),
        }
    }
}

/// Images of before operating systems were written down are Linux's.
pub(crate) fn os(image: &Image) -> &str {
    if image.os.is_empty() { "linux" } else { &image.os }
}

/// An image's configuration; old clients also read what only containers have.
pub(crate) fn config(config: &ImageConfig, version: Spoken) -> Value {
    let list = |l: &Vec<String>| (!l.is_empty()).then(|| l.clone());
    let set = |keys: &BTreeSet<String>| -> Option<BTreeMap<String, Value>> {
        (!keys.is_empty()).then(|| keys.iter().map(|k| (k.clone(), json!({}))).collect())
    };
    let mut value = json!({
        "Cmd": list(&config.cmd),
        "Entrypoint": list(&config.entrypoint),
        "Env": list(&config.env),
        "Labels": Some(&config.labels).filter(|l| !l.is_empty()),
        "OnBuild": list(&config.on_build),
        "User": config.user,
        "Volumes": set(&config.volumes),
        "WorkingDir": config.working_dir,
    });
    let further = [
        ("ExposedPorts", set(&config.exposed_ports).map(|ports| json!(ports))),
        ("StopSignal", Some(json!(config.stop_signal)).filter(|_| !config.stop_signal.is_empty())),
        ("Shell", list(&config.shell).map(|shell| json!(shell))),
        ("Healthcheck", config.healthcheck.as_ref().map(healthcheck)),
    ];
    for (key, further) in further {
        if let Some(further) = further {
            value[key] = further;
        }
    }
    if version < Spoken(1, 50) {
        for key in ["Hostname", "Domainname", "Image"] {
            value[key] = json!("");
        }
        for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
            value[key] = json!(false);
        }
    }
    value
}

/// A check, without what is left at its default.
fn healthcheck(check: &hull_model::Healthcheck) -> Value {
    let numbers = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    ];
    let mut value = json!({ "Test": check.test });
    for (key, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
        value[key] = json!(number);
    }
    value
}
