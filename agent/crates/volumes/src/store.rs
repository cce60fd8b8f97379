//! The directory of volumes.

use async_trait::async_trait;
use hull_model::{Name, VolumeSpec};
use hull_ports::{Error, Result, Volumes};
use nix::errno::Errno;
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::spawn_blocking;

/// Where the data of a volume is, below its own directory.
const DATA: &str = "_data";
/// What a volume is, beside its data.
const RECORD: &str = "volume.json";
/// Where volumes are made and removed.
const TEMPORARY: &str = ".tmp";

/// A file system operation on a volume that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct VolumeError {
    /// What was being done.
    pub action: &'static str,
    /// To what.
    pub path: PathBuf,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

impl VolumeError {
    fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// All volumes of one host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Held while a volume is made or removed. The number of the next name in `.tmp`.
    next: Mutex<u64>,
}

impl Store {
    /// Opens the volumes in `root`, which is made if it is not there, and goes on with removals that were interrupted, on a
    /// thread of its own.
    /// Only root may enter it: what containers leave in their data, set-user-id programs for one, is out of reach of local users.
    ///
    /// # Errors
    /// `Retryable` if the directory cannot be used.
    pub fn open(root: PathBuf) -> Result<Self> {
        let message = format!("opening the volumes in {}", root.display());
        let inner = Inner::open(root).map_err(|error| at_door(message, error))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        message: String,
        work: impl FnOnce(&Inner) -> std::result::Result<T, VolumeError> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        match spawn_blocking(move || work(&inner)).await {
            Ok(result) => result.map_err(|error| at_door(message, error)),
            Err(error) => Err(Error::retryable(message).because(error)),
        }
    }
}

#[async_trait]
impl Volumes for Store {
    async fn list(&self) -> Result<Vec<Name>> {
        self.blocking("listing volumes".into(), Inner::list).await
    }

    async fn create(&self, volume: &VolumeSpec) -> Result<PathBuf> {
        let volume = volume.clone();
        self.blocking(format!("creating volume {}", volume.name), move |inner| inner.create(&volume)).await
    }

    async fn size(&self, name: &Name) -> Result<u64> {
        let name = name.clone();
        self.blocking(format!("measuring volume {name}"), move |inner| inner.size(&name)).await
    }

    async fn remove(&self, name: &Name) -> Result<()> {
        let name = name.clone();
        self.blocking(format!("removing volume {name}"), move |inner| inner.remove(&name)).await
    }
}

impl Inner {
    fn open(root: PathBuf) -> std::result::Result<Self, VolumeError> {
        let temporary = root.join(TEMPORARY);
        let make = || -> io::Result<()> {
            DirBuilder::new().mode(0o700).recursive(true).create(&root)?;
            fs::set_permissions(&root, Permissions::from_mode(0o700))?;
            DirBuilder::new().mode(0o700).recursive(true).create(&temporary)
        };
        make().map_err(VolumeError::new("making", &root))?;
        let left = names(&temporary)?;
        let next =
            left.iter().filter_map(|name| name.parse::<u64>().ok()).max().map_or(0, |n| n.saturating_add(1));
        // What is in there is nobody's any more, however long it takes.
        std::thread::spawn(move || {
            for name in left {
                if let Err(error) = remove_tree(&temporary, &name) {
                    tracing::warn!(%error, cause = %error.source, "left of a removed volume");
                }
            }
        });
        Ok(Self { root, next: Mutex::new(next) })
    }

    fn list(&self) -> std::result::Result<Vec<Name>, VolumeError> {
        let names = names(&self.root)?.into_iter().filter_map(|name| Name::new(name).ok());
        // Of what others may have put here, only what has a volume's shape is one.
        let mut names: Vec<Name> = names.filter(|name| is_directory(&self.data(name))).collect();
        names.sort();
        Ok(names)
    }

    /// Bytes of all files, each counted once however many names it has. What goes away meanwhile does not count; other
    /// file systems that are mounted in it do not either.
    fn size(&self, name: &Name) -> std::result::Result<u64, VolumeError> {
        let data = self.data(name);
        let device = fs::symlink_metadata(&data).map_err(VolumeError::new("measuring", &data))?.dev();
        let (mut bytes, mut seen, mut waiting) = (0, HashSet::new(), vec![data]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                if meta.is_dir() && meta.dev() == device {
                    waiting.push(entry.path());
                } else if meta.is_file() && (meta.nlink() == 1 || seen.insert(meta.ino())) {
                    bytes += meta.len();
                }
            }
        }
        Ok(bytes)
    }

    fn create(&self, volume: &VolumeSpec) -> std::result::Result<PathBuf, VolumeError> {
        let data = self.data(&volume.name);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if is_directory(&data) {
            return Ok(data);
        }
        let temporary = self.temporary(&mut next);
        let make = || -> io::Result<()> {
            DirBuilder::new().mode(0o700).create(&temporary)?;
            DirBuilder::new().mode(0o755).create(temporary.join(DATA))?;
            // Whatever the umask is.
            fs::set_permissions(temporary.join(DATA), Permissions::from_mode(0o755))?;
            let record = serde_json::to_vec_pretty(volume)?;
            let mut file =
                File::options().create_new(true).write(true).mode(0o600).open(temporary.join(RECORD))?;
            file.write_all(&record)?;
            file.sync_all()?;
            File::open(temporary.join(DATA))?.sync_all()?;
            File::open(&temporary)?.sync_all()?;
            fs::rename(&temporary, self.root.join(volume.name.as_str()))?;
            File::open(&self.root)?.sync_all()
        };
        make().map_err(VolumeError::new("making", &data))?;
        Ok(data)
    }

    fn remove(&self, name: &Name) -> std::result::Result<(), VolumeError> {
        let path = self.root.join(name.as_str());
        let top = self.root.join(TEMPORARY);
        let gone = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let gone = self.temporary(&mut next);
            match fs::rename(&path, &gone) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                result => result.map_err(VolumeError::new("removing", &path))?,
            }
            gone
        };
        for dir in [&self.root, &top] {
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(VolumeError::new("flushing", dir))?;
        }
        let name = gone.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        remove_tree(&top, name)
    }

    fn temporary(&self, next: &mut u64) -> PathBuf {
        *next += 1;
        self.root.join(TEMPORARY).join((*next - 1).to_string())
    }

    fn data(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str()).join(DATA)
    }
}

/// A directory itself, and no link to one.
fn is_directory(path: &Path) -> bool {
    let own = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    own(path) && path.parent().is_some_and(own)
}

/// Removes a tree without following links or entering other mounts. Nothing there is success.
fn remove_tree(parent: &Path, name: &str) -> std::result::Result<(), VolumeError> {
    let run = || -> io::Result<()> { Ok(hull_sys::tree::remove(File::open(parent)?, name)?) };
    run().map_err(VolumeError::new("removing", &parent.join(name)))
}

fn names(path: &Path) -> std::result::Result<Vec<String>, VolumeError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    };
    list().map_err(VolumeError::new("listing", path))
}

fn at_door(message: String, error: VolumeError) -> Error {
    let errno = error.source.raw_os_error().map(Errno::from_raw);
    let door = match errno {
        Some(Errno::EBUSY | Errno::EXDEV) => Error::conflict(message)
            .remedy("something is mounted in the volume: stop the containers that use it"),
        Some(Errno::ENOSPC | Errno::EDQUOT) => {
            Error::retryable(message).remedy("the disk of the volumes is full")
        }
        _ => Error::retryable(message).remedy("check the disk that holds the volumes"),
    };
    door.because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn spec(name: &str) -> VolumeSpec {
        VolumeSpec { name: Name::new(name).unwrap(), labels: [("a".to_owned(), "b".to_owned())].into() }
    }

    fn listed(path: &Path) -> Vec<String> {
        let mut names = names(path).unwrap();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_counts_once_whatever_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("volumes")).unwrap();
        let data = store.create(&spec("data")).await.unwrap();
        fs::create_dir(data.join("below")).unwrap();
        fs::write(data.join("below/one"), "12345").unwrap();
        fs::hard_link(data.join("below/one"), data.join("two")).unwrap();
        symlink("/etc", data.join("elsewhere")).unwrap();
        fs::write(data.join("three"), "123").unwrap();
        assert_eq!(store.size(&spec("data").name).await.unwrap(), 8);
        assert!(store.size(&spec("missing").name).await.is_err());
    }

    #[tokio::test]
    async fn a_volume_keeps_its_data_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volumes");
        let store = Store::open(root.clone()).unwrap();
        let data = store.create(&spec("web.data")).await.unwrap();
        assert_eq!(data, root.join("web.data/_data"));
        fs::write(data.join("page"), "hello").unwrap();
        assert_eq!(store.create(&spec("web.data")).await.unwrap(), data);
        let store = Store::open(root.clone()).unwrap();
        assert_eq!(store.list().await.unwrap(), [Name::new("web.data").unwrap()]);
        assert_eq!(fs::read_to_string(data.join("page")).unwrap(), "hello");
        let record: VolumeSpec =
            serde_json::from_slice(&fs::read(root.join("web.data/volume.json")).unwrap()).unwrap();
        assert_eq!(record, spec("web.data"));
        for _ in 0..2 {
            store.remove(&spec("web.data").name).await.unwrap();
        }
        assert_eq!(store.list().await.unwrap(), []);
        assert_eq!(listed(&root), [".tmp"]);
        assert_eq!(listed(&root.join(".tmp")), [] as [&str; 0]);
    }

    #[tokio::test]
    async fn what_links_point_to_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let root = dir.path().join("volumes");
        let store = Store::open(root.clone()).unwrap();
        let data = store.create(&spec("v")).await.unwrap();
        symlink(&kept, data.join("link")).unwrap();
        symlink(&kept, root.join("linked")).unwrap();
        assert_eq!(store.list().await.unwrap(), [Name::new("v").unwrap()], "a link is no volume");
        store.remove(&Name::new("v").unwrap()).await.unwrap();
        store.remove(&Name::new("linked").unwrap()).await.unwrap();
        assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "x");
    }

    #[tokio::test]
    async fn interrupted_work_is_finished_or_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let store = Store::open(root.clone()).unwrap();
        store.create(&spec("v")).await.unwrap();
        // As a power cut leaves it: half made, half removed.
        fs::create_dir_all(root.join(".tmp/half/_data")).unwrap();
        fs::rename(root.join("v"), root.join(".tmp/5")).unwrap();
        let store = Store::open(root.clone()).unwrap();
        assert_eq!(store.list().await.unwrap(), []);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !listed(&root.join(".tmp")).is_empty() {
            assert!(std::time::Instant::now() < deadline, "the rest is removed");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        store.create(&spec("v")).await.unwrap();
    }

    #[tokio::test]
    async fn only_root_reaches_volumes_from_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("v")).unwrap();
        let data = store.create(&spec("x")).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&dir.path().join("v")), 0o700);
        assert_eq!(mode(data.parent().unwrap()), 0o700);
        assert_eq!(mode(&data), 0o755);
    }
}
