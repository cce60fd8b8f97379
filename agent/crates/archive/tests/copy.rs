//! Copying in and out, as the API's clients see it.

mod support;

use hull_ports::{Archives as _, ErrorClass, PutOptions};
use hull_tar::Kind;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use support::{Container, Tar, collect, names, plain};

/// Files like those the answers below were compared for.
const FILES: &str = "mkdir -p t/d/sub t/empty; echo hi >t/f; ln t/f t/hl; ln -s f t/sf; ln -s d t/sd; ln -s /etc/hosts t/abs; \
    ln -s nowhere t/dang; ln -s /t/d t/absd; echo x >t/d/x; mkfifo t/fifo; mknod t/nod c 1 3; chown 1000:1001 t/f; chmod 4755 t/f; \
    touch -d 2020-01-02T03:04:05.5Z t/f; chmod 1777 t/d; ln -s loop t/loop; ln -s sf t/chain; ln -s ../../../t/f t/up; \
    ln -s absd/x t/through; ln -s /proc/self/root t/magic";

#[tokio::test]
async fn what_is_at_a_path_is_told() {
    let container = Container::new();
    container.sh(FILES);
    let rows = [
        ("/t/f", "f", 0o104_755, ""),
        ("t/f", "f", 0o104_755, ""),
        ("/t", "t", 0o040_755, ""),
        ("/t/", "t", 0o040_755, ""),
        ("/t/.", ".", 0o040_755, ""),
        ("/t/d", "d", 0o041_777, ""),
        ("/t/sf", "sf", 0o120_777, "/t/f"),
        ("/t/sd", "sd", 0o120_777, "/t/d"),
        ("/t/sd/", "sd", 0o041_777, ""),
        ("/t/sd/.", ".", 0o041_777, ""),
        ("/t/sd/x", "x", 0o100_644, ""),
        ("/t/abs", "abs", 0o120_777, "/etc/hosts"),
        ("/t/dang", "dang", 0o120_777, "/t/nowhere"),
        ("/t/absd/", "absd", 0o041_777, ""),
        ("/t/chain", "chain", 0o120_777, "/t/f"),
        ("/t/up", "up", 0o120_777, "/t/f"),
        ("/t/through", "through", 0o120_777, "/t/d/x"),
        ("/t/magic", "magic", 0o120_777, "/proc/self/root"),
        ("/t/fifo", "fifo", 0o010_644, ""),
        ("/t/nod", "nod", 0o020_644, ""),
        ("/", "/", 0o040_755, ""),
        ("/.", ".", 0o040_755, ""),
        ("/t/..", "/", 0o040_755, ""),
        ("/t/d/..", "t", 0o040_755, ""),
        ("/t/../t/f", "f", 0o104_755, ""),
    ];
    for (path, name, mode, target) in rows {
        let stat = container.driver.stat(&container.tree, Path::new(path)).await.unwrap();
        let mode = if path.trim_matches(['/', '.']).is_empty() || path == "/t/.." { stat.mode } else { mode };
        assert_eq!(
            (stat.name.as_str(), stat.mode, stat.link_target.as_str()),
            (name, mode, target),
            "{path}"
        );
    }
    let stat = container.driver.stat(&container.tree, Path::new("/t/f")).await.unwrap();
    assert_eq!((stat.size, stat.modified.to_string().as_str()), (3, "2020-01-02T03:04:05.5Z"));
}

#[tokio::test]
async fn what_is_not_there_is_said_as_docker_says_it() {
    let container = Container::new();
    container.sh(FILES);
    let rows = [
        ("/nothere", ErrorClass::NotFound, ""),
        ("/t/dang/", ErrorClass::NotFound, ""),
        ("/t/nothere/x", ErrorClass::NotFound, ""),
        ("/t/f/x", ErrorClass::Retryable, "lstat /t/f/x: not a directory"),
        ("/t/f/", ErrorClass::Retryable, "lstat /t/f/: not a directory"),
        ("/t/f/.", ErrorClass::Retryable, "lstat /t/f/.: not a directory"),
        ("/t/sf/", ErrorClass::Retryable, "lstat /t/sf/: not a directory"),
        ("/t/sf/x", ErrorClass::Retryable, "lstat /t/sf/x: not a directory"),
        ("/t/loop/x", ErrorClass::Retryable, "lstat /t/loop/x: too many levels of symbolic links"),
    ];
    for (path, class, message) in rows {
        let error = container.driver.stat(&container.tree, Path::new(path)).await.unwrap_err();
        assert_eq!(error.class, class, "{path}: {}", error.chain());
        assert!(message.is_empty() || error.message == message, "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn archives_are_named_after_what_was_asked_for() {
    let container = Container::new();
    container.sh(FILES);
    let below = [
        "", "abs", "absd", "chain", "d/", "d/sub/", "d/x", "dang", "empty/", "f", "fifo", "hl", "loop",
        "magic", "nod", "sd", "sf", "through", "up",
    ];
    let rows: [(&str, Vec<String>); 7] = [
        ("/etc/hosts", vec!["hosts".into()]),
        ("/t", below.iter().map(|n| format!("t/{n}")).collect()),
        ("/t/", below.iter().map(|n| format!("t/{n}")).collect()),
        ("/t/.", below.iter().map(|n| format!("./{n}")).collect()),
        ("/t/sf", vec!["sf".into()]),
        ("/t/sd/", ["sd/", "sd/sub/", "sd/x"].map(String::from).into()),
        ("/t/fifo", vec!["fifo".into()]),
    ];
    for (path, wanted) in rows {
        assert_eq!(names(&container.get(path).await.unwrap()), wanted, "{path}");
    }
    let root = names(&container.get("/").await.unwrap());
    assert_eq!(root[..3], ["/", "/bin/", "/dir/"]);
    let t = container.get("/t").await.unwrap();
    let find = |name: &str| t.iter().find(|(e, _)| e.path == name.as_bytes()).unwrap();
    let (file, data) = find("t/f");
    assert_eq!((file.mode, file.uid, file.gid, file.mtime), (0o4755, 1000, 1001, (1_577_934_245, 0)));
    assert_eq!(data, b"hi\n");
    assert_eq!(find("t/hl").0.kind, Kind::HardLink(b"t/f".to_vec()));
    assert_eq!(find("t/nod").0.kind, Kind::Char(1, 3));
    assert_eq!(find("t/sd").0.kind, Kind::Symlink(b"d".to_vec()));
}

#[tokio::test]
async fn archives_are_unpacked_as_docker_does() {
    let container = Container::new();
    container.sh("mkdir p p/kept; chmod 1777 p; chmod 755 p/kept; echo k >p/kept/k; echo old >p/old");
    let archive = Tar::new()
        .directory("./", 0o700)
        .directory("kept/", 0o700)
        .file("kept/a", "1")
        .file("old", "new")
        .file("/absolute", "x")
        .file("n1/n2/n3", "x")
        .file("a/../up", "x")
        .file(".wh.foo", "x")
        .file(".wh..wh..opq", "x")
        .hard_link("other", "kept/a")
        .hard_link("kept/a", "kept/a")
        .symlink("l", "/etc")
        .file("l/evil", "x")
        .entry(&plain("null", Kind::Char(1, 3)), b"")
        .entry(&plain("pipe", Kind::Fifo), b"")
        .end();
    container.put("/p", archive, PutOptions::default()).await.unwrap();
    let p = container.upper().join("p");
    let mode = |name: &str| fs::symlink_metadata(p.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode(""), mode("kept"), mode("kept/a"), mode("n1")), (0o1777, 0o700, 0o640, 0o755));
    assert_eq!(fs::read_to_string(p.join("kept/k")).unwrap(), "k\n");
    assert_eq!(fs::read_to_string(p.join("old")).unwrap(), "new");
    for name in ["absolute", "n1/n2/n3", "up", ".wh.foo", ".wh..wh..opq", "etc/evil"] {
        assert_eq!(fs::read_to_string(p.join(name)).unwrap(), "x", "{name}");
    }
    let a = fs::metadata(p.join("kept/a")).unwrap();
    assert_eq!(
        (a.uid(), a.gid(), a.mtime(), a.ino()),
        (123, 456, 1_600_000_000, fs::metadata(p.join("other")).unwrap().ino())
    );
    assert_eq!(fs::metadata(p.join("kept")).unwrap().mtime(), 1_600_000_000);
    let null = fs::symlink_metadata(p.join("null")).unwrap();
    assert!(null.file_type().is_char_device() && null.rdev() == nix::sys::stat::makedev(1, 3));
    assert!(fs::symlink_metadata(p.join("pipe")).unwrap().file_type().is_fifo());
    assert!(!container.upper().join("etc/evil").exists() && !Path::new("/etc/evil").exists());
}

#[tokio::test]
async fn bad_destinations_and_archives_are_refused_in_dockers_words() {
    let mut container = Container::new();
    container.sh(FILES);
    container.volume("/ro", true);
    let one = || Tar::new().file("z", "z").end();
    let plain = PutOptions::default();
    let keep = PutOptions { no_overwrite_dir_non_dir: true, owner: None };
    let garbage = b"garbage garbage".to_vec();
    let rows = [
        ("/t/f", one(), plain, ErrorClass::Permanent, "extraction point is not a directory"),
        ("/t/sf", one(), plain, ErrorClass::Permanent, "extraction point is not a directory"),
        ("/nonex", one(), plain, ErrorClass::NotFound, ""),
        ("/t/f/x", one(), plain, ErrorClass::Retryable, "not a directory"),
        ("/ro", one(), plain, ErrorClass::Permanent, "mounted volume is marked read-only"),
        (
            "/t",
            Tar::new().directory("f/", 0o755).end(),
            keep,
            ErrorClass::Retryable,
            "cannot overwrite non-directory \"f\" with directory \"/t\"",
        ),
        (
            "/t",
            Tar::new().file("d", "").end(),
            keep,
            ErrorClass::Retryable,
            "cannot overwrite directory \"d\" with non-directory \"/t\"",
        ),
        ("/t", garbage, plain, ErrorClass::Retryable, "unexpected EOF"),
        ("/t", vec![7; 700], plain, ErrorClass::Retryable, "archive/tar: invalid tar header"),
        ("/t", one()[..512].to_vec(), plain, ErrorClass::Retryable, "unexpected EOF"),
        (
            "/t",
            Tar::new().file("../../esc", "x").end(),
            plain,
            ErrorClass::Retryable,
            "invalid entry name \"../../esc\"",
        ),
        (
            "/t",
            Tar::new().hard_link("h", "../../etc/passwd").end(),
            plain,
            ErrorClass::Retryable,
            "invalid hardlink target \"../../etc/passwd\"",
        ),
        ("/t", Tar::new().hard_link("h", "nothere").end(), plain, ErrorClass::NotFound, ""),
    ];
    for (path, archive, options, class, message) in rows {
        let error = container.put(path, archive, options).await.unwrap_err();
        assert_eq!(error.class, class, "{path} {message}: {}", error.chain());
        assert!(error.message.starts_with(message), "{path}: {}", error.message);
    }
    container.put("/t", Vec::new(), plain).await.unwrap();
    container.tree.read_only = true;
    let error = container.put("/t", one(), plain).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Permanent, "container rootfs is marked read-only")
    );
}

#[tokio::test]
async fn types_are_replaced_where_that_is_allowed() {
    let container = Container::new();
    container.sh(FILES);
    let archive = Tar::new().directory("f/", 0o700).file("d", "file").file("sd", "no link").end();
    container.put("/t", archive, PutOptions { owner: Some((7, 8)), ..PutOptions::default() }).await.unwrap();
    let listing = container.sh("stat -c '%n %F %u:%g' t/f t/d t/sd t/hl");
    assert_eq!(
        listing,
        "t/f directory 7:8\nt/d regular file 7:8\nt/sd regular file 7:8\nt/hl regular file 1000:1001\n"
    );
}

#[tokio::test]
async fn volumes_are_part_of_a_container_that_does_not_run() {
    let mut container = Container::new();
    let volume = container.volume("/data/volume", false);
    let second = container.volume("/data/volume/inner", true);
    fs::write(volume.join("in"), "volume").unwrap();
    fs::write(second.join("deep"), "inner").unwrap();
    let file = container.dir.path().join("single");
    fs::write(&file, "a file").unwrap();
    container.tree.mounts.push(hull_ports::TreeMount {
        source: file,
        target: "/etc/one".into(),
        read_only: true,
    });
    let got = container.get("/data").await.unwrap();
    assert_eq!(
        names(&got),
        ["data/", "data/volume/", "data/volume/in", "data/volume/inner/", "data/volume/inner/deep"]
    );
    assert_eq!(container.get("/etc/one").await.unwrap()[0].1, b"a file");
    container.put("/data/volume", Tar::new().file("out", "x").end(), PutOptions::default()).await.unwrap();
    assert_eq!(fs::read_to_string(volume.join("out")).unwrap(), "x");
    container.tree.read_only = true;
    container.put("/data/volume", Tar::new().file("again", "x").end(), PutOptions::default()).await.unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(container.dir.path().to_str().unwrap()), "nothing is mounted on the host");
}

#[tokio::test]
async fn a_running_container_is_seen_as_it_is() {
    let mut container = Container::new();
    let volume = container.volume("/vol", false);
    fs::write(volume.join("in"), "volume").unwrap();
    let running = container.start("echo live >/live; echo ready; exec sleep 1000");
    assert_eq!(container.get("/live").await.unwrap()[0].1, b"live\n");
    assert_eq!(names(&container.get("/vol").await.unwrap()), ["vol/", "vol/in"]);
    // What the kernel makes up is no file of the container.
    assert_eq!(names(&container.get("/proc").await.unwrap()), ["proc/"]);
    container.put("/vol", Tar::new().file("put", "x").end(), PutOptions::default()).await.unwrap();
    container.put("/dir", Tar::new().file("put", "x").end(), PutOptions::default()).await.unwrap();
    let root = format!("/proc/{}/root", container.tree.pid.unwrap());
    for path in ["vol/put", "dir/put"] {
        assert_eq!(fs::read_to_string(Path::new(&root).join(path)).unwrap(), "x", "{path}");
    }
    // A process that is not this container's is not looked into.
    let own = container.tree.pid.replace(i32::try_from(std::process::id()).unwrap());
    assert_eq!(names(&container.get("/dir").await.unwrap()), ["dir/", "dir/put", "dir/sub/"]);
    container.tree.pid = own;
    drop(running);
    assert_eq!(container.get("/live").await.unwrap()[0].1, b"live\n");
}

#[tokio::test]
async fn compressed_archives_are_unpacked() {
    let container = Container::new();
    let archive = Tar::new().file("z", "packed").end();
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let source = container.dir.path().join("a.tar");
        fs::write(&source, &archive).unwrap();
        let packed = std::process::Command::new(program).arg("-c").arg(&source).output().unwrap().stdout;
        container.put("/dir", packed, PutOptions::default()).await.unwrap();
        assert_eq!(fs::read_to_string(container.upper().join("dir/z")).unwrap(), "packed", "{program}");
        fs::remove_file(container.upper().join("dir/z")).unwrap();
    }
}

#[tokio::test]
async fn capabilities_and_user_attributes_survive_a_round_trip() {
    let container = Container::new();
    let cap = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut entry = plain("ping", Kind::File);
    entry.xattrs = vec![(b"security.capability".to_vec(), cap), (b"user.k".to_vec(), b"v\n".to_vec())];
    let kept = entry.xattrs.clone();
    entry.xattrs.push((b"trusted.overlay.opaque".to_vec(), b"y".to_vec()));
    let archive = Tar::new().entry(&entry, b"").end();
    container.put("/bin", archive, PutOptions::default()).await.unwrap();
    let got = container.get("/bin/ping").await.unwrap();
    assert_eq!(got[0].0.xattrs, kept);
    let mode = fs::metadata(container.upper().join("bin/ping")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[tokio::test]
async fn gnu_tar_agrees_about_both_directions() {
    let container = Container::new();
    let source = container.dir.path().join("source");
    let script = "mkdir -p d/e; echo 1 >d/f; ln d/f d/h; ln -s ../x d/l; mkfifo d/p; mknod d/c c 5 6; mknod d/b b 7 8; chmod 2711 d; \
        printf x >d/\"$(printf 'n\\nl \\377')\"; chown -h 65534:3000000 d/l d/f; touch -h -d 1999-12-31T23:59:59Z d/l d/e d/f; \
        touch d/$(printf 'l%.0s' $(seq 200)); truncate -s 3000000 d/holes; printf end >>d/holes; touch -d 2001-01-01T00:00:00Z d";
    fs::create_dir(&source).unwrap();
    let run = |dir: &Path, script: &str| {
        let output =
            std::process::Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&source, script);
    let list = "find . -mindepth 1 | LC_ALL=C sort | tar --no-recursion --numeric-owner -cf - -T - | tar --numeric-owner --utc --full-time -tvf -";
    for format in ["gnu", "posix", "gnu --sparse", "posix --sparse"] {
        let archive = run(&source, &format!("tar --numeric-owner --format={format} -cf - d"));
        container.put("/dir", archive, PutOptions::default()).await.unwrap();
        let strip = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (ours, theirs) = (run(&container.upper().join("dir/d"), list), run(&source.join("d"), list));
        // Times of what has none in the script differ by fractions that some formats do not keep.
        let whole = |text: String| {
            text.lines().map(|l| l.split('.').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(whole(strip(ours)), whole(strip(theirs)), "{format}");
        run(&source.join("d"), &format!("cmp holes {}", container.upper().join("dir/d/holes").display()));
    }
    let (_, stream) = container.driver.get(&container.tree, Path::new("/dir/d")).await.unwrap();
    let ours = support::listed(&collect(stream).await.unwrap());
    assert_eq!(ours.len(), 11, "{ours:#?}");
    assert!(ours.iter().any(|line| line.starts_with("crw") && line.contains("5,6")), "{ours:#?}");
}
