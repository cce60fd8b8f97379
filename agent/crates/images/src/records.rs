//! What the store remembers about images and layers, on disk and in memory.

use crate::configuration::{self, Configuration};
use crate::disk::{Disk, DiskError, names};
use crate::snapshot::{Form, chain, form_of};
use hull_model::{ContainerId, Digest, Image, Reference};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// An image, as its file in `images/` says. What its configuration says is read from the configuration; names are kept
/// apart, so that moving one is one rename.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// Digest of the configuration.
    pub(crate) id: Digest,
    /// The manifest it was last pulled, pushed or loaded by; none if it was made here.
    #[serde(default)]
    pub(crate) manifest: Option<Digest>,
    /// Manifests and indexes that describe it, which are kept as blobs.
    #[serde(default)]
    pub(crate) manifests: BTreeSet<Digest>,
    /// Where registries have it: references without a tag and with the digest that the tag stood for.
    #[serde(default)]
    pub(crate) repo_digests: BTreeSet<Reference>,
    /// Digests of the uncompressed layers, lowest first.
    pub(crate) layers: Vec<Digest>,
    /// When a reference was last given to it.
    #[serde(default)]
    pub(crate) tagged: Option<Timestamp>,
    /// The image it was made from here.
    #[serde(default)]
    pub(crate) parent: Option<Digest>,
}

/// A layer, as `layer.json` beside it says. Never changed once the layer is in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Bytes of all its files.
    pub(crate) size: u64,
    /// Bytes of its uncompressed archive.
    pub(crate) archive: u64,
}

/// A form in which registries have a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distributed {
    /// Digest of the blob.
    pub(crate) digest: Digest,
    /// Its bytes.
    pub(crate) size: u64,
    /// Its media type in manifests.
    pub(crate) media_type: String,
    /// Where it is, as `registry/repository`.
    pub(crate) repositories: BTreeSet<String>,
}

/// All that is known of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LayerFacts {
    pub(crate) record: LayerRecord,
    /// How it lies on the disk.
    pub(crate) form: Form,
    /// How registries have it, as `blobs.json` beside it says: those added last come last.
    pub(crate) blobs: Vec<Distributed>,
}

/// An image in memory.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) record: ImageRecord,
    pub(crate) configuration: Arc<Configuration>,
    /// Bytes of its layers' files, each layer counted once.
    pub(crate) size: u64,
    /// Names what is made of its layers.
    pub(crate) chain: Digest,
}

/// Everything the store knows, kept in step with the disk.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<Digest, Known>,
    pub(crate) references: BTreeMap<Reference, Digest>,
    pub(crate) layers: HashMap<Digest, LayerFacts>,
    /// Writable layers and the images they are made on.
    pub(crate) containers: HashMap<ContainerId, Digest>,
    /// Layers that work under way relies on, and how many of them.
    pub(crate) pins: HashMap<Digest, usize>,
}

impl State {
    /// Reads everything back. Records that cannot be read, or whose layers are not there, are not images; they are
    /// passed over here and swept later. So are layers in the form of earlier versions.
    pub(crate) fn load(disk: &Disk) -> Result<Self, DiskError> {
        let mut state = Self::default();
        for name in names(&disk.layers())? {
            if let (Ok(digest), Some(facts)) = (Digest::parse(&format!("sha256:{name}")), layer(disk, &name))
            {
                state.layers.insert(digest, facts);
            }
        }
        for name in names(&disk.images())? {
            match state.image_file(disk, &name) {
                Some(known) => drop(state.images.insert(known.record.id.clone(), known)),
                None => tracing::warn!(
                    name,
                    "image record passed over: it is damaged, or layers of it are missing"
                ),
            }
        }
        // One name that cannot be read must not cost the others.
        let names_of: BTreeMap<String, String> = read(&disk.references()).unwrap_or_default();
        let named =
            |(name, id): (String, String)| Some((Reference::parse(&name).ok()?, Digest::parse(&id).ok()?));
        let references = names_of.into_iter().filter_map(named);
        state.references = references.filter(|(_, id)| state.images.contains_key(id)).collect();
        for name in names(&disk.containers())? {
            let link = fs::read_link(disk.container(&name).join("image")).ok();
            let image = link.and_then(|target| Digest::parse(target.to_str()?).ok());
            if let (Ok(id), Some(image)) = (ContainerId::try_from(name), image) {
                state.containers.insert(id, image);
            }
        }
        Ok(state)
    }

    fn image_file(&self, disk: &Disk, name: &str) -> Option<Known> {
        let record: ImageRecord = read(&disk.images().join(name))?;
        let whole = name.strip_suffix(".json") == Some(record.id.hex())
            && record.layers.iter().all(|layer| self.layers.contains_key(layer));
        let bytes = fs::read(disk.blobs().join(record.id.hex())).ok()?;
        let configuration = Arc::new(configuration::parse(&bytes).ok()?);
        whole.then(|| self.known(record, configuration))
    }

    /// The image in memory that a record and its configuration make.
    pub(crate) fn known(&self, record: ImageRecord, configuration: Arc<Configuration>) -> Known {
        let unique: BTreeSet<&Digest> = record.layers.iter().collect();
        let size = unique.into_iter().map(|layer| self.layer_size(layer)).sum();
        let chain = chain(&record.layers);
        Known { record, configuration, size, chain }
    }

    /// Bytes of a layer's files; 0 if it is not here.
    pub(crate) fn layer_size(&self, layer: &Digest) -> u64 {
        self.layers.get(layer).map_or(0, |facts| facts.record.size)
    }

    /// All images with their names.
    pub(crate) fn list(&self) -> Vec<Image> {
        let mut names: BTreeMap<&Digest, BTreeSet<Reference>> = BTreeMap::new();
        for (reference, id) in &self.references {
            names.entry(id).or_default().insert(reference.clone());
        }
        self.images
            .values()
            .map(|known| known.image(names.remove(&known.record.id).unwrap_or_default()))
            .collect()
    }

    /// One image with its names.
    pub(crate) fn image(&self, id: &Digest) -> Option<Image> {
        let known = self.images.get(id)?;
        Some(known.image(self.names_of(id).into_iter().collect()))
    }

    /// The references that name an image, in order.
    pub(crate) fn names_of(&self, id: &Digest) -> Vec<Reference> {
        let of = self.references.iter().filter(|(_, to)| *to == id);
        of.map(|(reference, _)| reference.clone()).collect()
    }

    /// The image that a reference names here. A digest decides alone: it is that of a manifest or index that the
    /// repository had, or of the image itself.
    pub(crate) fn lookup(&self, reference: &Reference) -> Option<&Digest> {
        if let Some(id) = self.references.get(reference) {
            return Some(id);
        }
        let digest = reference.digest.as_ref()?;
        let named = |known: &&Known| {
            let mut here = known.record.repo_digests.iter();
            here.any(|other| same_repository(other, reference) && other.digest.as_ref() == Some(digest))
        };
        let described = |known: &&Known| {
            let mut here = known.record.repo_digests.iter();
            known.record.manifests.contains(digest) && here.any(|other| same_repository(other, reference))
        };
        let found = self.images.values().find(named).or_else(|| self.images.values().find(described));
        found.map(|known| &known.record.id)
    }

    /// Whether anything needs a layer.
    pub(crate) fn needs_layer(&self, layer: &Digest) -> bool {
        self.pins.contains_key(layer) || self.images.values().any(|image| image.record.layers.contains(layer))
    }

    /// Whether any image is described by a blob.
    pub(crate) fn needs_blob(&self, blob: &Digest) -> bool {
        let describes = |known: &Known| known.record.id == *blob || known.record.manifests.contains(blob);
        self.images.values().any(describes)
    }
}

/// Whether two references are about the same repository.
pub(crate) fn same_repository(one: &Reference, other: &Reference) -> bool {
    one.registry == other.registry && one.repository == other.repository
}

impl Known {
    fn image(&self, references: BTreeSet<Reference>) -> Image {
        let (record, configuration) = (&self.record, &self.configuration);
        Image {
            id: record.id.clone(),
            manifest: record.manifest.clone().unwrap_or_else(|| record.id.clone()),
            references,
            layers: record.layers.clone(),
            config: configuration.run.clone(),
            architecture: configuration.platform.architecture.clone(),
            size: self.size,
            created: configuration.created.clone(),
            os: configuration.platform.os.clone(),
            variant: configuration.platform.variant.clone(),
            author: configuration.author.clone(),
            comment: configuration.comment.clone(),
            repo_digests: record.repo_digests.iter().map(Reference::familiar).collect(),
            tagged: record.tagged,
            parent: record.parent.clone(),
        }
    }
}

/// A layer that is here whole: its record is there, and its archive in one of the two forms.
pub(crate) fn layer(disk: &Disk, hex: &str) -> Option<LayerFacts> {
    let dir = disk.layer(hex);
    let record: LayerRecord = read(&dir.join("layer.json"))?;
    let blobs = read(&dir.join("blobs.json")).unwrap_or_default();
    Some(LayerFacts { record, form: form_of(&dir)?, blobs })
}

/// The JSON of a record. Records have string keys only, so this cannot fail.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
