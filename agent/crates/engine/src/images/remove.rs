//! Removing images by hand.

use super::removal::{Removal, Scene, decide};
use crate::engine::Engine;
use hull_model::{Digest, Image};
use hull_ports::{ErrorClass, Removed, Result};

impl Engine {
    /// Takes a name from an image, or all of them; one that nothing needs any more goes. With `parents`, images it was made
    /// from go too if nothing else needs them. `Conflict` in Docker's words if somebody does.
    pub async fn remove_image(&self, text: &str, force: bool, parents: bool) -> Result<Removed> {
        // No container is made from an image while it is removed.
        let _alone = self.inner.allocation.lock().await;
        let removed = self.remove_image_alone(text, force, parents).await;
        self.changed();
        removed
    }

    /// The same, for whoever holds the lock already.
    pub(super) async fn remove_image_alone(&self, text: &str, force: bool, parents: bool) -> Result<Removed> {
        let image = self.find_image(text).await?;
        let images = self.inner.drivers.images.list().await?;
        let containers = self.containers().await?;
        let removal = decide(&Scene::new(&image, &images, &containers), text, force)?;
        let mut removed = self.carry_out(&image, &removal).await?;
        if parents && !removed.deleted.is_empty() {
            self.remove_parents(image.parent, &mut removed).await?;
        }
        Ok(removed)
    }

    async fn carry_out(&self, image: &Image, removal: &Removal) -> Result<Removed> {
        let images = &self.inner.drivers.images;
        let mut removed = Removed::default();
        for reference in &removal.untag {
            images.untag(reference).await?;
            removed.untagged.push(reference.familiar());
            self.tell_image("untag", image, &image.id.to_string());
        }
        if !removal.delete {
            return Ok(removed);
        }
        match images.remove(&image.id).await {
            Ok(gone) => {
                removed.deleted = gone.deleted;
                removed.freed = gone.freed;
                self.tell_deleted(&image.id.to_string());
                Ok(removed)
            }
            // Its names are gone; the image goes with whatever uses it.
            Err(error) if error.class == ErrorClass::Conflict && !removed.untagged.is_empty() => Ok(removed),
            Err(error) => Err(error),
        }
    }

    /// An image that only was there for another one goes after it.
    async fn remove_parents(&self, mut next: Option<Digest>, removed: &mut Removed) -> Result<()> {
        while let Some(id) = next.take() {
            let Some(parent) = self.inner.drivers.images.image(&id).await? else { break };
            let images = self.inner.drivers.images.list().await?;
            let containers = self.containers().await?;
            let scene = Scene::new(&parent, &images, &containers);
            if !scene.names().is_empty() {
                break;
            }
            let Ok(removal) = decide(&scene, &id.to_string(), false) else { break };
            let more = self.carry_out(&parent, &removal).await?;
            removed.deleted.extend(more.deleted);
            removed.freed += more.freed;
            next = parent.parent;
        }
        Ok(())
    }
}
