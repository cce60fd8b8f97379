//! Removing every image that nothing needs.

use super::removal::Scene;
use crate::engine::Engine;
use hull_model::Image;
use hull_ports::{Error, ErrorClass, Removed, Result};
use std::collections::BTreeMap;

impl Engine {
    /// Removes images that no container uses: those without a name, or also those with one. `pick` says which of them.
    /// What another client begins to use meanwhile stays.
    pub async fn prune_images(
        &self,
        dangling_only: bool,
        pick: impl Fn(&Image) -> bool + Send,
    ) -> Result<Removed> {
        let _alone = self.inner.allocation.lock().await;
        let mut pruned = Removed::default();
        for image in self.unneeded(dangling_only).await?.into_iter().filter(pick) {
            for text in self.texts(&image) {
                match self.remove_image_alone(&text, false, true).await {
                    Ok(removed) => {
                        pruned.untagged.extend(removed.untagged);
                        pruned.deleted.extend(removed.deleted);
                        pruned.freed += removed.freed;
                    }
                    Err(error) if in_the_way(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), pruned.freed.to_string())]);
        self.announce("image", "prune", "", reclaimed);
        self.changed();
        Ok(pruned)
    }

    async fn unneeded(&self, dangling_only: bool) -> Result<Vec<Image>> {
        let images = self.inner.drivers.images.list().await?;
        let containers = self.containers().await?;
        let free = |image: &&Image| {
            let scene = Scene::new(image, &images, &containers);
            let used = scene.running.is_some() || scene.stopped.is_some();
            let named = !scene.names().is_empty();
            !used && !(dangling_only && (named || scene.has_children))
        };
        Ok(images.iter().filter(free).cloned().collect())
    }

    /// Each name for itself: an image of several repositories is removed by none of them alone.
    fn texts(&self, image: &Image) -> Vec<String> {
        let scene = Scene { image, has_children: false, running: None, stopped: None };
        let names: Vec<String> = scene.names().iter().map(hull_model::Reference::familiar).collect();
        if names.is_empty() { vec![image.id.to_string()] } else { names }
    }
}

/// Somebody needs it after all, or it went with another name.
fn in_the_way(error: &Error) -> bool {
    matches!(error.class, ErrorClass::Conflict | ErrorClass::NotFound)
}
