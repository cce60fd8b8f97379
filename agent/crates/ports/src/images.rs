//! Image store and registry client.

use crate::Result;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use hull_model::{ContainerId, Digest, HistoryEntry, Image, Reference, Registry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use bytes::Bytes;

/// Bytes as they come.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

/// How far one layer of a transfer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerStatus {
    /// A pull will fetch it.
    Pulling,
    /// It waits for its turn.
    Waiting,
    /// It is being fetched.
    Downloading {
        /// Bytes so far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// Its digest is being checked.
    Verifying,
    /// It has been fetched.
    Downloaded,
    /// It is being stored.
    Extracting {
        /// Bytes so far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// A pull has it.
    Pulled,
    /// It was there before: here for a pull, there for a push.
    Exists,
    /// A transfer broke; it is tried again after so many seconds.
    Retrying {
        /// Seconds.
        seconds: u64,
    },
    /// A push looks at it.
    Preparing,
    /// It is being sent.
    Pushing {
        /// Bytes so far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// A push has sent it.
    Pushed,
    /// The registry had it in another repository.
    Mounted {
        /// Which.
        from: String,
    },
}

/// Hears how far a transfer is.
pub trait Progress: Send + Sync {
    /// Bytes transferred so far, and in all if that is known.
    fn bytes(&self, done: u64, total: Option<u64>);

    /// How far one layer is. `layer` is its short id, as Docker shows it.
    fn layer(&self, layer: &str, status: LayerStatus) {
        _ = (layer, status);
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
}

/// Directories of a container's root file system. Whoever starts the container mounts them as an overlay in the
/// container's own mount namespace; nothing of it is mounted on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Read-only layers, topmost first; at least one.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// Overlayfs's work directory, on the same file system as `upper`.
    pub work: PathBuf,
}

/// What a person, or a token service, proves to a registry. Never written down by us.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct Credentials {
    /// Name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Stands for name and password at a token service.
    #[serde(alias = "identityToken")]
    pub identitytoken: String,
    /// Handed to the registry as it is.
    #[serde(alias = "registryToken")]
    pub registrytoken: String,
    /// The registry.
    #[serde(alias = "serverAddress")]
    pub serveraddress: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How registries are reached for one transfer.
#[derive(Debug, Clone, Default)]
pub struct PullOptions {
    /// The registries' settings by their names.
    pub registries: BTreeMap<String, Registry>,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// `os/architecture[/variant]`; this host's otherwise.
    pub platform: Option<String>,
}

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// Digest that the reference stands for at the registry: of the index if there is one, else of the manifest.
    pub digest: Digest,
    /// The reference named another image here before, or none.
    pub changed: bool,
}

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Bytes of its manifest.
    pub size: u64,
}

/// A reference to content in a registry (OCI image specification, "Descriptor").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// Its type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
}

/// What a registry says of a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// What the reference stands for.
    pub descriptor: Descriptor,
    /// Platforms it has, as `{"os":…,"architecture":…}` objects of the index or the configuration.
    pub platforms: Vec<serde_json::Value>,
}

/// A registry's answer to a login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Stands for name and password from now on; empty if they are to be kept.
    pub identity_token: String,
}

/// A repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // The registry's own fields.
pub struct SearchHit {
    pub name: String,
    pub description: String,
    pub is_official: bool,
    pub is_automated: bool,
    pub star_count: i64,
}

/// A layer that is stored here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Digest of its uncompressed archive.
    pub diff_id: Digest,
    /// Bytes of its uncompressed archive.
    pub size: u64,
}

/// An image to be made here from layers that are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewImage {
    /// Its configuration (OCI image specification, "Image Configuration"), without `rootfs`: that is made from `layers`.
    pub config: serde_json::Value,
    /// Digests of its layers, lowest first. All are stored.
    pub layers: Vec<Digest>,
    /// The image it was made from.
    pub parent: Option<Digest>,
}

/// What removing a reference did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// References, familiar, and `name@digest`s that are gone.
    pub untagged: Vec<String>,
    /// Images, and then layers, that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes that were freed.
    pub freed: u64,
}

/// What happens while an archive of images is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadEvent {
    /// A layer is being stored.
    Layer {
        /// Short digest.
        id: String,
        /// Bytes so far.
        done: u64,
        /// In all.
        total: u64,
    },
    /// An image was named.
    Tagged(Reference),
    /// An image without a name was stored.
    Untagged(Digest),
    /// A reference that named another image does not any more.
    Moved {
        /// The reference.
        reference: Reference,
        /// The image it named.
        from: Digest,
    },
}

/// Bytes of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Which.
    pub id: Digest,
    /// Bytes of layers that other images have too.
    pub shared: u64,
}

/// What the store takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all layers, each counted once.
    pub layers: u64,
    /// Single images.
    pub images: Vec<ImageUsage>,
}

/// What was found wrong with the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Objects looked at.
    pub checked: u64,
    /// Objects nobody refers to, as paths below the store.
    pub orphans: Vec<String>,
    /// Objects that are missing, or whose content is not what their name says, with the images they belong to.
    pub damaged: Vec<String>,
    /// Bytes that orphans take.
    pub orphan_bytes: u64,
    /// Whether orphans were removed.
    pub repaired: bool,
}

/// Images that are on this host, and how to get them.
#[async_trait]
pub trait Images: Send + Sync {
    /// Every complete image. Never shows one whose layers are not all there and verified.
    async fn list(&self) -> Result<Vec<Image>>;

    /// Fetches an image by its reference for this host's architecture, and names it by it. `registries` says how
    /// each registry is reached. Layers that are here already are not fetched. Several pulls of one layer share the work.
    async fn pull(
        &self,
        reference: &Reference,
        registries: &BTreeMap<String, Registry>,
        progress: &dyn Progress,
    ) -> Result<Image>;

    /// One image. Cheap: nothing is read from the disk.
    async fn image(&self, id: &Digest) -> Result<Option<Image>> {
        _ = id;
        Err(crate::Error::permanent("image is not supported by this driver"))
    }

    /// The image that a reference names here. A reference by digest finds the image pulled by it. Cheap.
    async fn lookup(&self, reference: &Reference) -> Result<Option<Image>> {
        _ = reference;
        Err(crate::Error::permanent("lookup is not supported by this driver"))
    }

    /// Its configuration as it stands in the store, byte for byte.
    async fn config(&self, id: &Digest) -> Result<Vec<u8>> {
        _ = id;
        Err(crate::Error::permanent("config is not supported by this driver"))
    }

    /// Its history, lowest first, each entry that made a layer with that layer's bytes.
    async fn history(&self, id: &Digest) -> Result<Vec<(HistoryEntry, u64)>> {
        _ = id;
        Err(crate::Error::permanent("history is not supported by this driver"))
    }

    /// As `pull`, with credentials and for any platform.
    async fn pull_as(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        _ = (reference, options, progress);
        Err(crate::Error::permanent("pull_as is not supported by this driver"))
    }

    /// Tags of a repository.
    async fn tags(&self, repository: &Reference, options: &PullOptions) -> Result<Vec<String>> {
        _ = (repository, options);
        Err(crate::Error::permanent("tags is not supported by this driver"))
    }

    /// Sends an image under its reference. What the registry has is not sent again.
    async fn push(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        _ = (reference, options, progress);
        Err(crate::Error::permanent("push is not supported by this driver"))
    }

    /// What a registry says of a reference; nothing is fetched but manifests.
    async fn distribution(&self, reference: &Reference, options: &PullOptions) -> Result<Distribution> {
        _ = (reference, options);
        Err(crate::Error::permanent("distribution is not supported by this driver"))
    }

    /// Asks a registry whether it knows somebody. `Permanent` if it does not.
    async fn login(&self, credentials: &Credentials, options: &PullOptions) -> Result<Login> {
        _ = (credentials, options);
        Err(crate::Error::permanent("login is not supported by this driver"))
    }

    /// Repositories that match a term, at the registry that the term begins with or else the default one.
    async fn search(&self, term: &str, limit: u32, options: &PullOptions) -> Result<Vec<SearchHit>> {
        _ = (term, limit, options);
        Err(crate::Error::permanent("search is not supported by this driver"))
    }

    /// Names an image; the reference may have named another one.
    async fn tag(&self, image: &Digest, reference: &Reference) -> Result<()> {
        _ = (image, reference);
        Err(crate::Error::permanent("tag is not supported by this driver"))
    }

    /// Takes a name from an image. The image stays.
    async fn untag(&self, reference: &Reference) -> Result<()> {
        _ = reference;
        Err(crate::Error::permanent("untag is not supported by this driver"))
    }

    /// Forgets an image, all its references with it, and frees the layers nobody else needs. `Conflict` if a container
    /// uses it.
    async fn remove(&self, image: &Digest) -> Result<Removed>;

    /// Stores a layer from its archive (plain, gzip, or zstd). It is removed again if no image takes it before the store
    /// is next swept.
    async fn store_layer(&self, archive: ByteStream) -> Result<StoredLayer> {
        _ = archive;
        Err(crate::Error::permanent("store_layer is not supported by this driver"))
    }

    /// Makes an image from stored layers.
    async fn add(&self, image: &NewImage) -> Result<Image> {
        _ = image;
        Err(crate::Error::permanent("add is not supported by this driver"))
    }

    /// Writes images as one archive in Docker's layout, which is also an OCI layout. A name of several tags saves them all.
    async fn save(&self, images: &[(Digest, Vec<Reference>)]) -> Result<ByteStream> {
        _ = images;
        Err(crate::Error::permanent("save is not supported by this driver"))
    }

    /// Reads an archive that `save` or another engine wrote, in either layout, plain or compressed.
    async fn load(
        &self,
        archive: ByteStream,
        platform: Option<&str>,
        told: &(dyn Fn(LoadEvent) + Send + Sync),
    ) -> Result<()> {
        _ = (archive, platform, told);
        Err(crate::Error::permanent("load is not supported by this driver"))
    }

    /// What the store takes.
    async fn usage(&self) -> Result<Usage> {
        Err(crate::Error::permanent("usage is not supported by this driver"))
    }

    /// Looks at every object: whether it is what its name says and who needs it. With `repair`, removes what nobody needs.
    async fn check(&self, repair: bool) -> Result<CheckReport> {
        _ = repair;
        Err(crate::Error::permanent("check is not supported by this driver"))
    }

    /// Makes a container's writable layer on an image, or finds the one made before.
    async fn prepare(&self, container: &ContainerId, image: &Digest) -> Result<Rootfs>;

    /// Removes a container's writable layer.
    async fn discard(&self, container: &ContainerId) -> Result<()>;

    /// Takes away what the store mounted on the host. Images and writable layers stay; what is needed is mounted again.
    async fn release(&self) -> Result<()> {
        Ok(())
    }

    /// Removes writable layers of containers that are not in the list, and everything left by interrupted pulls.
    async fn sweep(&self, containers: &[ContainerId]) -> Result<()>;
}
