//! Everything that a layer can hold, and layers over each other, as containers see them.

mod support;

use hull_images::{Snapshot, Store};
use hull_ports::Images as _;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use support::fake::Fake;
use support::image::{Packing, Tar, TestImage, noise};
use support::{Dir, names, open, pull, view};

/// Pulls an image of these layers; returns what a container sees.
async fn seen(layers: Vec<Tar>) -> (Dir, Store, PathBuf) {
    let layers: Vec<_> = layers.into_iter().map(|layer| (layer.end(), Packing::Gzip)).collect();
    let dir = support::dir();
    let fake = Fake::with("1", &TestImage::new(&layers)).await;
    let store = open(dir.path());
    let image = pull(&store, &fake.host, "a:1").await.unwrap_or_else(|e| panic!("{}", e.chain()));
    let tree = view(&dir, &store, &image).await;
    (dir, store, tree)
}

fn xattr(path: &Path, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    hull_sys::xattr::get(fs::File::open(path).unwrap(), name).unwrap()
}

/// An access control list: owner and group may all, user 1000 may read, others nothing.
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xe8, 3, 0, 0, 4, 0, 7, 0, 255, 255, 255, 255,
    16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];
/// CAP_NET_BIND_SERVICE, effective and permitted.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[tokio::test]
async fn files_of_every_size_come_out_whole() {
    let sizes = [0usize, 1, 511, 512, 513, 4095, 4096, 4097, 65_536, 1_000_000];
    let data = noise(1_000_000);
    let tar = sizes.iter().fold(Tar::new(), |tar, size| tar.file(&format!("f{size}"), &data[..*size]));
    let (_dir, _store, tree) = seen(vec![tar]).await;
    for size in sizes {
        assert_eq!(fs::read(tree.join(format!("f{size}"))).unwrap(), data[..size], "{size}");
    }
    // Not from its beginning, and not where a page begins.
    let file = fs::File::open(tree.join("f1000000")).unwrap();
    let mut middle = vec![0; 10_000];
    file.read_exact_at(&mut middle, 777).unwrap();
    assert_eq!(middle, data[777..10_777]);
}

#[tokio::test]
async fn files_with_holes_take_no_space_and_read_as_zeros() {
    let (begin, end) = (noise(512), noise(100));
    let tar = Tar::new()
        .sparse("aligned", 2 << 20, &[(0, &begin), (1 << 20, &noise(4096))])
        .sparse("ragged", 10_000, &[(100, &begin[..50]), (5000, &begin[..10])])
        .sparse("tail", 1 << 20, &[((1 << 20) - 100, &end)])
        .sparse("huge", 1 << 40, &[(512, &begin), ((1 << 40) - 512, &begin)])
        .sparse("empty", 3 << 20, &[])
        .file("after", b"after");
    let (dir, _store, tree) = seen(vec![tar]).await;
    let read = |name: &str, at: u64, length: usize| {
        let mut bytes = vec![1; length];
        fs::File::open(tree.join(name)).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let size = |name: &str| fs::metadata(tree.join(name)).unwrap().len();
    let sizes = ["aligned", "ragged", "tail", "huge", "empty"].map(size);
    assert_eq!(sizes, [2 << 20, 10_000, 1 << 20, 1 << 40, 3 << 20]);
    assert_eq!(read("aligned", 0, 512), begin);
    assert_eq!(read("aligned", 512, 8192), [0; 8192]);
    assert_eq!(read("aligned", 1 << 20, 4096), noise(4096));
    let ragged = fs::read(tree.join("ragged")).unwrap();
    let mut wanted = vec![0; 10_000];
    wanted[100..150].copy_from_slice(&begin[..50]);
    wanted[5000..5010].copy_from_slice(&begin[..10]);
    assert_eq!(ragged, wanted);
    assert_eq!(read("tail", (1 << 20) - 200, 200), [vec![0; 100], end].concat());
    assert_eq!(read("huge", 0, 1536), [vec![0; 512], begin.clone(), vec![0; 512]].concat());
    assert_eq!(read("huge", 1 << 39, 4096), [0; 4096]);
    assert_eq!(read("huge", (1 << 40) - 512, 512), begin);
    assert!(fs::read(tree.join("empty")).unwrap().iter().all(|b| *b == 0));
    assert_eq!(fs::read(tree.join("after")).unwrap(), b"after");
    let used = std::process::Command::new("du").args(["-s", "-x", "-B1"]).arg(dir.path()).output().unwrap();
    let used: u64 = String::from_utf8(used.stdout).unwrap().split('\t').next().unwrap().parse().unwrap();
    assert!(used < 8 << 20, "{used} bytes");
}

#[tokio::test]
async fn attributes_come_out_as_they_are() {
    let attributes: [(&str, &[u8]); 6] = [
        ("SCHILY.xattr.user.kept", b"v\0w"),
        ("SCHILY.xattr.user.empty", b""),
        ("SCHILY.xattr.user.large", &[7; 2000]),
        ("SCHILY.xattr.trusted.kept", b"t"),
        ("SCHILY.xattr.security.capability", CAPABILITY),
        ("SCHILY.xattr.system.posix_acl_access", ACL),
    ];
    let mut owned = Tar::header("owned", b'0', 0o6755, 0);
    owned.set_uid(3_000_000_000 - 1_000_000_000);
    owned.set_gid(1_234_567);
    let tar = Tar::new()
        .pax(&attributes)
        .file("f", b"x")
        .pax(&[("SCHILY.xattr.user.d", b"1"), ("SCHILY.xattr.system.posix_acl_default", ACL)])
        .directory("d/", 0o2755)
        .raw(owned, b"")
        .pax(&[("mtime", b"-5.25")])
        .file("old", b"")
        .pax(&[("mtime", b"4102444800.123456789")])
        .file("new", b"")
        .link("short", b'2', "../x")
        .pax(&[("linkpath", "l".repeat(400).as_bytes())])
        .link("longer", b'2', "")
        .pax(&[("linkpath", "l".repeat(4000).as_bytes())])
        .link("longest", b'2', "")
        .device("null", b'3', 1, 3)
        .device("disk", b'4', 259, 70_000)
        .raw(Tar::header("fifo", b'6', 0o620, 0), b"");
    let (_dir, _store, tree) = seen(vec![tar]).await;
    let meta = |name: &str| fs::symlink_metadata(tree.join(name)).unwrap();
    let file = tree.join("f");
    assert_eq!(xattr(&file, c"user.kept").as_deref(), Some(&b"v\0w"[..]));
    // As some libraries read it, an empty value takes the record back.
    assert!(matches!(xattr(&file, c"user.empty").as_deref(), None | Some(b"")));
    assert_eq!(xattr(&file, c"user.large"), Some(vec![7; 2000]));
    assert_eq!(xattr(&file, c"trusted.kept").as_deref(), Some(&b"t"[..]));
    assert_eq!(xattr(&file, c"security.capability").as_deref(), Some(CAPABILITY));
    assert_eq!(xattr(&file, c"system.posix_acl_access").as_deref(), Some(ACL));
    let default = xattr(&tree.join("d"), c"system.posix_acl_default");
    assert_eq!(default.as_deref(), Some(ACL));
    assert_eq!(meta("d").permissions().mode() & 0o7777, 0o2755);
    assert_eq!((meta("owned").uid(), meta("owned").gid()), (2_000_000_000, 1_234_567));
    assert_eq!(meta("owned").permissions().mode() & 0o7777, 0o6755);
    assert_eq!((meta("old").mtime(), meta("old").mtime_nsec()), (-6, 750_000_000));
    assert_eq!((meta("new").mtime(), meta("new").mtime_nsec()), (4_102_444_800, 123_456_789));
    for (name, length) in [("longer", 400), ("longest", 4000)] {
        assert_eq!(fs::read_link(tree.join(name)).unwrap().as_os_str().len(), length);
    }
    assert_eq!(fs::read_link(tree.join("short")).unwrap(), Path::new("../x"));
    assert!(meta("null").file_type().is_char_device() && meta("disk").file_type().is_block_device());
    let device = |major, minor| nix::sys::stat::makedev(major, minor);
    assert_eq!((meta("null").rdev(), meta("disk").rdev()), (device(1, 3), device(259, 70_000)));
    assert!(meta("fifo").file_type().is_fifo());
}

#[tokio::test]
async fn directories_of_every_shape_are_found_through() {
    let long = "n".repeat(255);
    let deep = "d/".repeat(300);
    let pax_path = |path: &str| [("path", path.as_bytes().to_vec())];
    let mut tar = Tar::new().directory("none/", 0o700).directory("many/", 0o755);
    for path in [long.clone(), format!("{deep}x"), format!("{}/{}", "ü".repeat(100), "ñ".repeat(127))] {
        let records = pax_path(&path);
        tar = tar.pax(&[(records[0].0, &records[0].1)]).file("x", path.as_bytes());
    }
    for i in 0..10_000 {
        tar = tar.file(&format!("many/{:x}-{i}", i * 7919 % 65_521), i.to_string().as_bytes());
    }
    let (_dir, _store, tree) = seen(vec![tar]).await;
    assert_eq!(names(&tree.join("none")), [] as [&str; 0]);
    assert_eq!(fs::read_to_string(tree.join(&long)).unwrap(), long);
    assert_eq!(fs::read_to_string(tree.join(&deep).join("x")).unwrap(), format!("{deep}x"));
    assert_eq!(names(&tree.join("many")).len(), 10_000);
    for i in (0..10_000).step_by(7) {
        let name = format!("many/{:x}-{i}", i * 7919 % 65_521);
        assert_eq!(fs::read_to_string(tree.join(&name)).unwrap(), i.to_string(), "{name}");
    }
    assert!(!tree.join("many/zzz").exists() && !tree.join("many/0").exists());
}

#[tokio::test]
async fn layers_cover_and_hide_each_other() {
    let below = Tar::new()
        .directory("etc/", 0o750)
        .file("etc/kept", b"0")
        .file("etc/removed", b"0")
        .file("etc/changed", b"0")
        .link("etc/hard", b'1', "etc/changed")
        .directory("opaque/", 0o755)
        .file("opaque/old", b"0")
        .directory("opaque/sub/", 0o755)
        .file("gone/deep/down", b"0")
        .file("file-to-dir", b"0")
        .file("dir-to-file/x", b"0")
        .link("link-to-dir", b'2', "etc")
        .file("back", b"0");
    let middle = Tar::new()
        .directory("etc/", 0o755)
        .file("etc/.wh.removed", b"")
        .file("etc/changed", b"1")
        .directory("opaque/", 0o700)
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/fresh", b"1")
        .file(".wh.gone", b"")
        .directory("file-to-dir/", 0o711)
        .file("file-to-dir/x", b"1")
        .file("dir-to-file", b"1")
        .directory("link-to-dir/", 0o755)
        .file("link-to-dir/x", b"1")
        .file(".wh.back", b"")
        .file("new", b"1")
        .link("new-hard", b'1', "new");
    let above = Tar::new()
        .file("back", b"2")
        .file("gone/again", b"2")
        // Said again: what a directory driver implies is not what lower layers have.
        .directory("opaque/", 0o700)
        .file("opaque/.wh.fresh", b"")
        .file(".wh.never", b"")
        .directory("etc/", 0o711)
        .file(".wh.etc", b"")
        .file("etc/only", b"2");
    let (_dir, _store, tree) = seen(vec![below, middle, above]).await;
    let read = |name: &str| fs::read_to_string(tree.join(name)).ok();
    let top =
        ["back", "dir-to-file", "etc", "file-to-dir", "gone", "link-to-dir", "new", "new-hard", "opaque"];
    assert_eq!(names(&tree), top);
    assert_eq!(names(&tree.join("etc")), ["only"]);
    assert_eq!(names(&tree.join("opaque")), [] as [&str; 0]);
    assert_eq!(names(&tree.join("gone")), ["again"]);
    assert_eq!(names(&tree.join("file-to-dir")), ["x"]);
    assert_eq!(names(&tree.join("link-to-dir")), ["x"]);
    assert_eq!((read("back").as_deref(), read("dir-to-file").as_deref()), (Some("2"), Some("1")));
    let meta = |name: &str| fs::symlink_metadata(tree.join(name)).unwrap();
    assert_eq!(meta("etc").permissions().mode() & 0o777, 0o711);
    assert_eq!(meta("opaque").permissions().mode() & 0o777, 0o700);
    assert_eq!((meta("new").ino(), meta("new").nlink()), (meta("new-hard").ino(), 2));
}

#[tokio::test]
async fn a_changed_name_of_a_hard_link_leaves_the_other_one() {
    let below = Tar::new().file("a", b"old").link("b", b'1', "a").link("c", b'1', "a");
    let above = Tar::new().file("a", b"new").file(".wh.c", b"").link("d", b'1', "a");
    let (_dir, _store, tree) = seen(vec![below, above]).await;
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap();
    assert_eq!((read("a").as_str(), read("b").as_str(), read("d").as_str()), ("new", "old", "new"));
    assert!(!tree.join("c").exists());
}

/// What containers write lies above, and nothing of it comes through to others.
#[tokio::test]
async fn containers_write_above_what_they_share() {
    let (_dir, store, tree) = seen(vec![Tar::new().file("f", b"image").file("bin/x", b"#!/bin/sh\n")]).await;
    fs::write(tree.join("f"), "mine").unwrap();
    fs::remove_file(tree.join("bin/x")).unwrap();
    fs::write(tree.join("bin/y"), "y").unwrap();
    let mut text = String::new();
    fs::File::open(tree.join("f")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "mine");
    let image = store.list().await.unwrap().remove(0);
    let other = hull_model::ContainerId::from_random([9; 32]);
    let rootfs = store.prepare(&other, &image.id).await.unwrap();
    let below = rootfs.lower.last().unwrap();
    assert_eq!(fs::read_to_string(below.join("f")).unwrap(), "image");
    assert_eq!(names(&below.join("bin")), ["x"]);
    if support::driver() != Snapshot::Directory {
        assert!(fs::write(below.join("f"), "x").is_err(), "the image can be written to");
    }
}
