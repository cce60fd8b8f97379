//! An image from an archive of its files, and further names for images.

use super::find::parse_reference;
use crate::engine::Engine;
use hull_model::{Image, Reference};
use hull_ports::{ByteStream, Error, NewImage, Result};
use serde_json::{Value, json};

/// An image to be made from one archive.
pub struct Import {
    /// The files: plain, or compressed with gzip or zstd.
    pub archive: ByteStream,
    /// The configuration's `config` object (OCI image specification, "Image Configuration").
    pub config: Value,
    /// Why: it becomes the image's comment.
    pub message: String,
    /// Operating system, architecture and variant; the last may be empty.
    pub platform: [String; 3],
    /// What it will be called.
    pub reference: Option<Reference>,
}

impl Engine {
    /// Makes an image of one layer.
    pub async fn import_image(&self, import: Import) -> Result<Image> {
        let Import { archive, config, message, platform: [os, architecture, variant], reference } = import;
        let images = &self.inner.drivers.images;
        let layer = images.store_layer(archive).await?;
        let created = self.now().to_string();
        let mut document = json!({
            "architecture": architecture,
            "os": os,
            "created": created,
            "comment": message,
            "config": config,
            "history": [{ "created": created, "comment": message }],
        });
        if !variant.is_empty() {
            document["variant"] = variant.into();
        }
        let new = NewImage { config: document, layers: vec![layer.diff_id], parent: None };
        let image = images.add(&new).await?;
        if let Some(reference) = &reference {
            images.tag(&image.id, reference).await?;
            self.tell_image("tag", &image, &reference.familiar());
        }
        self.tell_image("import", &image, &image.id.to_string());
        self.changed();
        Ok(image)
    }

    /// Gives an image one more name. The name may have been another image's.
    pub async fn tag_image(&self, text: &str, reference: &Reference) -> Result<Image> {
        let image = self.find_image(text).await?;
        if reference.digest.is_some() {
            return Err(Error::permanent("refusing to create a tag with a digest reference"));
        }
        self.inner.drivers.images.tag(&image.id, reference).await?;
        self.tell_image("tag", &image, &reference.familiar());
        self.changed();
        Ok(image)
    }
}

/// The reference that a repository and a tag, as clients send them apart, make together. `None` without a repository.
pub fn repository_and_tag(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let reference = parse_reference(repository)?;
    if reference.digest.is_some() {
        return Err(Error::permanent("cannot import digest reference"));
    }
    if tag.is_empty() {
        return Ok(Some(reference));
    }
    let named = parse_reference(&format!("{}:{tag}", Reference { tag: None, ..reference }))?;
    Ok(Some(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_and_tag_come_apart_or_together() {
        let rows = [
            ("a", "", Some("a:latest")),
            ("a", "1", Some("a:1")),
            ("a:2", "", Some("a:2")),
            ("a:2", "3", Some("a:3")),
            ("r:5000/a/b", "x", Some("r:5000/a/b:x")),
            ("", "x", None),
        ];
        for (repository, tag, expected) in rows {
            let named = repository_and_tag(repository, tag).unwrap();
            assert_eq!(named.map(|r| r.familiar()).as_deref(), expected, "{repository} {tag}");
        }
        assert!(repository_and_tag("a", "b c").is_err());
        assert!(repository_and_tag(&format!("a@sha256:{}", "0".repeat(64)), "").is_err());
    }
}
