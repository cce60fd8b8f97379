//! Making an image from a container.

use crate::engine::Engine;
use hull_model::{ContainerId, ContainerState, Image, Reference};
use hull_ports::{Error, NewImage, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a person wants an image made of a container to say.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Its name.
    pub reference: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Why.
    pub comment: String,
    /// Freeze the container meanwhile.
    pub pause: bool,
    /// How its containers run: the `config` object of the image configuration.
    pub config: Value,
    /// The command that made it, for its history.
    pub created_by: String,
}

impl Engine {
    /// Makes an image of what a container changed on top of its image.
    pub async fn commit(&self, id: &ContainerId, commit: &Commit) -> Result<Image> {
        let record = self.container(id).await?;
        let running = matches!(record.state, ContainerState::Running { paused: false, .. });
        let frozen = running && commit.pause;
        if frozen {
            self.inner.drivers.runtime.pause(id).await?;
        }
        let layer = self.layer_of(&record).await;
        if frozen {
            self.inner.drivers.runtime.resume(id).await?;
        }
        let (layer, parent) = layer?;
        let images = &self.inner.drivers.images;
        let base: Value = serde_json::from_slice(&images.config(&record.image).await?).map_err(|e| {
            Error::permanent(format!("reading the configuration of image {}", record.image)).because(e)
        })?;
        let config = configuration(base, commit, &self.now().to_string());
        let layers = parent.layers.iter().cloned().chain([layer]).collect();
        let image = images.add(&NewImage { config, layers, parent: Some(parent.id) }).await?;
        self.tell_image("create", &image, &image.id.to_string());
        if let Some(reference) = &commit.reference {
            images.tag(&image.id, reference).await?;
            self.tell_image("tag", &image, &reference.familiar());
        }
        let mut attributes = BTreeMap::from([
            ("comment".to_owned(), commit.comment.clone()),
            ("imageID".to_owned(), image.id.to_string()),
        ]);
        attributes.extend(commit.reference.as_ref().map(|r| ("imageRef".to_owned(), r.familiar())));
        self.publish("container", "commit", &record, attributes);
        Ok(image)
    }

    async fn layer_of(&self, record: &hull_model::ContainerRecord) -> Result<(hull_model::Digest, Image)> {
        let drivers = &self.inner.drivers;
        let gone = || Error::not_found(format!("No such image: {}", record.image));
        let parent = drivers.images.image(&record.image).await?.ok_or_else(gone)?;
        let rootfs = drivers.images.prepare(&record.id, &record.image).await?;
        let archive = drivers.archives.layer(&rootfs).await?;
        Ok((drivers.images.store_layer(archive).await?.diff_id, parent))
    }
}

/// The new image's configuration: the old one's platform and history, the new one's settings, one more line of history.
fn configuration(base: Value, commit: &Commit, now: &str) -> Value {
    let mut config = match base {
        Value::Object(config) => config,
        _ => serde_json::Map::new(),
    };
    config.remove("rootfs");
    config.insert("config".to_owned(), commit.config.clone());
    config.insert("created".to_owned(), json!(now));
    let mut entry = json!({ "created": now, "created_by": commit.created_by });
    for (key, text) in [("author", &commit.author), ("comment", &commit.comment)] {
        if !text.is_empty() {
            entry[key] = json!(text);
        }
    }
    config.insert("author".to_owned(), json!(commit.author));
    config.insert("comment".to_owned(), json!(commit.comment));
    match config.get_mut("history") {
        Some(Value::Array(history)) => history.push(entry),
        _ => _ = config.insert("history".to_owned(), json!([entry])),
    }
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_replaced_and_history_grows() {
        let base = json!({
            "architecture": "amd64", "os": "linux", "author": "someone", "rootfs": { "type": "layers" },
            "config": { "Cmd": ["old"] }, "history": [{ "created_by": "first" }],
        });
        let commit = Commit {
            comment: "why".into(),
            config: json!({ "Cmd": ["new"] }),
            created_by: "sh".into(),
            ..Commit::default()
        };
        let config = configuration(base, &commit, "1970-01-01T00:00:00Z");
        assert_eq!(config["config"], json!({ "Cmd": ["new"] }));
        assert_eq!(config["history"].as_array().unwrap().len(), 2);
        assert_eq!(config["history"][1]["comment"], "why");
        assert_eq!((&config["architecture"], config.get("rootfs")), (&json!("amd64"), None));
    }
}
