//! What the store remembers about images, on disk and in memory.

use crate::disk::{Disk, DiskError, names};
use hull_model::{ContainerId, Digest, Image, ImageConfig, Reference};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// An image, as its file in `images/` says. Names are kept apart, so that moving one is one rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Digest of the configuration.
    pub(crate) id: Digest,
    /// Digest of the manifest it was last pulled by.
    pub(crate) manifest: Digest,
    /// Digests of the uncompressed layers, lowest first.
    pub(crate) layers: Vec<Digest>,
    pub(crate) config: ImageConfig,
    pub(crate) architecture: String,
    /// Bytes of all its layers.
    pub(crate) size: u64,
    pub(crate) created: String,
}

/// A layer, as the file beside it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Bytes of all its files.
    pub(crate) size: u64,
}

/// Everything the store knows, kept in step with the disk.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<Digest, ImageRecord>,
    pub(crate) references: BTreeMap<Reference, Digest>,
    /// Writable layers and the images they are made on.
    pub(crate) containers: HashMap<ContainerId, Digest>,
    /// Layers that pulls under way rely on, and how many of them.
    pub(crate) pins: HashMap<Digest, usize>,
}

impl State {
    /// Reads everything back. Records that cannot be read, or whose layers are not there, are not images; they are
    /// passed over here and swept later.
    pub(crate) fn load(disk: &Disk) -> Result<Self, DiskError> {
        let mut state = Self::default();
        for name in names(&disk.images())? {
            match image(disk, &name) {
                Some(record) => drop(state.images.insert(record.id.clone(), record)),
                None => tracing::warn!(
                    name,
                    "image record passed over: it is damaged, or layers of it are missing"
                ),
            }
        }
        let references: BTreeMap<Reference, Digest> = json(&disk.references()).unwrap_or_default();
        state.references = references.into_iter().filter(|(_, id)| state.images.contains_key(id)).collect();
        for name in names(&disk.containers())? {
            let link = fs::read_link(disk.container(&name).join("image")).ok();
            let image = link.and_then(|target| Digest::parse(target.to_str()?).ok());
            if let (Ok(id), Some(image)) = (ContainerId::try_from(name), image) {
                state.containers.insert(id, image);
            }
        }
        Ok(state)
    }

    /// All images with their names.
    pub(crate) fn list(&self) -> Vec<Image> {
        let mut names: BTreeMap<&Digest, BTreeSet<Reference>> = BTreeMap::new();
        for (reference, id) in &self.references {
            names.entry(id).or_default().insert(reference.clone());
        }
        self.images
            .values()
            .map(|record| record.image(names.remove(&record.id).unwrap_or_default()))
            .collect()
    }

    /// One image with its names.
    pub(crate) fn image(&self, id: &Digest) -> Option<Image> {
        let names =
            self.references.iter().filter(|(_, to)| *to == id).map(|(reference, _)| reference.clone());
        self.images.get(id).map(|record| record.image(names.collect()))
    }

    /// Whether anything needs a layer.
    pub(crate) fn needs_layer(&self, layer: &Digest) -> bool {
        self.pins.contains_key(layer) || self.images.values().any(|image| image.layers.contains(layer))
    }

    /// Whether any image is described by a blob.
    pub(crate) fn needs_blob(&self, blob: &Digest) -> bool {
        self.images.values().any(|image| image.id == *blob || image.manifest == *blob)
    }
}

impl ImageRecord {
    fn image(&self, references: BTreeSet<Reference>) -> Image {
        Image {
            id: self.id.clone(),
            manifest: self.manifest.clone(),
            references,
            layers: self.layers.clone(),
            config: self.config.clone(),
            architecture: self.architecture.clone(),
            size: self.size,
            created: self.created.clone(),
            os: "linux".to_owned(),
            variant: String::new(),
            author: String::new(),
            comment: String::new(),
            repo_digests: BTreeSet::new(),
            tagged: None,
            parent: None,
        }
    }
}

fn image(disk: &Disk, name: &str) -> Option<ImageRecord> {
    let record: ImageRecord = json(&disk.images().join(name))?;
    let whole = name.strip_suffix(".json") == Some(record.id.hex())
        && record.layers.iter().all(|layer| disk.layer(layer.hex()).is_dir());
    whole.then_some(record)
}

/// Size of a layer that is there.
pub(crate) fn layer_size(disk: &Disk, layer: &Digest) -> Option<u64> {
    json::<LayerRecord>(&disk.layer(layer.hex()).join("layer.json")).map(|record| record.size)
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
