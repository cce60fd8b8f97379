//! Volumes as Docker lists and inspects them.

use hull_model::VolumeRecord;
use serde::Serialize;
use std::collections::BTreeMap;

/// A volume.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volume {
    created_at: String,
    driver: &'static str,
    labels: Option<BTreeMap<String, String>>,
    mountpoint: String,
    name: String,
    options: Option<()>,
    scope: &'static str,
}

impl From<&VolumeRecord> for Volume {
    fn from(volume: &VolumeRecord) -> Self {
        let mut labels = volume.labels.clone();
        if volume.anonymous {
            labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
        }
        Self {
            // Docker writes whole seconds here.
            created_at: format!("{:.0}", volume.created),
            driver: "local",
            labels: Some(labels).filter(|l| !l.is_empty()),
            mountpoint: volume.path.display().to_string(),
            name: volume.name.to_string(),
            options: None,
            scope: "local",
        }
    }
}
