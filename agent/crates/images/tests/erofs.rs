//! Our file systems as other programs read them: the kernel, and `fsck.erofs` and `dump.erofs` of the toolbox.

mod support;

use hull_images::Snapshot;
use hull_model::{ContainerId, Digest, Image};
use hull_ports::Images as _;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::fake::Fake;
use support::image::{Packing, Tar, TestImage, digest, noise};
use support::{Dir, layer_tree, names, open, options, pull};

fn id(byte: u8) -> ContainerId {
    ContainerId::from_random([byte; 32])
}

/// A program of the toolbox, which sees the test's directory as `/mnt`.
fn tool(dir: &Dir, program: &str, arguments: &[String]) -> Output {
    let root = std::env::var_os("HULL_TOOLS_ROOT").map(PathBuf::from);
    let root = root.filter(|root| root.join("usr/bin/fsck.erofs").is_file());
    let root = root.expect("erofs-utils were not found in HULL_TOOLS_ROOT; `cargo xtask test` provides them");
    let script =
        "mount --bind \"$0\" \"$1/mnt\" && shift 0 && root=$1 && shift && exec chroot \"$root\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(dir.beside(".")).arg(root).arg(program);
    command.args(arguments).output().unwrap()
}

/// A path of the test's directory, as the toolbox sees it.
fn inside(dir: &Dir, path: &Path) -> String {
    let top = dir.beside(".").canonicalize().unwrap();
    format!("/mnt/{}", path.canonicalize().unwrap().strip_prefix(top).unwrap().display())
}

/// An image's index and its devices.
fn files(dir: &Dir, image: &Image) -> (PathBuf, Vec<PathBuf>) {
    let merged = dir.path().join("merged");
    let index = merged.join(&names(&merged)[0]);
    let devices = image.layers.iter().flat_map(|layer| {
        let layer = dir.path().join("layers").join(layer.hex());
        [layer.join("tar"), layer.join("spill")].into_iter().filter(|path| path.exists())
    });
    (index, devices.collect())
}

fn arguments(dir: &Dir, image: &Image, more: &[String]) -> Vec<String> {
    let (index, devices) = files(dir, image);
    let mut arguments: Vec<String> =
        devices.iter().map(|path| format!("--device={}", inside(dir, path))).collect();
    arguments.extend_from_slice(more);
    arguments.push(inside(dir, &index));
    arguments
}

async fn pulled(dir: &Dir, layers: Vec<Tar>) -> (hull_images::Store, Image) {
    let layers: Vec<_> = layers.into_iter().map(|layer| (layer.end(), Packing::Zstd)).collect();
    let fake = Fake::with("1", &TestImage::new(&layers)).await;
    let store = open(dir.path());
    let image = pull(&store, &fake.host, "a:1").await.unwrap_or_else(|e| panic!("{}", e.chain()));
    (store, image)
}

/// Not capabilities and access control lists: what extracts a file loses them when it sets the owner and mode afterwards.
const NAMES: [&std::ffi::CStr; 2] = [c"user.a", c"trusted.b"];

/// Everything about every file below a directory. Hard links are told by the first of their names.
fn listing(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![top.to_owned()];
    let mut first: BTreeMap<u64, PathBuf> = BTreeMap::new();
    while let Some(path) = open.pop() {
        // Overlayfs lists whiteouts of layers that hide nothing, and does not find them.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        let kind = meta.file_type();
        let relative = path.strip_prefix(top).unwrap().to_owned();
        let mut text = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
        text.push_str(&format!(" {}.{:09}", meta.mtime(), meta.mtime_nsec()));
        if kind.is_symlink() {
            text.push_str(&format!(" -> {:?}", fs::read_link(&path).unwrap()));
        } else if kind.is_block_device() || kind.is_char_device() {
            text.push_str(&format!(" {:x}", meta.rdev()));
        } else if kind.is_file() {
            text.push_str(&format!(" {} {}", meta.len(), digest(&fs::read(&path).unwrap())));
        } else if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        if kind.is_file() || kind.is_dir() {
            let file = fs::File::open(&path).unwrap();
            for name in NAMES {
                if let Some(value) = hull_sys::xattr::get(&file, name).unwrap() {
                    text.push_str(&format!(" {name:?}={value:?}"));
                }
            }
        }
        if !kind.is_dir() && meta.nlink() > 1 {
            text.push_str(&format!(" {} links", meta.nlink()));
            first.entry(meta.ino()).or_insert_with(|| relative.clone());
        }
        found.insert(relative, text);
    }
    found
}

fn everything() -> Vec<Tar> {
    let acl: &[u8] = &[
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255,
        255, 255,
    ];
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = "n".repeat(255);
    let mut below = Tar::new()
        .directory("./", 0o751)
        .directory("etc/", 0o755)
        .file("etc/one", &noise(70_000))
        .link("etc/two", b'1', "etc/one")
        .link("three", b'1', "etc/one")
        .file("etc/empty", b"")
        .directory("none/", 0o1777)
        .link("link", b'2', "etc/one")
        .pax(&[("linkpath", "t".repeat(3000).as_bytes())])
        .link("long-link", b'2', "")
        .device("null", b'3', 1, 3)
        .device("disk", b'4', 8, 300)
        .raw(Tar::header("fifo", b'6', 0o620, 0), b"")
        .pax(&[("path", long.as_bytes())])
        .file("x", b"long")
        .pax(&[("SCHILY.xattr.user.a", b"1"), ("SCHILY.xattr.trusted.b", &[5; 900])])
        .file("attributes", b"a")
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.system.posix_acl_access", acl),
        ])
        .file("ping", b"p")
        // With data at its end: fsck.erofs before 1.9 extracts no hole there.
        .sparse("sparse", 201_216, &[(4096, &noise(8192)), (200_704, &noise(512))])
        .sparse("ragged", 20_000, &[(7, &noise(77))])
        .file("removed/x", b"")
        .file("opaque/x", b"");
    for i in 0..10_000 {
        below = below.file(&format!("many/{i:05}"), i.to_string().as_bytes());
    }
    let deep = "d/".repeat(120);
    let above = Tar::new()
        .file(".wh.removed", b"")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/y", b"y")
        .pax(&[("path", format!("{deep}x").as_bytes())])
        .file("x", b"deep")
        .file("etc/two", b"replaced");
    vec![below, above]
}

#[tokio::test]
async fn other_readers_see_what_the_kernel_sees() {
    let dir = support::dir();
    let (store, image) = pulled(&dir, everything()).await;
    let rootfs = store.prepare(&id(1), &image.id).await.unwrap();
    let kernel = listing(&rootfs.lower[0]);
    assert!(kernel.len() > 10_100 && !kernel.contains_key(Path::new("opaque/x")), "{}", kernel.len());
    let out = dir.beside("extracted");
    fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let more = [
        format!("--extract={}", inside(&dir, &out)),
        "--preserve".into(),
        "--xattrs".into(),
        "--overwrite".into(),
    ];
    let checked = tool(&dir, "fsck.erofs", &arguments(&dir, &image, &more));
    let text = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert!(checked.status.success(), "{}: {text}", checked.status);
    let extracted = listing(&out);
    let differ = kernel.iter().find(|(path, text)| extracted.get(*path) != Some(*text));
    assert_eq!(differ, None, "extracted: {:?}", differ.and_then(|(path, _)| extracted.get(path)));
    assert_eq!(kernel.len(), extracted.len());
    let dumped = tool(&dir, "dump.erofs", &arguments(&dir, &image, &["-s".into(), "-S".into()]));
    let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert!(
        dumped.status.success() && text.contains("chunked_file") && text.contains("device_table"),
        "{text}"
    );
    let layer = dir.path().join("layers").join(image.layers[1].hex());
    let device = format!("--device={}", inside(&dir, &layer.join("tar")));
    let checked = tool(&dir, "fsck.erofs", &[device, inside(&dir, &layer.join("index"))]);
    assert!(checked.status.success(), "the index of one layer: {}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn a_file_of_a_tebibyte_is_one_extent_for_every_reader() {
    let dir = support::dir();
    let tar = Tar::new().sparse("huge", 1 << 40, &[(0, &noise(512)), (1 << 39, &noise(512))]);
    let (_store, image) = pulled(&dir, vec![tar]).await;
    let more = ["--path=/huge".to_owned(), "-e".to_owned()];
    let dumped = tool(&dir, "dump.erofs", &arguments(&dir, &image, &more));
    let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert!(dumped.status.success() && text.contains(&(1u64 << 40).to_string()), "{text}");
}

#[tokio::test]
async fn one_mount_serves_every_container_and_outlives_the_agent() {
    let dir = support::dir();
    let (store, image) = pulled(&dir, vec![Tar::new().file("f", b"x")]).await;
    let one = store.prepare(&id(1), &image.id).await.unwrap();
    let two = store.prepare(&id(2), &image.id).await.unwrap();
    assert_eq!(one.lower, two.lower);
    let mounts = || {
        let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        table
            .lines()
            .filter(|line| line.contains(dir.path().to_str().unwrap()))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = mounts();
    assert_eq!(before.len(), 1);
    let options: Vec<&str> = before[0].split(' ').nth(5).unwrap().split(',').collect();
    assert!(
        options.contains(&"ro") && options.contains(&"nodev") && !options.contains(&"nosuid"),
        "{options:?}"
    );
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.prepare(&id(3), &image.id).await.unwrap().lower, one.lower);
    assert_eq!(mounts(), before, "it was mounted again");
    // As after a reboot.
    drop(store);
    nix::mount::umount(&one.lower[0]).unwrap();
    let store = open(dir.path());
    let again = store.prepare(&id(1), &image.id).await.unwrap();
    assert_eq!(fs::read(again.lower[0].join("f")).unwrap(), b"x");
    for n in [1, 2, 3] {
        store.discard(&id(n)).await.unwrap();
    }
    store.remove(&image.id).await.unwrap();
    assert_eq!(mounts(), [] as [&str; 0]);
    for part in ["mounts", "merged", "layers"] {
        assert_eq!(names(&dir.path().join(part)), [] as [&str; 0], "{part}");
    }
}

#[tokio::test]
async fn a_damaged_or_missing_index_is_made_anew() {
    let dir = support::dir();
    let (mut store, image) = pulled(&dir, vec![Tar::new().file("f", b"x")]).await;
    let (index, _) = files(&dir, &image);
    let good = fs::read(&index).unwrap();
    for damage in [None, Some(vec![0; 4096]), Some(good[..512].to_vec()), Some(Vec::new())] {
        fs::remove_file(&index).unwrap();
        if let Some(bytes) = damage {
            fs::write(&index, bytes).unwrap();
        }
        let rootfs = store.prepare(&id(1), &image.id).await.unwrap();
        assert_eq!(fs::read(rootfs.lower[0].join("f")).unwrap(), b"x");
        assert_eq!(fs::read(&index).unwrap(), good);
        nix::mount::umount(&rootfs.lower[0]).unwrap();
        store.discard(&id(1)).await.unwrap();
        // The store believes it to be mounted still; the next one looks.
        drop(store);
        store = open(dir.path());
    }
}

/// A kernel that cannot mount, and back: nothing has to be pulled again.
#[tokio::test]
async fn layers_are_made_into_the_form_that_the_kernel_mounts() {
    let dir = support::dir();
    let tar = Tar::new()
        .directory("d/", 0o700)
        .file("d/f", &noise(10_000))
        .link("h", b'1', "d/f")
        .sparse("ragged", 20_000, &[(7, &noise(77))])
        .file(".wh.x", b"");
    let archive = Tar::new().file("top", b"t");
    let (store, image) = pulled(&dir, vec![tar, archive]).await;
    let before = listing(&store.prepare(&id(1), &image.id).await.unwrap().lower[0]);
    drop(store);
    let with = |snapshot| {
        let options = hull_images::Options { snapshot, ..options() };
        hull_images::Store::open(dir.path(), options).unwrap()
    };
    let store = with(Snapshot::Directory);
    let rootfs = store.prepare(&id(1), &image.id).await.unwrap();
    assert_eq!(rootfs.lower.len(), 2);
    assert_eq!(fs::read(rootfs.lower[1].join("d/f")).unwrap(), noise(10_000));
    assert_eq!(store.check(false).await.unwrap().damaged, [] as [&str; 0]);
    drop(store);
    let store = with(Snapshot::Erofs);
    nix::mount::umount(&before_mount(&dir)).unwrap();
    drop(store);
    let store = with(Snapshot::Erofs);
    let rootfs = store.prepare(&id(1), &image.id).await.unwrap();
    assert_eq!(listing(&rootfs.lower[0]), before);
    let report = store.check(false).await.unwrap();
    assert_eq!((report.damaged, report.orphans), (vec![], vec![]));
}

fn before_mount(dir: &Dir) -> PathBuf {
    let mounts = dir.path().join("mounts");
    mounts.join(&names(&mounts)[0])
}

/// What a random archive says, applied the slow way.
#[derive(Debug, Clone)]
enum Act {
    File(Vec<u8>, usize),
    Directory(Vec<u8>, u32),
    Link(Vec<u8>, Vec<u8>),
    Hard(Vec<u8>, Vec<u8>),
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..4u8, 1..4)
        .prop_map(|parts| parts.iter().map(|p| format!("n{p}")).collect::<Vec<_>>().join("/").into_bytes())
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (path(), 0..3000usize).prop_map(|(p, n)| Act::File(p, n)),
        2 => (path(), 0..0o1000u32).prop_map(|(p, m)| Act::Directory(p, m)),
        1 => (path(), path()).prop_map(|(p, t)| Act::Link(p, t)),
        2 => (path(), path()).prop_map(|(p, t)| Act::Hard(p, t)),
        2 => path().prop_map(Act::Whiteout),
        1 => path().prop_map(Act::Opaque),
    ]
}

fn text(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap()
}

fn archive(acts: &[Act]) -> Vec<u8> {
    let mut tar = Tar::new();
    for act in acts {
        tar = match act {
            Act::File(path, size) => tar.file(text(path), &noise(*size)),
            Act::Directory(path, mode) => tar.directory(&format!("{}/", text(path)), *mode),
            Act::Link(path, to) => tar.link(text(path), b'2', text(to)),
            Act::Hard(path, to) => tar.link(text(path), b'1', text(to)),
            Act::Whiteout(path) => {
                let (parent, name) = text(path).rsplit_once('/').unwrap_or(("", text(path)));
                let parent = if parent.is_empty() { String::new() } else { format!("{parent}/") };
                tar.file(&format!("{parent}.wh.{name}"), b"")
            }
            Act::Opaque(path) => tar.file(&format!("{}/.wh..wh..opq", text(path)), b""),
        };
    }
    tar.end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random layers, over each other: one merged file system shows what the kernel's overlay of the single layers, each
    /// unpacked into a directory, shows. Both refuse the same.
    #[test]
    fn both_ways_of_mounting_show_the_same(layers in proptest::collection::vec(proptest::collection::vec(act(), 0..14), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let shown = |snapshot: Snapshot| {
            let dir = support::dir();
            let packed: Vec<_> = layers.iter().map(|acts| (archive(acts), Packing::Plain)).collect();
            let (answer, layers) = runtime.block_on(async {
                let fake = Fake::with("1", &TestImage::new(&packed)).await;
                let options = hull_images::Options { snapshot, ..options() };
                let store = hull_images::Store::open(dir.path(), options).unwrap();
                match pull(&store, &fake.host, "a:1").await {
                    Ok(image) => {
                        let tree = support::view(&dir, &store, &image).await;
                        // What only one of them can know: attributes of directories that a layer implies, and how many links
                        // of lower layers are left.
                        let tree = listing(&tree).into_iter().map(|(path, text)| {
                            let is_dir = text.starts_with('4');
                            let text = if is_dir { String::from("dir") } else { text };
                            (path, text.split(" links").next().unwrap().rsplit_once(' ').map_or_else(|| text.clone(), |(a, b)| if text.ends_with("links") { a.to_owned() } else { format!("{a} {b}") }))
                        }).collect::<BTreeMap<_, _>>();
                        (Ok(tree), image.layers.clone())
                    }
                    // Of several bad layers, whichever failed first is told of.
                    Err(error) => (Err(error.class), Vec::<Digest>::new()),
                }
            });
            if snapshot == Snapshot::Erofs {
                for layer in &layers {
                    // The index of each layer is whole by itself too.
                    let tree = layer_tree(&dir, layer);
                    assert!(tree.as_os_str().as_bytes().len() > 1 && tree.is_dir());
                    nix::mount::umount2(&tree, nix::mount::MntFlags::MNT_DETACH).unwrap();
                }
            }
            answer
        };
        prop_assert_eq!(shown(Snapshot::Erofs), shown(Snapshot::Directory));
    }
}
