//! Pulling and pushing by hand.

use crate::engine::Engine;
use hull_model::{Image, Reference};
use hull_ports::{Error, Progress, PullOptions, Pulled, Pushed, Result};

impl Engine {
    /// Fetches an image and names it by its reference. The registries of `options` are filled in here.
    pub async fn pull_by_hand(
        &self,
        reference: &Reference,
        options: PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        let pulled = self.inner.drivers.images.pull_as(reference, &self.reaching(options), progress).await?;
        self.tell_transfer("pull", &pulled.image, reference);
        self.changed();
        Ok(pulled)
    }

    /// The references of every tag that a repository has at its registry.
    pub async fn tags_at_registry(
        &self,
        repository: &Reference,
        options: &PullOptions,
    ) -> Result<Vec<Reference>> {
        let options = self.reaching(options.clone());
        let tags = self.inner.drivers.images.tags(repository, &options).await?;
        let tagged = |tag| Reference { tag: Some(tag), digest: None, ..repository.clone() };
        Ok(tags.into_iter().map(tagged).collect())
    }

    /// Fetches one of the tags of a repository. Once all are here, [`Engine::pulled_repository`] says so.
    pub async fn pull_one_of_all(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        self.inner.drivers.images.pull_as(reference, &self.reaching(options.clone()), progress).await
    }

    /// All tags of a repository were fetched.
    pub fn pulled_repository(&self, repository: &Reference) {
        self.tell_repository("pull", repository);
        self.changed();
    }

    /// Sends an image to the registry of its reference.
    pub async fn push_by_hand(
        &self,
        reference: &Reference,
        options: PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let image = self.local_image(reference).await?;
        let pushed = self.inner.drivers.images.push(reference, &self.reaching(options), progress).await?;
        self.tell_transfer("push", &image, reference);
        Ok(pushed)
    }

    /// Sends one of the tags of a repository. Once all are there, [`Engine::pushed_repository`] says so.
    pub async fn push_one_of_all(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        self.inner.drivers.images.push(reference, &self.reaching(options.clone()), progress).await
    }

    /// All tags of a repository were sent.
    pub fn pushed_repository(&self, repository: &Reference) {
        self.tell_repository("push", repository);
    }

    /// The references here that belong to a repository and have a tag, in the order of their tags.
    pub async fn tags_here(&self, repository: &Reference) -> Result<Vec<Reference>> {
        let name = repository.familiar_name();
        let images = self.inner.drivers.images.list().await?;
        let mut found: Vec<Reference> = images
            .into_iter()
            .flat_map(|image| image.references)
            .filter(|r| r.tag.is_some() && r.digest.is_none() && r.familiar_name() == name)
            .collect();
        found.sort();
        match found.is_empty() {
            true => Err(not_here(repository)),
            false => Ok(found),
        }
    }

    async fn local_image(&self, reference: &Reference) -> Result<Image> {
        let found = self.inner.drivers.images.lookup(reference).await?;
        found.ok_or_else(|| not_here(reference))
    }
}

fn not_here(reference: &Reference) -> Error {
    let name = reference.familiar_name();
    Error::not_found(format!("An image does not exist locally with the tag: {name}"))
}
