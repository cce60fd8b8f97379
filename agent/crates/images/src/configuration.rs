//! Image configurations (OCI image specification, "Image Configuration", and what Docker adds to it). Pure.

use crate::manifest::InvalidManifest;
use crate::platform::Platform;
use hull_model::{Digest, Healthcheck, HistoryEntry, ImageConfig};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What an image's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) platform: Platform,
    pub(crate) created: String,
    pub(crate) author: String,
    pub(crate) comment: String,
    /// Digests of the uncompressed layers, lowest first.
    pub(crate) diff_ids: Vec<Digest>,
    /// Lowest first. Not every image has one, and nothing makes it agree with the layers.
    pub(crate) history: Vec<HistoryEntry>,
    pub(crate) run: ImageConfig,
}

#[derive(Deserialize)]
struct RawConfiguration {
    architecture: String,
    os: String,
    variant: Option<String>,
    created: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    rootfs: RawRootfs,
    config: Option<RawRun>,
    history: Option<Vec<RawHistory>>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Option<Vec<Digest>>,
}

/// Every field may be missing or null.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawRun {
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
    stop_signal: Option<String>,
    healthcheck: Option<RawHealthcheck>,
    shell: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawHealthcheck {
    test: Option<Vec<String>>,
    interval: Option<i64>,
    timeout: Option<i64>,
    start_period: Option<i64>,
    start_interval: Option<i64>,
    retries: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawHistory {
    created: Option<String>,
    created_by: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    empty_layer: Option<bool>,
}

/// Reads an image's configuration.
pub(crate) fn parse(bytes: &[u8]) -> Result<Configuration, InvalidManifest> {
    let what = "configuration";
    let raw: RawConfiguration = serde_json::from_slice(bytes)
        .map_err(|error| InvalidManifest::Json { what, reason: error.to_string() })?;
    if raw.rootfs.kind != "layers" {
        return Err(InvalidManifest::Json { what, reason: "rootfs.type is not \"layers\"".into() });
    }
    Ok(Configuration {
        platform: Platform {
            os: raw.os,
            architecture: raw.architecture,
            variant: raw.variant.unwrap_or_default(),
        },
        created: raw.created.unwrap_or_default(),
        author: raw.author.unwrap_or_default(),
        comment: raw.comment.unwrap_or_default(),
        diff_ids: raw.rootfs.diff_ids.unwrap_or_default(),
        history: raw.history.unwrap_or_default().into_iter().map(history).collect(),
        run: run(raw.config.unwrap_or_default()),
    })
}

/// Reads an image's configuration and checks it against the number of layers in the manifest.
pub(crate) fn parse_for(bytes: &[u8], layers: usize) -> Result<Configuration, InvalidManifest> {
    let configuration = parse(bytes)?;
    match configuration.diff_ids.len() {
        count if count == layers => Ok(configuration),
        count => Err(InvalidManifest::LayerCount { manifest: layers, config: count }),
    }
}

fn run(raw: RawRun) -> ImageConfig {
    let keys = |map: Option<BTreeMap<String, serde_json::Value>>| -> BTreeSet<String> {
        map.unwrap_or_default().into_keys().collect()
    };
    let labels = raw.labels.unwrap_or_default().into_iter();
    ImageConfig {
        user: raw.user.unwrap_or_default(),
        exposed_ports: keys(raw.exposed_ports),
        env: raw.env.unwrap_or_default(),
        entrypoint: raw.entrypoint.unwrap_or_default(),
        cmd: raw.cmd.unwrap_or_default(),
        volumes: keys(raw.volumes),
        working_dir: raw.working_dir.unwrap_or_default(),
        labels: labels.map(|(k, v)| (k, v.unwrap_or_default())).collect(),
        stop_signal: raw.stop_signal.unwrap_or_default(),
        healthcheck: raw.healthcheck.map(healthcheck),
        shell: raw.shell.unwrap_or_default(),
        on_build: raw.on_build.unwrap_or_default(),
    }
}

fn healthcheck(raw: RawHealthcheck) -> Healthcheck {
    Healthcheck {
        test: raw.test.unwrap_or_default(),
        interval: raw.interval.unwrap_or_default(),
        timeout: raw.timeout.unwrap_or_default(),
        start_period: raw.start_period.unwrap_or_default(),
        start_interval: raw.start_interval.unwrap_or_default(),
        retries: raw.retries.unwrap_or_default(),
    }
}

fn history(raw: RawHistory) -> HistoryEntry {
    HistoryEntry {
        created: raw.created.unwrap_or_default(),
        created_by: raw.created_by.unwrap_or_default(),
        author: raw.author.unwrap_or_default(),
        comment: raw.comment.unwrap_or_default(),
        empty_layer: raw.empty_layer.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_may_leave_out_or_null_nearly_everything() {
        let id = format!("sha256:{}", "a".repeat(64));
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{id}"]}},
            "config":{{"Cmd":["sh"],"Entrypoint":null,"ExposedPorts":{{"80/tcp":{{}}}},"Volumes":null,"Labels":{{"a":"b"}}}}}}"#
        );
        let config = parse_for(text.as_bytes(), 1).unwrap();
        assert_eq!(config.run.cmd, ["sh"]);
        assert!(config.run.entrypoint.is_empty());
        assert!(config.run.exposed_ports.contains("80/tcp"));
        assert_eq!(
            parse_for(text.as_bytes(), 2),
            Err(InvalidManifest::LayerCount { manifest: 2, config: 1 })
        );
        let empty = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
        assert!(parse_for(empty.as_bytes(), 0).is_ok());
        assert!(parse_for(b"{}", 0).is_err());
    }

    #[test]
    fn what_docker_adds_is_read() {
        let text = r#"{"architecture":"arm64","os":"linux","variant":"v8","author":"A","comment":"why",
            "rootfs":{"type":"layers","diff_ids":null},
            "config":{"Healthcheck":{"Test":["CMD","true"],"Interval":1000,"Retries":2},"Shell":["bash","-c"],
                "OnBuild":["RUN x"]},
            "history":[{"created_by":"ADD x","comment":"c"},{"created_by":"ENV a=b","empty_layer":true}]}"#;
        let config = parse(text.as_bytes()).unwrap();
        let health = config.run.healthcheck.unwrap();
        assert_eq!((health.test.join(" ").as_str(), health.interval, health.retries), ("CMD true", 1000, 2));
        assert_eq!((config.run.shell.len(), config.run.on_build.len()), (2, 1));
        assert_eq!((config.author.as_str(), config.comment.as_str()), ("A", "why"));
        assert_eq!(config.platform.variant, "v8");
        assert_eq!(config.history.iter().map(|h| h.empty_layer).collect::<Vec<_>>(), [false, true]);
    }
}
