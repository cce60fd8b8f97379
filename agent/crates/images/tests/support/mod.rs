//! Test images, a registry that misbehaves on demand, and small things that tests share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

pub mod fake;
pub mod image;
pub mod server;

use hull_images::{Options, Platform, Snapshot, Store};
use hull_model::{ContainerId, Digest, Image, Reference, Registry};
use hull_ports::{Images as _, Silent};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The driver that a test program is about: programs whose names say so are about directories.
pub fn driver() -> Snapshot {
    if env!("CARGO_CRATE_NAME").ends_with("_directory") { Snapshot::Directory } else { Snapshot::Erofs }
}

/// A directory in which a test may mount, seen by the test only. What was mounted goes with it.
pub struct Dir(tempfile::TempDir);

pub fn dir() -> Dir {
    thread_local!(static PRIVATE: Cell<bool> = const { Cell::new(false) });
    if !PRIVATE.replace(true) {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("store")).unwrap();
    Dir(dir)
}

impl Dir {
    /// For a store.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }

    /// For anything else.
    pub fn beside(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let table = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
        let mut below: Vec<&Path> = points.filter(|point| point.starts_with(self.0.path())).collect();
        below.reverse();
        for point in below {
            let _ = umount2(point, MntFlags::MNT_DETACH);
        }
    }
}

/// The tree of a single layer, in the form of overlayfs, whichever driver the store has.
pub fn layer_tree(dir: &Dir, layer: &Digest) -> PathBuf {
    let layer_dir = dir.path().join("layers").join(layer.hex());
    if driver() == Snapshot::Directory {
        return layer_dir.join("fs");
    }
    let target = dir.beside(layer.short());
    let spill = Some(layer_dir.join("spill")).filter(|path| path.exists());
    let devices: Vec<PathBuf> = [Some(layer_dir.join("tar")), spill].into_iter().flatten().collect();
    mount_erofs(&layer_dir.join("index"), &devices, &target);
    target
}

pub fn mount_erofs(index: &Path, devices: &[PathBuf], target: &Path) {
    use hull_sys::mount::{FsContext, attach, attr};
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let context = FsContext::open(c"erofs").unwrap();
    context.string(c"source", &text(index)).unwrap();
    for device in devices {
        context.string(c"device", &text(device)).unwrap();
    }
    let mounted = context.mount(attr::RDONLY).unwrap_or_else(|e| panic!("{e}: {}", context.message()));
    attach(mounted.as_fd(), std::fs::File::open(target).unwrap().as_fd()).unwrap();
}

/// An image's files as a container sees them.
pub async fn view(dir: &Dir, store: &Store, image: &Image) -> PathBuf {
    let id = ContainerId::from_random([0x77; 32]);
    store.discard(&id).await.unwrap();
    let rootfs = store.prepare(&id, &image.id).await.unwrap();
    let target = dir.beside(&format!("view-{}", image.id.short()));
    let lower: Vec<&str> = rootfs.lower.iter().map(|path| path.to_str().unwrap()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        rootfs.upper.display(),
        rootfs.work.display()
    );
    mount(Some("overlay"), &target, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str())).unwrap();
    target
}

/// A store in a directory, with short waits.
pub fn open(root: impl AsRef<Path>) -> Store {
    Store::open(root.as_ref().to_owned(), options()).unwrap()
}

pub fn options() -> Options {
    Options {
        ca_bundle: "/nonexistent".into(),
        connect_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_secs(1),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() },
        parallel_layers: 4,
        snapshot: driver(),
        ..Options::default()
    }
}

/// One registry, declared insecure.
pub fn insecure(host: &str) -> BTreeMap<String, Registry> {
    [(host.to_owned(), Registry { insecure: true, ..Registry::default() })].into()
}

pub async fn pull(store: &Store, host: &str, name: &str) -> hull_ports::Result<Image> {
    let reference = Reference::parse(&format!("{host}/{name}")).unwrap();
    store.pull(&reference, &insecure(host), &Silent).await
}

/// Waits until something is so; fails after ten seconds.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that a failed pull left nothing: no image, no layer, nothing half made.
pub async fn assert_nothing_left(store: &Store, root: impl AsRef<Path>) {
    let root = root.as_ref();
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(names(&root.join("layers")), [] as [&str; 0]);
    assert_eq!(names(&root.join("images")), [] as [&str; 0]);
    assert_eq!(names(&root.join("merged")), [] as [&str; 0]);
    eventually("half-made layers are removed", || names(&root.join("tmp")).is_empty());
}
