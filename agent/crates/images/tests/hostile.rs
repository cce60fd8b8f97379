//! Layers that try to get out of their directory, and layers that are merely unusual.

mod support;

use hull_images::Snapshot;
use hull_ports::ErrorClass;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::fake::Fake;
use support::image::{Packing, Tar, TestImage, noise};
use support::{Dir, assert_nothing_left, layer_tree, open, pull};

/// Pulls an image of one layer; returns the layer's tree.
async fn unpacked(dir: &Dir, archive: Vec<u8>) -> Result<PathBuf, hull_ports::Error> {
    let image = TestImage::new(&[(archive, Packing::Plain)]);
    let fake = Fake::with("1", &image).await;
    let store = open(dir.path());
    match pull(&store, &fake.host, "a:1").await {
        Ok(pulled) => Ok(layer_tree(dir, &pulled.layers[0])),
        Err(error) => {
            assert_nothing_left(&store, dir.path()).await;
            Err(error)
        }
    }
}

async fn good(archive: Tar) -> (Dir, PathBuf) {
    let dir = support::dir();
    let tree = unpacked(&dir, archive.end()).await.unwrap_or_else(|e| panic!("{}", e.chain()));
    (dir, tree)
}

#[tokio::test]
async fn what_leads_out_of_the_layer_is_refused_and_touches_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let (out, inner) = (outside.path().to_str().unwrap(), victim.to_str().unwrap());
    let up = format!("{}{}", "../".repeat(20), &out[1..]);
    let rows: Vec<(&str, Tar, &str)> = vec![
        ("..", Tar::new().file("../x", b"x"), "\"..\""),
        (".. inside", Tar::new().directory("a/", 0o755).file("a/../../x", b"x"), "\"..\""),
        ("only ..", Tar::new().directory("..", 0o777), "\"..\""),
        (
            "absolute link, then below it",
            Tar::new().link("l", b'2', out).file("l/victim", b"x"),
            "symbolic link",
        ),
        (
            "relative link, then below it",
            Tar::new().link("l", b'2', &up).file("l/victim", b"x"),
            "symbolic link",
        ),
        (
            "link to a link",
            Tar::new().link("m", b'2', out).link("l", b'2', "m").file("l/victim", b"x"),
            "symbolic link",
        ),
        (
            "a link inside",
            Tar::new().directory("d/", 0o755).link("l", b'2', "d").file("l/x", b"x"),
            "symbolic link",
        ),
        (
            "directory through a link",
            Tar::new().link("l", b'2', out).directory("l/new", 0o777),
            "symbolic link",
        ),
        ("link through a link", Tar::new().link("l", b'2', out).link("l/new", b'2', "x"), "symbolic link"),
        (
            "whiteout through a link",
            Tar::new().link("l", b'2', out).file("l/.wh.victim", b""),
            "symbolic link",
        ),
        (
            "opaque through a link",
            Tar::new().link("l", b'2', out).file("l/.wh..wh..opq", b""),
            "symbolic link",
        ),
        ("hard link out", Tar::new().link("h", b'1', inner), "hard link"),
        ("hard link up", Tar::new().link("h", b'1', &format!("{up}/victim")), "hard link"),
        (
            "hard link through a link",
            Tar::new().link("l", b'2', out).link("h", b'1', "l/victim"),
            "symbolic link",
        ),
        ("hard link to nothing", Tar::new().link("h", b'1', "missing"), "hard link"),
        ("hard link to a directory", Tar::new().directory("d", 0o755).link("h", b'1', "d"), "hard link"),
        ("hard link to a whiteout", Tar::new().file(".wh.x", b"").link("h", b'1', "x"), "hard link"),
        ("below a file", Tar::new().file("f", b"x").file("f/x", b"x"), "through a file"),
        ("whiteout device", Tar::new().device("w", b'3', 0, 0), "0:0"),
        ("whiteout of ..", Tar::new().file(".wh...", b""), "whiteout"),
        ("whiteout of .", Tar::new().file("a/.wh..", b""), "whiteout"),
        ("whiteout of nothing", Tar::new().file(".wh.", b""), "whiteout"),
        ("whiteout as directory", Tar::new().directory(".wh.a", 0o755), "whiteout"),
        ("whiteout as link", Tar::new().link(".wh.a", b'2', out), "whiteout"),
        ("below a whiteout", Tar::new().file(".wh.a/b", b"x"), "whiteout"),
        ("root as a file", Tar::new().file("./", b"x"), "root"),
        ("unknown type", Tar::new().raw(Tar::header("x", b'V', 0o644, 0), b""), "this type"),
        ("empty link", Tar::new().link("l", b'2', ""), "points to nothing"),
    ];
    for (what, archive, part) in rows {
        let dir = support::dir();
        let error = unpacked(&dir, archive.end()).await.expect_err(what);
        assert_eq!(error.class, ErrorClass::Permanent, "{what}: {}", error.chain());
        assert!(error.chain().contains(part), "{what}: {}", error.chain());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{what}");
        assert_eq!(support::names(outside.path()), ["victim"], "{what}");
    }
}

#[tokio::test]
async fn broken_archives_are_refused() {
    let file = Tar::new().file("f", &noise(2000));
    let whole = file.end();
    let mut checksum = whole.clone();
    checksum[0] ^= 1;
    let mut hole = whole.clone();
    hole.splice(0..0, [0u8; 512]);
    let mut owner = Tar::header("f", b'0', 0o644, 0);
    owner.set_uid(u64::from(u32::MAX));
    let mut huge = Tar::header("f", b'x', 0o644, 2 << 20);
    huge.set_size(2 << 20);
    let pax = |records: &[u8]| Tar::new().raw(Tar::header("p", b'x', 0o644, records.len() as u64), records);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("cut in a file", whole[..1024].to_vec()),
        ("cut in a header", whole[..300].to_vec()),
        ("wrong checksum", checksum),
        ("zeros between entries", hole),
        ("owner out of range", Tar::new().raw(owner, b"").end()),
        ("huge extended header", Tar::new().raw(huge, &noise(2 << 20)).end()),
        ("broken record", pax(b"99 path=x\n").file("f", b"x").end()),
        ("extended header of nothing", pax(b"9 path=x\n").end()),
        (
            "two extended headers",
            pax(b"9 path=x\n").raw(Tar::header("p", b'x', 0o644, 9), b"9 path=y\n").file("f", b"").end(),
        ),
        ("size beyond the end", pax(b"17 size=99999999\n").file("f", b"x").end()),
    ];
    for (what, archive) in rows {
        let dir = support::dir();
        let error = unpacked(&dir, archive).await.expect_err(what);
        assert_eq!(error.class, ErrorClass::Permanent, "{what}: {}", error.chain());
        assert!(error.chain().contains("layer"), "{what}: {}", error.chain());
    }
}

#[tokio::test]
async fn unusual_layers_are_unpacked_as_they_mean() {
    let mut setuid = Tar::header("bin/su", b'0', 0o4755, 2);
    setuid.set_uid(1000);
    setuid.set_gid(2000);
    let archive = Tar::new()
        .directory("./", 0o750)
        .raw(setuid, b"su")
        .file("/etc/absolute", b"a")
        .file("implicit/deep/file", b"i")
        .directory("tmp/", 0o1777)
        .link("bin/link", b'2', "/etc/passwd")
        .link("bin/hard", b'1', "bin/su")
        .link("bin/hard-to-link", b'1', "bin/link")
        .link("bin/su", b'1', "bin/su")
        .device("dev/null", b'3', 1, 3)
        .device("dev/sda", b'4', 8, 0)
        .raw(Tar::header("dev/fifo", b'6', 0o622, 0), b"")
        // A link that carries a size has no data (as Go reads it).
        .raw(
            {
                let mut h = Tar::header("bin/sized", b'2', 0o777, 5000);
                h.set_link_name("x").unwrap();
                h
            },
            b"",
        )
        .file(".wh..wh.plnk/1.2", b"ignored")
        .file("last", b"ok");
    let (dir, tree) = good(archive).await;
    let meta = |path: &str| fs::symlink_metadata(tree.join(path)).unwrap();
    let mode = |path: &str| meta(path).permissions().mode() & 0o7777;
    assert_eq!(mode(""), 0o750);
    assert_eq!((mode("bin/su"), meta("bin/su").uid(), meta("bin/su").gid()), (0o4755, 1000, 2000));
    assert_eq!(meta("bin/su").mtime(), 1_700_000_000);
    assert_eq!(meta("bin/su").ino(), meta("bin/hard").ino());
    assert_eq!(meta("bin/link").ino(), meta("bin/hard-to-link").ino());
    assert_eq!(fs::read_link(tree.join("bin/link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::read_to_string(tree.join("etc/absolute")).unwrap(), "a");
    assert_eq!(mode("implicit/deep"), 0o755);
    assert_eq!((mode("tmp"), meta("tmp").mtime()), (0o1777, 1_700_000_000));
    assert!(meta("dev/null").file_type().is_char_device() && meta("dev/sda").file_type().is_block_device());
    assert!(meta("dev/fifo").file_type().is_fifo() && mode("dev/fifo") == 0o622);
    assert!(!tree.join(".wh..wh.plnk").exists());
    assert_eq!(fs::read_to_string(tree.join("last")).unwrap(), "ok");
    // Nobody but root gets near the set-user-id program.
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Directories that no entry names, as deep as a path can say.
#[tokio::test]
async fn the_depth_of_a_layer_does_not_matter() {
    let path = format!("{}x", "d/".repeat(2040));
    let record = format!(" path={path}\n");
    let record = format!("{}{record}", record.len() + 4);
    let header = Tar::header("p", b'x', 0o644, record.len() as u64);
    let (dir, tree) = good(Tar::new().raw(header, record.as_bytes()).file("x", b"deep")).await;
    assert_eq!(
        fs::read_to_string(tree.join(&path[..]).as_path()).map_err(|e| e.kind()),
        Err(std::io::ErrorKind::InvalidFilename),
        "the whole path is too long for the kernel"
    );
    if support::driver() == hull_images::Snapshot::Directory {
        hull_sys::tree::remove(fs::File::open(dir.path()).unwrap(), "layers").unwrap();
    }
}

#[tokio::test]
async fn the_last_entry_of_a_name_wins() {
    let archive = Tar::new()
        .file("a", b"file")
        .directory("a/", 0o700)
        .file("a/in", b"x")
        .directory("b/", 0o755)
        .file("b/deep/x", b"x")
        .link("b", b'2', "a")
        .link("c", b'2', "/etc")
        .file("c", b"now a file")
        .directory("d/", 0o700)
        .file("d/kept", b"x")
        .directory("d/", 0o755)
        .file("e", b"1")
        .file("e", b"22")
        .link("f", b'2', "/etc")
        .directory("f/", 0o755)
        .file("f/passwd", b"ours");
    let (_dir, tree) = good(archive).await;
    assert_eq!(fs::read_to_string(tree.join("a/in")).unwrap(), "x");
    assert_eq!(fs::read_link(tree.join("b")).unwrap(), Path::new("a"));
    assert_eq!(fs::read_to_string(tree.join("c")).unwrap(), "now a file");
    assert_eq!(fs::read_to_string(tree.join("d/kept")).unwrap(), "x");
    assert_eq!(fs::metadata(tree.join("d")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_to_string(tree.join("e")).unwrap(), "22");
    assert_eq!(fs::read_to_string(tree.join("f/passwd")).unwrap(), "ours");
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_char_device() && meta.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    let dir = fs::File::open(path).unwrap();
    hull_sys::xattr::get(&dir, c"trusted.overlay.opaque").unwrap().as_deref() == Some(b"y")
}

#[tokio::test]
async fn whiteouts_hide_lower_layers_and_never_their_own() {
    let archive = Tar::new()
        .file(".wh.plain", b"")
        .file("dir/.wh.x", b"")
        .file(".wh.file", b"")
        .file("file", b"mine")
        .file("early", b"mine")
        .file(".wh.early", b"")
        .directory("d1/", 0o755)
        .file("d1/x", b"mine")
        .file(".wh.d1", b"")
        .file(".wh.d2", b"")
        .directory("d2/", 0o755)
        .file("d2/x", b"mine")
        .file(".wh.d3", b"")
        .file("d3/implicit", b"mine")
        .file("d4/.wh..wh..opq", b"")
        .file("d4/x", b"mine")
        .file(".wh.twice", b"")
        .file(".wh.twice", b"");
    let (_dir, tree) = good(archive).await;
    for name in ["plain", "dir/x", "twice"] {
        assert!(is_whiteout(&tree.join(name)), "{name}");
    }
    for name in ["file", "early", "d1/x", "d2/x", "d3/implicit", "d4/x"] {
        assert_eq!(fs::read_to_string(tree.join(name)).unwrap(), "mine", "{name}");
    }
    for name in ["d1", "d2", "d3", "d4"] {
        assert!(is_opaque(&tree.join(name)), "{name}");
    }
    assert!(!is_opaque(&tree.join("dir")));
}

#[tokio::test]
async fn only_harmless_attributes_are_kept() {
    let record = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let length = (rest.len()..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
        format!("{length}{rest}")
    };
    let records = [
        record("SCHILY.xattr.user.kept", "v"),
        record("SCHILY.xattr.user.overlay.opaque", "y"),
        record("SCHILY.xattr.trusted.overlay.opaque", "y"),
        record("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
        record("SCHILY.xattr.security.selinux", "x"),
    ]
    .concat();
    let header = || Tar::header("p", b'x', 0o644, records.len() as u64);
    let archive = Tar::new()
        .raw(header(), records.as_bytes())
        .directory("d/", 0o755)
        .raw(header(), records.as_bytes())
        .file("f", b"x");
    let (_dir, tree) = good(archive).await;
    for name in ["d", "f"] {
        let file = fs::File::open(tree.join(name)).unwrap();
        let get = |key: &std::ffi::CStr| hull_sys::xattr::get(&file, key).unwrap();
        assert_eq!(get(c"user.kept").as_deref(), Some(&b"v"[..]), "{name}");
        for key in [c"user.overlay.opaque", c"trusted.overlay.opaque", c"trusted.overlay.redirect"] {
            assert_eq!(get(key), None, "{name} {key:?}");
        }
    }
}

/// Whatever GNU tar writes, in each of its formats, we read as it does.
#[tokio::test]
async fn archives_of_gnu_tar_come_out_the_same() {
    let source = tempfile::tempdir().unwrap();
    let top = source.path();
    let long = format!("long/{}/{}", "n".repeat(150), "m".repeat(120));
    fs::create_dir_all(top.join(&long)).unwrap();
    fs::write(top.join(&long).join("file"), noise(5000)).unwrap();
    fs::write(top.join("ü ñ"), "text").unwrap();
    std::os::unix::fs::symlink(format!("/{}", "t".repeat(300)), top.join("link")).unwrap();
    fs::hard_link(top.join("ü ñ"), top.join("hard")).unwrap();
    let sparse = fs::File::create(top.join("sparse")).unwrap();
    for piece in 0..40u64 {
        std::os::unix::fs::FileExt::write_at(&sparse, &noise(4096), piece << 20).unwrap();
    }
    sparse.set_len(50 << 20).unwrap();
    fs::set_permissions(top.join("hard"), fs::Permissions::from_mode(0o6711)).unwrap();
    std::os::unix::fs::chown(top.join("hard"), Some(3_000_000), Some(7)).unwrap();
    let listing = |dir: &Path| {
        // Sizes of directories are the file system's affair, and only pax keeps fractions of seconds.
        let script = "find . -printf '%P %y %m %U:%G %l %n %TY-%Tm-%Td %TH:%TM\\n' | LC_ALL=C sort; \
                      find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum";
        let output = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for format in ["gnu", "pax", "pax --sparse-version=0.0", "pax --sparse-version=0.1"] {
        let mut command = Command::new("tar");
        command.arg("-C").arg(top).args(["-c", "--sparse"]);
        command.args(format!("--format={format}").split(' ')).arg(".");
        let archive = command.output().unwrap();
        assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
        let dir = support::dir();
        let tree = unpacked(&dir, archive.stdout).await.unwrap_or_else(|e| panic!("{format}: {}", e.chain()));
        assert_eq!(listing(&tree), listing(top), "{format}");
        let blocks = match support::driver() {
            Snapshot::Directory => fs::metadata(tree.join("sparse")).unwrap().blocks(),
            // The whole layer: such a file system does not say what a file takes.
            _ => {
                let layer = dir.path().join("layers");
                let layer = layer.join(&support::names(&layer)[0]);
                support::names(&layer)
                    .iter()
                    .map(|name| fs::metadata(layer.join(name)).unwrap().blocks())
                    .sum()
            }
        };
        assert!(blocks < 4096, "{format}: the holes were filled: {blocks} blocks");
    }
}
