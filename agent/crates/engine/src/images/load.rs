//! Archives of images, in and out.

use super::find::begins_id;
use crate::engine::Engine;
use hull_model::{Digest, Image, Reference};
use hull_ports::{ByteStream, LoadEvent, Result};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

impl Engine {
    /// Reads an archive of images. What happens is told while it happens.
    pub async fn load_images(
        &self,
        archive: ByteStream,
        platform: Option<&str>,
        told: &(dyn Fn(LoadEvent) + Send + Sync),
    ) -> Result<()> {
        let named = Mutex::new((BTreeSet::<Reference>::new(), BTreeSet::<Digest>::new()));
        let listen = |event: LoadEvent| {
            let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
            match &event {
                LoadEvent::Tagged(reference) => _ = named.0.insert(reference.clone()),
                LoadEvent::Untagged(id) => _ = named.1.insert(id.clone()),
                LoadEvent::Layer { .. } | LoadEvent::Moved { .. } => {}
            }
            drop(named);
            told(event);
        };
        let images = &self.inner.drivers.images;
        let loaded = images.load(archive, platform, &listen).await;
        // What was loaded before an error stays, so it is told of as well.
        let (references, mut ids) = named.into_inner().unwrap_or_else(PoisonError::into_inner);
        for reference in references {
            ids.extend(images.lookup(&reference).await?.map(|image| image.id));
        }
        for id in ids {
            if let Some(image) = images.image(&id).await? {
                self.tell_image("load", &image, &image.id.to_string());
            }
        }
        self.changed();
        loaded
    }

    /// Writes the images that were asked for as one archive: each by one name, all names of a repository, or none.
    pub async fn save_images(&self, asked: &[String]) -> Result<ByteStream> {
        let mut chosen: Vec<(Image, Vec<Reference>)> = Vec::new();
        for text in asked {
            for (image, references) in self.to_be_saved(text).await? {
                match chosen.iter_mut().find(|(known, _)| known.id == image.id) {
                    Some((_, names)) => names.extend(references),
                    None => chosen.push((image, references)),
                }
            }
        }
        for (_, names) in &mut chosen {
            names.sort();
            names.dedup();
        }
        let list: Vec<_> = chosen.iter().map(|(image, names)| (image.id.clone(), names.clone())).collect();
        let stream = self.inner.drivers.images.save(&list).await?;
        for (image, _) in &chosen {
            self.tell_image("save", image, &image.id.to_string());
        }
        Ok(stream)
    }

    /// A name without a tag stands for every tag of the repository that is here.
    async fn to_be_saved(&self, text: &str) -> Result<Vec<(Image, Vec<Reference>)>> {
        let missing = |error: hull_ports::Error| match error.class {
            hull_ports::ErrorClass::NotFound => {
                hull_ports::Error::not_found(format!("No such image: {text}"))
            }
            _ => error,
        };
        let reference = Reference::parse(text).ok().filter(|r| r.digest.is_none());
        let tagless = !text.rsplit('/').next().unwrap_or_default().contains(':');
        if let Some(repository) = reference.as_ref().filter(|_| tagless) {
            let name = repository.familiar_name();
            let of_it = |r: &&Reference| r.tag.is_some() && r.digest.is_none() && r.familiar_name() == name;
            let all = self.inner.drivers.images.list().await?;
            let found: Vec<_> = all
                .into_iter()
                .map(|image| (image.references.iter().filter(of_it).cloned().collect::<Vec<_>>(), image))
                .filter(|(names, _)| !names.is_empty())
                .map(|(names, image)| (image, names))
                .collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let image = self.find_image(text).await.map_err(missing)?;
        let names = reference.filter(|r| !begins_id(&image.id, text) && image.references.contains(r));
        Ok(vec![(image, names.into_iter().collect())])
    }
}
