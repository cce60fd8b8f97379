//! Files of containers as archives: copying in and out, differences, layers.
//!
//! A container's files are assembled as a mount that is attached nowhere (`tree`), so neither the host nor the container
//! sees it, and everything is opened below its root by descriptor (`descend`): no path is ever resolved with the host's
//! authority, no program of the container is run, and nothing but directories and ordinary files is ever opened. Owners are
//! told as the container sees them.

mod copy;
mod descend;
mod difference;
mod failure;
mod ids;
mod layer;
mod live;
mod namespace;
mod path;
mod populate;
mod reader;
mod sink;
mod sizes;
mod source;
mod tree;
mod writer;

use async_trait::async_trait;
use copy::Found;
use failure::Failure;
use hull_ports::{Archives, ByteStream, Change, ContainerTree, Error, PathStat, PutOptions, Result, Rootfs};
use ids::Ids;
use reader::{Detail, Reader};
use source::Incoming;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tree::Tree;

/// Layers whose sizes are remembered.
const KNOWN_LAYERS: usize = 4096;

/// Reads and writes files of containers.
#[derive(Debug, Default)]
pub struct Driver {
    /// Bytes of read-only layers, which never change.
    layers: Arc<Mutex<HashMap<PathBuf, u64>>>,
}

impl Driver {
    /// The driver.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Runs what may block on a thread for that.
async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> std::result::Result<T, Failure> + Send + 'static,
) -> Result<T> {
    match spawn_blocking(job).await {
        Ok(result) => result.map_err(Error::from),
        Err(error) => Err(Error::retryable("working on the files of a container").because(error)),
    }
}

#[async_trait]
impl Archives for Driver {
    async fn stat(&self, tree: &ContainerTree, path: &Path) -> Result<PathStat> {
        let (tree, path) = (tree.clone(), path.to_owned());
        blocking(move || Found::at(&tree, &path).map(|found| found.stat().clone())).await
    }

    async fn get(&self, tree: &ContainerTree, path: &Path) -> Result<(PathStat, ByteStream)> {
        let (tree, path) = (tree.clone(), path.to_owned());
        let found = blocking(move || Found::at(&tree, &path)).await?;
        let stat = found.stat().clone();
        Ok((stat, sink::stream(move |sink| found.write(sink))))
    }

    async fn put(
        &self,
        tree: &ContainerTree,
        path: &Path,
        archive: ByteStream,
        options: PutOptions,
    ) -> Result<()> {
        let (tree, path) = (tree.clone(), path.to_owned());
        let archive = Incoming::new(archive, Handle::current());
        blocking(move || copy::put(&tree, &path, archive, options)).await
    }

    async fn changes(&self, rootfs: &Rootfs) -> Result<Vec<Change>> {
        let rootfs = rootfs.clone();
        blocking(move || layer::changes(&rootfs)).await
    }

    async fn export(&self, rootfs: &Rootfs) -> Result<ByteStream> {
        let rootfs = rootfs.clone();
        let tree = blocking(move || Tree::of(std::iter::once(&rootfs.upper).chain(&rootfs.lower))).await?;
        Ok(sink::stream(move |sink| {
            let root = layer::reopened(&tree.root)?;
            Reader::new(sink, &Ids::default(), Detail::Archive).contents(root, Vec::new())
        }))
    }

    async fn layer(&self, rootfs: &Rootfs) -> Result<ByteStream> {
        let rootfs = rootfs.clone();
        Ok(sink::stream(move |sink| layer::write(&rootfs, sink)))
    }

    async fn populate(&self, rootfs: &Rootfs, path: &Path, volume: &Path) -> Result<()> {
        let (rootfs, path, volume) = (rootfs.clone(), path.to_owned(), volume.to_owned());
        blocking(move || populate::populate(&rootfs, &path, &volume)).await
    }

    async fn sizes(&self, rootfs: &Rootfs) -> Result<(u64, u64)> {
        let (rootfs, layers) = (rootfs.clone(), Arc::clone(&self.layers));
        blocking(move || {
            let written = sizes::of(&rootfs.upper)?;
            let mut whole = written;
            for layer in &rootfs.lower {
                whole += layer_size(&layers, layer)?;
            }
            Ok((written, whole))
        })
        .await
    }
}

fn layer_size(known: &Mutex<HashMap<PathBuf, u64>>, layer: &Path) -> std::result::Result<u64, Failure> {
    // A thread that panicked while it held this left a whole map.
    let known = || known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(size) = known().get(layer) {
        return Ok(*size);
    }
    let size = sizes::of(layer)?;
    let mut known = known();
    if known.len() >= KNOWN_LAYERS {
        known.clear();
    }
    known.insert(layer.to_owned(), size);
    Ok(size)
}
