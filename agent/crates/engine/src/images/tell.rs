//! Events of images, with Docker's attributes.

use crate::engine::Engine;
use hull_model::{Image, Reference};
use std::collections::BTreeMap;

impl Engine {
    /// Something happened to an image, under its id. The image's labels go along.
    pub(crate) fn tell_image(&self, action: &str, image: &Image, name: &str) {
        self.tell_of(action, image, &image.id.to_string(), name);
    }

    /// Something happened under a reference: a transfer.
    pub(super) fn tell_transfer(&self, action: &str, image: &Image, reference: &Reference) {
        self.tell_of(action, image, &reference.familiar(), &reference.familiar_name());
    }

    /// The same for all tags of a repository at once.
    pub(super) fn tell_repository(&self, action: &str, repository: &Reference) {
        let name = repository.familiar_name();
        self.announce("image", action, &name, BTreeMap::from([("name".to_owned(), name.clone())]));
    }

    /// An image is gone: nothing but its id is known of it any more.
    pub(super) fn tell_deleted(&self, id: &str) {
        self.announce("image", "delete", id, BTreeMap::from([("name".to_owned(), id.to_owned())]));
    }

    fn tell_of(&self, action: &str, image: &Image, id: &str, name: &str) {
        let mut attributes = image.config.labels.clone();
        attributes.insert("name".to_owned(), name.to_owned());
        self.announce("image", action, id, attributes);
    }
}
