//! Where everything lies below the store's root, and how it gets there whole.
//!
//! ```text
//! lock                     held while a store is open
//! blobs/sha256/HEX         manifests and configurations, as they were sent
//! layers/HEX/              a layer, by the digest of its uncompressed archive, in one of two forms:
//!   tar, index, spill        the archive, a file system that points into it, and what it cannot point to
//!   tar.zst, fs/             the archive compressed, and its files
//!   layer.json               its sizes
//!   blobs.json               in what form which registry has it
//! images/HEX.json          an image: present means complete
//! merged/HEX               a file system of all of an image's layers, by the digest of their digests
//! mounts/HEX               where it is mounted
//! references.json          which reference names which image
//! partial/HEX              the begin of a blob whose transfer was cut
//! containers/ID/           image (a link that names it), upper, work
//! tmp/N/                   what is being made; worthless after a restart
//! ```
//! Everything is made in `tmp`, flushed, and renamed to its place; what is removed is renamed back to `tmp` first. So a
//! power cut leaves the old or the new state, and rubbish only in `tmp`.

use crate::layer::FREE_SPACE;
use hull_ports::Error;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

/// A file system operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub(crate) struct DiskError {
    /// What was being done.
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) path: PathBuf,
    /// What the kernel said.
    #[source]
    pub(crate) source: io::Error,
}

impl DiskError {
    pub(crate) fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }

    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        let full = [Errno::ENOSPC as i32, Errno::EDQUOT as i32];
        self.source.raw_os_error().is_some_and(|errno| full.contains(&errno))
    }
}

/// The error at the door.
pub(crate) fn disk_error(message: String, error: DiskError) -> Error {
    let remedy = if error.is_full() { FREE_SPACE } else { "check the disk that holds the image store" };
    Error::retryable(message).remedy(remedy).because(error)
}

/// The directories of a store.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    /// The next name in `tmp`.
    next: AtomicU64,
    /// The first one: smaller numbers are left from earlier processes.
    first: u64,
    remover: Remover,
    _lock: Flock<File>,
}

/// Directories that only root may enter: layers hold set-user-id programs that no local user should reach.
const DIRECTORIES: [&str; 7] = ["blobs/sha256", "layers", "images", "merged", "containers", "partial", "tmp"];

impl Disk {
    /// Opens or makes the directories, and takes the lock.
    pub(crate) fn open(root: PathBuf) -> Result<Self, DiskError> {
        let private = |path: &Path| {
            DirBuilder::new().mode(0o700).recursive(true).create(path).map_err(DiskError::new("making", path))
        };
        private(&root)?;
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        fs::set_permissions(&root, mode).map_err(DiskError::new("closing to others", &root))?;
        for name in DIRECTORIES {
            private(&root.join(name))?;
        }
        let path = root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(DiskError::new("opening", &path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            DiskError::new("another process uses the image store; locking", &path)(errno.into())
        })?;
        let left = names(&root.join("tmp"))?;
        let first =
            left.iter().filter_map(|name| name.parse::<u64>().ok()).max().map_or(0, |n| n.saturating_add(1));
        let remover = Remover::start(&root)?;
        Ok(Self { root, next: AtomicU64::new(first), first, remover, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, hex: &str) -> PathBuf {
        self.layers().join(hex)
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(crate) fn image(&self, hex: &str) -> PathBuf {
        self.images().join(format!("{hex}.json"))
    }

    pub(crate) fn references(&self) -> PathBuf {
        self.root.join("references.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// Where the file systems of images are.
    pub(crate) fn merged_all(&self) -> PathBuf {
        self.root.join("merged")
    }

    pub(crate) fn merged(&self, hex: &str) -> PathBuf {
        self.merged_all().join(hex)
    }

    /// Whether a name in `tmp` is of something that this process makes.
    pub(crate) fn is_own_scratch(&self, name: &str) -> bool {
        name.parse::<u64>().is_ok_and(|number| number >= self.first)
    }

    /// Parts of blobs whose transfer was cut, by the hexadecimal digits of the blob's digest. Whoever goes on with one
    /// writes to it again; a week after that it is swept.
    pub(crate) fn partial(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// A new, empty, private directory that removes itself.
    pub(crate) fn scratch(&self) -> Result<Scratch, DiskError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(number.to_string());
        DirBuilder::new().mode(0o700).create(&path).map_err(DiskError::new("making", &path))?;
        Ok(Scratch { path, remover: self.remover.clone() })
    }

    /// Writes a file so that it is there whole, or as it was before.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let scratch = self.scratch()?;
        let temporary = scratch.path.join("file");
        let write = || -> io::Result<()> {
            let mut file = File::options().create_new(true).write(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(DiskError::new("writing", path))?;
        self.place(&temporary, path)
    }

    /// Writes a file so that it is there whole or as it was before, at some time: nothing is flushed.
    pub(crate) fn write_soon(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let scratch = self.scratch()?;
        let temporary = scratch.path.join("file");
        fs::write(&temporary, bytes).map_err(DiskError::new("writing", path))?;
        fs::rename(&temporary, path).map_err(DiskError::new("renaming to", path))
    }

    /// Renames something flushed to its place, and makes that durable.
    pub(crate) fn place(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(DiskError::new("renaming to", to))?;
        sync_directory(to.parent().unwrap_or(&self.root))
    }

    /// Takes a directory away from its place at once; what it holds is removed behind. Nothing there is success.
    pub(crate) fn take_away(&self, path: &Path) -> Result<(), DiskError> {
        let scratch = self.scratch()?;
        match fs::rename(path, scratch.path.join("gone")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DiskError::new("removing", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Has everything in `tmp` removed that this process did not make.
    pub(crate) fn sweep_temporary(&self) -> Result<(), DiskError> {
        let top = self.root.join("tmp");
        for name in names(&top)? {
            // Those of this process remove themselves.
            if !self.is_own_scratch(&name) {
                self.remover.remove(top.join(&name));
            }
        }
        Ok(())
    }
}

/// A thread that removes trees. That may take minutes (a file system that discards blocks as it frees them), and nobody
/// has to wait for it: in `tmp`, nothing is of worth, and what is left at the end is swept later.
#[derive(Debug, Clone)]
struct Remover {
    paths: Sender<PathBuf>,
}

impl Remover {
    fn start(root: &Path) -> Result<Self, DiskError> {
        let (paths, receiver) = channel::<PathBuf>();
        let work = move || {
            for path in receiver {
                if let Err(error) = remove(&path) {
                    tracing::warn!(%error, cause = %error.source, "left to be swept");
                }
            }
        };
        let thread = std::thread::Builder::new().name("images-remove".into()).spawn(work);
        thread.map_err(DiskError::new("starting the thread that removes from", root))?;
        Ok(Self { paths })
    }

    fn remove(&self, path: PathBuf) {
        // Without the thread, it is left to be swept.
        let _ = self.paths.send(path);
    }
}

/// A directory in `tmp`. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    remover: Remover,
}

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Empty, or renamed to its place.
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.remover.remove(self.path.clone()),
            _ => {}
        }
    }
}

/// Removes a file or a whole tree without following links.
fn remove(path: &Path) -> Result<(), DiskError> {
    let failed = DiskError::new("removing", path);
    let run = || -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let parent = match File::open(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        };
        hull_sys::tree::remove(&parent, path.file_name().unwrap_or_default()).map_err(io::Error::from)
    };
    run().map_err(failed)
}

/// Removes one file durably. Nothing there is success.
pub(crate) fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("/"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DiskError::new("removing", path)(error)),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), DiskError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(DiskError::new("flushing", path))
}

/// Makes everything on the file system of `path` durable.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), DiskError> {
    let run = || -> io::Result<()> { Ok(nix::unistd::syncfs(File::open(path)?)?) };
    run().map_err(DiskError::new("flushing", path))
}

/// Names in a directory. Those that are not text are not ours and are left out.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, DiskError> {
    let list = || -> io::Result<Vec<String>> {
        fs::read_dir(path)?
            .filter_map(|entry| match entry {
                Ok(entry) => entry.file_name().into_string().ok().map(Ok),
                Err(error) => Some(Err(error)),
            })
            .collect()
    };
    list().map_err(DiskError::new("listing", path))
}
