//! Differences, layers, whole root file systems, volumes being filled, sizes.

mod support;

use hull_ports::{Archives as _, ChangeKind};
use hull_tar::Kind;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::process::Command;
use support::{Container, collect, entries, names};

/// What a container does in these tests.
const WORK: &str = "rm bin/ash; rm -r etc/network; echo >>etc/passwd; mkdir -p a/b/c; touch a/b/c/z; rm -rf var; mkdir var; touch var/new; \
    mv bin/arp bin/arp2; mkdir root; ln -s x root/lnk; rm bin/ar; mkdir bin/ar; touch bin/ar/in; touch bin/z0 bin-x; rm bin/date; \
    ln -s busybox bin/date; mkfifo ff; mknod dd b 7 9; touch -d 1960-01-01T00:00:00Z old; chmod 700 home; echo 1 >hard; ln hard bin/hard2; \
    mkdir -p dev/pts proc sys; touch etc/hosts2 dev/console; rm etc/hosts2; touch tmp/x; rm tmp/x; touch -r usr/lib usr/lib/same; \
    touch -d 2000-01-01T00:00:00Z usr/lib; printf x >\"$(printf 'bad\\377')\"";

fn worked() -> Container {
    let container = Container::new();
    let base = &container.tree.rootfs.lower[1];
    for dir in ["var", "var/www", "etc/network", "home", "tmp", "usr", "usr/lib", "usr/deep", "usr/deep/er"] {
        fs::create_dir(base.join(dir)).unwrap();
    }
    for file in [
        "bin/ash",
        "bin/arp",
        "bin/ar",
        "bin/date",
        "etc/passwd",
        "usr/deep/er/file",
        "var/www/x",
        "usr/lib/old",
    ] {
        fs::write(base.join(file), file).unwrap();
    }
    fs::create_dir(container.lower().join("usr")).unwrap();
    fs::write(container.lower().join("usr/top"), "").unwrap();
    // The directory's own time, as it will be after the container touched and restored it.
    let touched = Command::new("touch")
        .args(["-d", "2000-01-01T00:00:00Z"])
        .arg(base.join("usr/lib"))
        .status()
        .unwrap();
    assert!(touched.success());
    container.sh(WORK);
    container
}

#[tokio::test]
async fn changes_are_those_that_docker_shows() {
    let container = worked();
    let changes = container.driver.changes(&container.tree.rootfs).await.unwrap();
    let letter = |kind| match kind {
        ChangeKind::Modified => 'C',
        ChangeKind::Added => 'A',
        ChangeKind::Deleted => 'D',
    };
    let shown: Vec<String> = changes.iter().map(|c| format!("{} {}", letter(c.kind), c.path)).collect();
    let wanted = [
        "A /a",
        "A /a/b",
        "A /a/b/c",
        "A /a/b/c/z",
        "A /bad\u{fffd}",
        "C /bin",
        "C /bin/ar",
        "A /bin/ar/in",
        "D /bin/arp",
        "A /bin/arp2",
        "D /bin/ash",
        "C /bin/date",
        "A /bin/hard2",
        "A /bin/z0",
        "A /bin-x",
        "A /dd",
        "C /etc",
        "D /etc/network",
        "C /etc/passwd",
        "A /ff",
        "A /hard",
        "C /home",
        "A /old",
        "A /root",
        "A /root/lnk",
        "C /tmp",
        "C /usr",
        "C /usr/lib",
        "A /usr/lib/same",
        "C /var",
        "A /var/new",
        "D /var/www",
    ];
    assert_eq!(shown, wanted);
}

#[tokio::test]
async fn an_untouched_container_has_no_changes() {
    let container = Container::new();
    container
        .sh("mkdir -p dev/pts dev/shm proc sys; touch dev/console .dockerenv etc/hostname; cat etc/hosts");
    assert_eq!(container.driver.changes(&container.tree.rootfs).await.unwrap(), []);
    let layer = container.driver.layer(&container.tree.rootfs).await.unwrap();
    assert_eq!(collect(layer).await.unwrap(), [0; 1024]);
}

#[tokio::test]
async fn a_single_layer_is_compared_too() {
    let mut container = Container::new();
    let base = container.tree.rootfs.lower.pop().unwrap();
    container.tree.rootfs.lower = vec![base];
    // Overlayfs wants no less than this of a layer, and a lone whiteout in it hides nothing.
    container.sh("mknod dir/gone c 1 1; rm dir/gone; echo >dir/new; rm etc/hosts");
    let shown: Vec<String> =
        container.driver.changes(&container.tree.rootfs).await.unwrap().into_iter().map(|c| c.path).collect();
    assert_eq!(shown, ["/dir", "/dir/new", "/etc", "/etc/hosts"]);
}

#[tokio::test]
async fn a_layer_says_the_same_as_the_container() {
    let container = worked();
    let bytes = collect(container.driver.layer(&container.tree.rootfs).await.unwrap()).await.unwrap();
    let again = collect(container.driver.layer(&container.tree.rootfs).await.unwrap()).await.unwrap();
    assert_eq!(bytes, again, "the same changes are the same bytes");
    let layer = entries(&bytes);
    let shown = names(&layer);
    let wanted = [
        "a/",
        "a/b/",
        "a/b/c/",
        "a/b/c/z",
        "bad\u{fffd}",
        "bin/",
        "bin/ar/",
        "bin/ar/.wh..wh..opq",
        "bin/ar/in",
        "bin/.wh.arp",
        "bin/arp2",
        "bin/.wh.ash",
        "bin/date",
        "bin/hard2",
        "bin/z0",
        "bin-x",
        "dd",
        "etc/",
        "etc/.wh.network",
        "etc/passwd",
        "ff",
        "hard",
        "home/",
        "old",
        "root/",
        "root/lnk",
        "tmp/",
        "usr/",
        "usr/lib/",
        "usr/lib/same",
        "var/",
        "var/.wh..wh..opq",
        "var/new",
    ];
    assert_eq!(shown, wanted);
    let find = |name: &str| &layer.iter().find(|(e, _)| e.path == name.as_bytes()).unwrap().0;
    assert_eq!(find("home/").mode, 0o700);
    assert_eq!(find("hard").kind, Kind::HardLink(b"bin/hard2".to_vec()));
    assert_eq!(find("dd").kind, Kind::Block(7, 9));
    assert_eq!(find("old").mtime, (-315_619_200, 0));
}

#[tokio::test]
async fn an_export_is_what_gnu_tar_makes_of_the_merged_tree() {
    let container = worked();
    let bytes = collect(container.driver.export(&container.tree.rootfs).await.unwrap()).await.unwrap();
    let mut ours = support::listed(&bytes);
    let text = container.sh(
        "tar --numeric-owner -cf - --format=gnu * | LC_ALL=C tar --numeric-owner --utc --full-time -tvf -",
    );
    let mut theirs: Vec<String> = text.lines().map(str::to_owned).collect();
    // Which of two names of a file comes first is a matter of order.
    let plain = |lines: &mut Vec<String>| {
        lines.retain(|line| !line.contains("hard"));
        lines.sort();
    };
    plain(&mut ours);
    plain(&mut theirs);
    assert_eq!(ours, theirs);
    let order = names(&entries(&bytes));
    assert_eq!(order[..5], ["a/", "a/b/", "a/b/c/", "a/b/c/z", "bad\u{fffd}"]);
    assert!(order.iter().position(|n| n == "bin/z0") < order.iter().position(|n| n == "bin-x"));
}

#[tokio::test]
async fn sizes_are_apparent_and_count_links_once() {
    let container = Container::new();
    container.sh("printf 12345 >five; ln five again; truncate -s 1000000 holes; ln -s target link; mkdir d; printf 1 >d/one");
    let (written, whole) = container.driver.sizes(&container.tree.rootfs).await.unwrap();
    assert_eq!(written, 5 + 1_000_000 + 6 + 1);
    assert_eq!(whole, written + "127.0.0.1 localhost\n".len() as u64 + "hello\n".len() as u64);
}

#[tokio::test]
async fn an_empty_volume_is_filled_with_what_the_image_has() {
    let container = Container::new();
    let base = &container.tree.rootfs.lower[1];
    let script = "mkdir -p data/sub; echo 1 >data/f; ln data/f data/sub/h; ln -s /etc data/l; mkfifo data/p; mknod data/c c 1 3; \
        chmod 4751 data/f; chown 11:12 data/f data; chmod 2770 data; setfattr -n user.k -v v data/f 2>/dev/null || true; \
        touch -d 2010-10-10T10:10:10.123456789Z data/f data; ln -s data via; ln -s /../../data up";
    let made = Command::new("sh").args(["-ec", script]).current_dir(base).status().unwrap();
    assert!(made.success());
    for (path, name) in [("/data", "one"), ("/via", "two"), ("/../../data/.", "three"), ("/up/", "four")] {
        let volume = container.dir.path().join(name);
        fs::create_dir(&volume).unwrap();
        container.driver.populate(&container.tree.rootfs, Path::new(path), &volume).await.unwrap();
        let list = "find . -printf '%P %y %m %U:%G %n %l %s %T@\\n' | grep -v ' d 755' | sort";
        let look =
            |dir: &Path| Command::new("sh").args(["-c", list]).current_dir(dir).output().unwrap().stdout;
        let (ours, theirs) = (look(&volume), look(&base.join("data")));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        // A directory's own size is the file system's affair.
        let text =
            |bytes| text(bytes).replace(" 4096 ", " ").lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(text(ours), text(theirs), "{path}");
        let meta = fs::metadata(&volume).unwrap();
        assert_eq!(
            (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime_nsec()),
            (0o2770, 11, 12, 123_456_789)
        );
        // A second time changes nothing.
        fs::remove_file(volume.join("f")).unwrap();
        container.driver.populate(&container.tree.rootfs, Path::new(path), &volume).await.unwrap();
        assert!(!volume.join("f").exists());
    }
}

#[tokio::test]
async fn a_volume_is_only_filled_from_the_image() {
    let container = Container::new();
    let base = &container.tree.rootfs.lower[1];
    symlink("/etc", base.join("abs")).unwrap();
    symlink("../../../../../../../../etc", base.join("rel")).unwrap();
    symlink("/proc/self/root/etc", base.join("magic")).unwrap();
    fs::write(base.join("etc/only-here"), "image").unwrap();
    for path in ["/../../etc", "/abs", "/rel", "/dir/../../../etc"] {
        let volume = tempfile::tempdir().unwrap();
        container.driver.populate(&container.tree.rootfs, Path::new(path), volume.path()).await.unwrap();
        let mut names: Vec<_> =
            fs::read_dir(volume.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["hosts", "only-here"], "{path}");
    }
    for path in ["/magic", "/nothere", "/file", "/etc/hosts/x"] {
        let volume = tempfile::tempdir().unwrap();
        container.driver.populate(&container.tree.rootfs, Path::new(path), volume.path()).await.unwrap();
        assert_eq!(fs::read_dir(volume.path()).unwrap().count(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_copy_that_was_cut_short_is_made_whole() {
    let container = Container::new();
    let base = &container.tree.rootfs.lower[1];
    fs::write(base.join("dir/a"), "a").unwrap();
    fs::write(base.join("dir/b"), "b").unwrap();
    let volume = tempfile::tempdir().unwrap();
    let at = |name: &str| volume.path().join(name);
    let fill = async || {
        container.driver.populate(&container.tree.rootfs, Path::new("/dir"), volume.path()).await.unwrap()
    };
    let whole = || {
        let mut names: Vec<_> =
            fs::read_dir(volume.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names == ["a", "b", "sub"] && fs::read(at("a")).unwrap() == b"a" && fs::read(at("b")).unwrap() == b"b"
    };
    // Cut while it was copied.
    fs::create_dir(at(".hull-populating")).unwrap();
    fs::write(at(".hull-populating/a"), "").unwrap();
    fill().await;
    assert!(whole());
    // Cut while it was moved.
    fs::create_dir(at(".hull-populated")).unwrap();
    fs::rename(at("a"), at(".hull-populated/a")).unwrap();
    fs::rename(at("sub"), at(".hull-populated/sub")).unwrap();
    fill().await;
    assert!(whole());
}
