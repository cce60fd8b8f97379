//! An image store and a registry in memory. An archive of images is the list of their names, one a line.

use crate::stock::{digest, image, unknown};
use crate::world::World;
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hull_model::{ContainerId, Digest, HistoryEntry, Image, ImageConfig, Reference, Registry};
use hull_ports::{
    ByteStream, Bytes, CheckReport, Clock as _, Credentials, Descriptor, Distribution, Error, ImageUsage,
    Images, LayerStatus, LoadEvent, Login, NewImage, Progress, PullOptions, Pulled, Pushed, Removed, Result,
    Rootfs, SearchHit, StoredLayer, Usage,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The one who may log in, with this password.
const PERSON: (&str, &str) = ("joe", "secret");

#[async_trait]
impl Images for World {
    async fn list(&self) -> Result<Vec<Image>> {
        Ok(self.lock().images.clone())
    }

    async fn pull(
        &self,
        reference: &Reference,
        _registries: &BTreeMap<String, Registry>,
        progress: &dyn Progress,
    ) -> Result<Image> {
        drop(self.call("pull", reference)?);
        let image = self.published(reference)?;
        progress.bytes(1, Some(1));
        self.keep(&image);
        Ok(image)
    }

    async fn image(&self, id: &Digest) -> Result<Option<Image>> {
        Ok(self.lock().images.iter().find(|i| i.id == *id).cloned())
    }

    async fn lookup(&self, reference: &Reference) -> Result<Option<Image>> {
        let by_digest = Reference { tag: None, ..reference.clone() }.to_string();
        let named = |image: &&Image| {
            image.references.contains(reference)
                || (reference.digest.is_some() && image.repo_digests.contains(&by_digest))
        };
        Ok(self.lock().images.iter().find(named).cloned())
    }

    async fn config(&self, id: &Digest) -> Result<Vec<u8>> {
        let Some(image) = self.image(id).await? else { return Err(unknown()) };
        let known = self.lock().documents.get(id).cloned();
        let document = known.unwrap_or_else(
            || json!({ "architecture": image.architecture, "os": image.os, "docker_version": "1.2" }),
        );
        Ok(document.to_string().into_bytes())
    }

    async fn history(&self, id: &Digest) -> Result<Vec<(HistoryEntry, u64)>> {
        let document: Value = serde_json::from_slice(&self.config(id).await?).unwrap_or_default();
        let entries = document["history"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![json!({ "created_by": "/bin/make" })]);
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let line = |entry: &Value| HistoryEntry {
            created: text(entry, "created"),
            created_by: text(entry, "created_by"),
            author: text(entry, "author"),
            comment: text(entry, "comment"),
            empty_layer: false,
        };
        Ok(entries.iter().map(|entry| (line(entry), 1)).collect())
    }

    async fn pull_as(
        &self,
        reference: &Reference,
        _options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        drop(self.call("pull", reference)?);
        let mut image = self.published(reference)?;
        let layer = image.id.short().to_owned();
        let changed = self.lookup(reference).await?.is_none();
        let steps = match changed {
            false => vec![LayerStatus::Exists],
            true => vec![
                LayerStatus::Pulling,
                LayerStatus::Downloading { done: 1, total: 1 },
                LayerStatus::Verifying,
                LayerStatus::Downloaded,
                LayerStatus::Extracting { done: 1, total: 1 },
                LayerStatus::Pulled,
            ],
        };
        steps.into_iter().for_each(|step| progress.layer(&layer, step));
        let named = Reference { tag: None, digest: Some(image.manifest.clone()), ..reference.clone() };
        image.repo_digests.insert(named.to_string());
        self.keep(&image);
        Ok(Pulled { digest: image.manifest.clone(), image, changed })
    }

    async fn tags(&self, repository: &Reference, _options: &PullOptions) -> Result<Vec<String>> {
        let of_it = |r: &&Reference| r.familiar_name() == repository.familiar_name();
        Ok(self.lock().registry.iter().filter(of_it).filter_map(|r| r.tag.clone()).collect())
    }

    async fn push(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let Some(image) = self.lookup(reference).await? else { return Err(unknown()) };
        let layer = image.id.short().to_owned();
        progress.layer(&layer, LayerStatus::Preparing);
        if options.credentials.as_ref().is_some_and(|c| c.password != PERSON.1) {
            return Err(Error::permanent("unauthorized: authentication required"));
        }
        let there = !self.call("push", reference)?.registry.insert(reference.clone());
        progress.layer(&layer, if there { LayerStatus::Exists } else { LayerStatus::Pushed });
        Ok(Pushed { digest: image.manifest, size: 528 })
    }

    async fn distribution(&self, reference: &Reference, _options: &PullOptions) -> Result<Distribution> {
        let image = self.published(reference).map_err(|_| unknown())?;
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        Ok(Distribution {
            descriptor: Descriptor { media_type, digest: image.manifest.to_string(), size: 528 },
            platforms: vec![json!({ "architecture": "amd64", "os": "linux" })],
        })
    }

    async fn login(&self, credentials: &Credentials, _options: &PullOptions) -> Result<Login> {
        match (credentials.username.as_str(), credentials.password.as_str()) == PERSON {
            true => Ok(Login::default()),
            false => Err(Error::permanent("login attempt failed with status: 401 Unauthorized")),
        }
    }

    async fn search(&self, term: &str, limit: u32, _options: &PullOptions) -> Result<Vec<SearchHit>> {
        let state = self.lock();
        let found = state.registry.iter().filter(|r| r.repository.contains(term));
        let hit = |(stars, r): (usize, &Reference)| SearchHit {
            name: r.familiar_name(),
            is_official: r.repository.starts_with("library/"),
            star_count: i64::try_from(stars).unwrap_or(i64::MAX),
            ..SearchHit::default()
        };
        Ok(found.take(usize::try_from(limit).unwrap_or(usize::MAX)).enumerate().map(hit).collect())
    }

    async fn tag(&self, image: &Digest, reference: &Reference) -> Result<()> {
        let now = self.clock.now();
        let mut state = self.call("tag", reference)?;
        for known in &mut state.images {
            known.references.remove(reference);
        }
        let Some(image) = state.images.iter_mut().find(|i| i.id == *image) else { return Err(unknown()) };
        image.references.insert(reference.clone());
        image.tagged = Some(now);
        Ok(())
    }

    async fn untag(&self, reference: &Reference) -> Result<()> {
        let text = reference.to_string();
        for image in &mut self.call("untag", reference)?.images {
            image.references.remove(reference);
            image.repo_digests.remove(&text);
        }
        Ok(())
    }

    async fn remove(&self, image: &Digest) -> Result<Removed> {
        self.call("remove-image", image)?.images.retain(|i| i.id != *image);
        Ok(Removed { deleted: vec![image.clone()], freed: 1, ..Removed::default() })
    }

    async fn store_layer(&self, archive: ByteStream) -> Result<StoredLayer> {
        let pieces: Vec<Bytes> =
            archive.try_collect().await.map_err(|e| Error::retryable("reading an archive").because(e))?;
        let bytes = pieces.concat();
        match bytes.starts_with(b"nonsense") {
            true => Err(Error::permanent("unexpected EOF")),
            false => Ok(StoredLayer { diff_id: digest(&bytes), size: bytes.len() as u64 }),
        }
    }

    async fn add(&self, new: &NewImage) -> Result<Image> {
        let text = new.config.to_string() + &format!("{:?}", new.layers);
        let say = |key: &str| new.config[key].as_str().unwrap_or_default().to_owned();
        let config = &new.config["config"];
        let strings = |key: &str| -> Vec<String> {
            let list = config[key].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        let labels = config["Labels"].as_object().cloned().unwrap_or_default();
        let image = Image {
            id: digest(text.as_bytes()),
            references: BTreeSet::new(),
            layers: new.layers.clone(),
            config: ImageConfig {
                cmd: strings("Cmd"),
                env: strings("Env"),
                labels: labels
                    .into_iter()
                    .map(|(k, v)| (k, v.as_str().unwrap_or_default().to_owned()))
                    .collect(),
                ..ImageConfig::default()
            },
            created: say("created"),
            author: say("author"),
            comment: say("comment"),
            architecture: say("architecture"),
            parent: new.parent.clone(),
            ..image(&crate::reference("made"))
        };
        self.call("add", &image.id)?.documents.insert(image.id.clone(), new.config.clone());
        self.keep(&image);
        Ok(image)
    }

    async fn save(&self, images: &[(Digest, Vec<Reference>)]) -> Result<ByteStream> {
        let line = |(id, names): &(Digest, Vec<Reference>)| {
            let names: Vec<String> = names.iter().map(Reference::familiar).collect();
            Ok(Bytes::from(format!("{id} {}\n", names.join(" "))))
        };
        Ok(stream::iter(images.iter().map(line).collect::<Vec<_>>()).boxed())
    }

    async fn load(
        &self,
        archive: ByteStream,
        _platform: Option<&str>,
        told: &(dyn Fn(LoadEvent) + Send + Sync),
    ) -> Result<()> {
        let pieces: Vec<Bytes> =
            archive.try_collect().await.map_err(|e| Error::retryable("reading an archive").because(e))?;
        for name in String::from_utf8_lossy(&pieces.concat()).lines() {
            let reference = Reference::parse(name).map_err(|_| Error::permanent("unexpected EOF"))?;
            let image = image(&reference);
            told(LoadEvent::Layer { id: image.id.short().to_owned(), done: 1, total: 1 });
            self.keep(&image);
            told(LoadEvent::Tagged(reference));
        }
        Ok(())
    }

    async fn usage(&self) -> Result<Usage> {
        let state = self.lock();
        let images = state.images.iter().map(|i| ImageUsage { id: i.id.clone(), shared: 0 }).collect();
        Ok(Usage { layers: state.images.iter().map(|i| i.size).sum(), images })
    }

    async fn check(&self, repair: bool) -> Result<CheckReport> {
        let checked = self.lock().images.len() as u64;
        Ok(CheckReport { checked, repaired: repair, ..CheckReport::default() })
    }

    async fn prepare(&self, container: &ContainerId, _image: &Digest) -> Result<Rootfs> {
        self.call("prepare", container)?.layers.insert(container.clone());
        let dir = PathBuf::from("/fake").join(container.as_str());
        Ok(Rootfs { lower: vec!["/fake/lower".into()], upper: dir.join("upper"), work: dir.join("work") })
    }

    async fn discard(&self, container: &ContainerId) -> Result<()> {
        self.call("discard", container)?.layers.remove(container);
        Ok(())
    }

    async fn sweep(&self, containers: &[ContainerId]) -> Result<()> {
        self.lock().layers.retain(|l| containers.contains(l));
        Ok(())
    }
}
