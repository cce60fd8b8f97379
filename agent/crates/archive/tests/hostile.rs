//! Containers and archives that try to reach the host, and those that merely try to make it wait.

mod support;

use futures_util::StreamExt as _;
use hull_ports::{Archives as _, Bytes, PutOptions, TreeMount};
use hull_tar::Kind;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{Container, Tar, collect, entries, names, plain};

/// For what must not block; nobody waits this long otherwise.
const DEADLINE: Duration = Duration::from_secs(60);

/// Exchanges two names over and over until it is told to stop.
fn swapping(one: &Path, other: &Path, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    let (one, other, stop) = (one.to_owned(), other.to_owned(), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut swaps = 0;
        while !stop.load(Ordering::Relaxed) {
            renameat2(AT_FDCWD, &one, AT_FDCWD, &other, RenameFlags::RENAME_EXCHANGE).unwrap();
            swaps += 1;
        }
        swaps
    })
}

#[tokio::test]
async fn a_path_that_is_swapped_for_a_link_never_leads_to_the_host() {
    let mut container = Container::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "of the host").unwrap();
    fs::create_dir(outside.path().join("sub")).unwrap();
    let volume = container.volume("/vol", false);
    let _running = container.start("mkdir -p a/sub; echo inside >a/secret; echo ready; exec sleep 1000");
    let root = format!("/proc/{}/root", container.tree.pid.unwrap());
    let root = Path::new(&root);
    fs::create_dir_all(volume.join("a/sub")).unwrap();
    fs::write(volume.join("a/secret"), "inside\n").unwrap();
    for dir in [root, &volume] {
        symlink(outside.path(), dir.join("b")).unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let threads = [
        swapping(&root.join("a"), &root.join("b"), &stop),
        swapping(&volume.join("a"), &volume.join("b"), &stop),
    ];
    let before = fs::metadata(outside.path()).unwrap();
    let archive = Tar::new()
        .directory("sub/", 0o777)
        .file("planted", "x")
        .file("sub/planted", "x")
        .file("secret", "inside\n")
        .end();
    let (mut read, mut written) = (0, 0);
    for round in 0..10_000u32 {
        let place = if round % 2 == 0 { "/a" } else { "/vol/a" };
        if round % 4 < 2 {
            let path = if round % 8 < 2 { format!("{place}/secret") } else { format!("{place}/") };
            let Ok((_, got)) = container.driver.get(&container.tree, Path::new(&path)).await else {
                continue;
            };
            let Ok(bytes) = collect(got).await else { continue };
            for (entry, data) in entries(&bytes) {
                assert_ne!(data, b"of the host", "{path}: {entry:?}");
            }
            read += 1;
        } else if container.put(place, archive.clone(), PutOptions::default()).await.is_ok() {
            written += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps: Vec<u64> = threads.map(|thread| thread.join().unwrap()).into();
    let after = fs::metadata(outside.path()).unwrap();
    let left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(fs::read_dir(outside.path().join("sub")).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "of the host");
    assert_eq!(
        (after.mode(), after.mtime_nsec(), after.ctime_nsec()),
        (before.mode(), before.mtime_nsec(), before.ctime_nsec())
    );
    // The race was one.
    assert!(read > 0 && written > 0 && swaps.iter().all(|n| *n > 1000), "{read} {written} {swaps:?}");
    println!("{read} read, {written} written, {swaps:?} swaps");
}

#[tokio::test]
async fn links_out_of_the_container_stay_in_it() {
    let mut container = Container::new();
    let outside = tempfile::tempdir().unwrap();
    let out = outside.path().to_str().unwrap();
    container.tree.mounts.push(TreeMount {
        source: "/proc".into(),
        target: "/hostproc".into(),
        read_only: true,
    });
    container.sh(&format!(
        "ln -s {out} abs; ln -s ../../../../../../..{out} rel; ln -s /proc/self/root/{out} magic"
    ));
    for path in ["/abs/", "/rel/.", "/magic/", "/abs/x"] {
        assert!(container.driver.stat(&container.tree, Path::new(path)).await.is_err(), "{path}");
        assert!(
            container.put(path, Tar::new().file("x", "x").end(), PutOptions::default()).await.is_err(),
            "{path}"
        );
    }
    for magic in ["/hostproc/self/root/", "/hostproc/self/cwd/x", "/hostproc/self/fd/0/."] {
        assert!(container.get(magic).await.is_err(), "{magic}");
    }
    let archive = Tar::new()
        .symlink("dir/l", out)
        .file("dir/l/through", "x")
        .symlink("dir/m", &format!("../../../../../..{out}"))
        .directory("dir/m/made/", 0o777)
        .symlink("dir/n", "/nowhere/yet")
        .file("dir/n/below", "x")
        .hard_link("dir/h", "dir/l")
        .file("dir/h/again", "x")
        .end();
    container.put("/", archive, PutOptions::default()).await.unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let inside = container.upper().join(&out[1..]);
    for name in ["through", "again", "made"] {
        assert!(inside.join(name).exists(), "{name}");
    }
    assert!(container.upper().join("nowhere/yet/below").exists());
}

#[tokio::test]
async fn hostile_archives_reach_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let mode = || fs::metadata(outside.path()).unwrap().mode();
    let before = mode();
    let (out, inner) = (outside.path().to_str().unwrap(), victim.to_str().unwrap());
    let up = format!("{}{}", "../".repeat(30), &inner[1..]);
    let rows = [
        Tar::new().file(&up, "x"),
        Tar::new().file(&format!("a/../{up}"), "x"),
        Tar::new().hard_link("h", &up).file("h", "x"),
        Tar::new().hard_link("h", inner).file("h", "x"),
        Tar::new().symlink("l", inner).file("l", "x"),
        Tar::new().symlink("l", inner).hard_link("h", "l").file("h", "x"),
        Tar::new().symlink("l", out).directory("l/", 0o777),
        Tar::new().symlink("l", out).entry(&plain("l/victim", Kind::Fifo), b""),
        Tar::new().symlink("l", out).symlink("l/new", "x"),
        Tar::new().symlink("l", "l/../l").file("l/x", "x"),
        Tar::new().symlink("l", "..").file("l/l/l/etc/x", "x"),
        Tar::new().directory("..", 0o777).directory("/..", 0o777).directory("./", 0o777),
    ];
    for (number, archive) in rows.into_iter().enumerate() {
        let container = Container::new();
        let _ = container.put("/dir", archive.end(), PutOptions::default()).await;
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{number}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{number}");
        assert_eq!(mode(), before, "{number}");
        let mut tops: Vec<_> =
            fs::read_dir(container.upper()).unwrap().map(|e| e.unwrap().file_name()).collect();
        tops.retain(|name| name != "dir");
        assert!(tops.is_empty(), "{number}: {tops:?} is beside the directory that was unpacked into");
    }
}

#[tokio::test]
async fn pipes_and_devices_do_not_block() {
    let container = Container::new();
    container.sh("mkdir q; mkfifo q/p; mknod q/tty c 5 0; mknod q/zero c 1 5; mkfifo etc/hosts2");
    let work = async {
        assert_eq!(names(&container.get("/q").await.unwrap()), ["q/", "q/p", "q/tty", "q/zero"]);
        assert_eq!(container.get("/q/zero").await.unwrap()[0].0.kind, Kind::Char(1, 5));
        let archive = Tar::new().file("p", "x").file("zero", "y").end();
        container.put("/q", archive, PutOptions::default()).await.unwrap();
        assert!(container.put("/etc/hosts2", Vec::new(), PutOptions::default()).await.is_err());
        container.driver.sizes(&container.tree.rootfs).await.unwrap();
        container.driver.changes(&container.tree.rootfs).await.unwrap();
        collect(container.driver.layer(&container.tree.rootfs).await.unwrap()).await.unwrap();
    };
    tokio::time::timeout(DEADLINE, work).await.unwrap();
    assert_eq!(fs::read_to_string(container.upper().join("q/p")).unwrap(), "x");
}

#[tokio::test]
async fn a_file_that_shrinks_is_an_error_and_one_that_grows_is_cut() {
    let container = Container::new();
    let path = container.upper().join("f");
    let shrink = async |size: u64| {
        fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let (_, mut got) = container.driver.get(&container.tree, Path::new("/f")).await.unwrap();
        let mut bytes = got.next().await.unwrap().unwrap().to_vec();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
        while let Some(piece) = got.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok::<_, std::io::Error>(bytes)
    };
    let error = shrink(1000).await.unwrap_err();
    assert!(error.to_string().contains("became"), "{error}");
    let whole = shrink(80 << 20).await.unwrap();
    assert_eq!(entries(&whole)[0].1.len(), 64 << 20);
}

#[test]
fn a_reader_that_hangs_up_ends_the_work() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let container = Container::new();
            fs::File::create(container.upper().join("huge")).unwrap().set_len(1 << 40).unwrap();
            let (stat, mut got) = container.driver.get(&container.tree, Path::new("/huge")).await.unwrap();
            assert_eq!(stat.size, 1 << 40);
            got.next().await.unwrap().unwrap();
        });
        // Waits for all threads that are still at work: a terabyte would take an hour.
        drop(runtime);
        done.send(()).unwrap();
    });
    ended.recv_timeout(DEADLINE).unwrap();
}

#[tokio::test]
async fn an_archive_that_is_cut_is_an_error() {
    let container = Container::new();
    let archive = Tar::new().file("one", "1").file("two", &"2".repeat(5000)).end();
    let cut = futures_util::stream::iter([
        Ok(Bytes::copy_from_slice(&archive[..2000])),
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset")),
    ]);
    let result =
        container.driver.put(&container.tree, Path::new("/dir"), cut.boxed(), PutOptions::default()).await;
    assert!(result.unwrap_err().message.contains("reset"));
    // What came before it is there, as with every tar.
    assert_eq!(fs::read_to_string(container.upper().join("dir/one")).unwrap(), "1");
}

#[tokio::test]
async fn a_huge_file_with_holes_takes_no_room() {
    let container = Container::new();
    let source = container.dir.path().join("huge");
    fs::File::create(&source).unwrap().set_len(1 << 40).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["--sparse", "-cf", "-", "-C"])
        .arg(container.dir.path())
        .arg("huge")
        .output()
        .unwrap();
    assert!(tar.status.success());
    tokio::time::timeout(DEADLINE, container.put("/dir", tar.stdout, PutOptions::default()))
        .await
        .unwrap()
        .unwrap();
    let meta = fs::metadata(container.upper().join("dir/huge")).unwrap();
    assert_eq!((meta.len(), meta.blocks() < 100), (1 << 40, true));
}

#[tokio::test]
async fn a_tree_deeper_than_any_path_is_refused() {
    let container = Container::new();
    let mut script = "import os\n".to_owned();
    script += "for _ in range(3000):\n os.mkdir('d'); os.chdir('d')\n";
    let made = std::process::Command::new("python3")
        .args(["-c", &script])
        .current_dir(container.upper())
        .status()
        .unwrap();
    assert!(made.success());
    let (_, got) = container.driver.get(&container.tree, Path::new("/d")).await.unwrap();
    assert!(collect(got).await.unwrap_err().to_string().contains("deep"));
    assert!(container.driver.changes(&container.tree.rootfs).await.unwrap_err().message.contains("deep"));
    assert!(container.driver.sizes(&container.tree.rootfs).await.unwrap_err().message.contains("deep"));
    hull_sys::tree::remove(fs::File::open(container.upper()).unwrap(), "d").unwrap();
}

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn many_files_take_little_memory() {
    let container = Container::new();
    for dir in 0..100 {
        let dir = container.upper().join(format!("many/{dir}"));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..1000 {
            fs::write(dir.join(format!("a-file-with-a-name-{file}")), "some bytes").unwrap();
        }
    }
    let before = peak();
    let begun = Instant::now();
    let (_, got) = container.driver.get(&container.tree, Path::new("/many")).await.unwrap();
    container.driver.put(&container.tree, Path::new("/dir"), got, PutOptions::default()).await.unwrap();
    println!("100000 files copied within a container in {:?}", begun.elapsed());
    let grown = peak() - before;
    assert!(grown < 48 << 10, "{grown} KiB more");
    assert_eq!(fs::read_dir(container.upper().join("dir/many/99")).unwrap().count(), 1000);
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let this = std::env::current_exe().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(this)
        .args(["--exact", "child_on_a_small_disk", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "started by the test above, in a mount namespace"]
async fn child_on_a_small_disk() {
    let mut container = Container::new();
    let volume = container.volume("/vol", false);
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&volume)
        .status();
    assert!(mounted.unwrap().success());
    fs::write(volume.join("kept"), "kept").unwrap();
    let archive = Tar::new().file("big", &"x".repeat(1 << 20)).end();
    let error = container.put("/vol", archive, PutOptions::default()).await.unwrap_err();
    assert_eq!(error.message, "write big: no space left on device");
    assert!(!error.remedy.is_empty());
    assert_eq!(fs::read_to_string(volume.join("kept")).unwrap(), "kept");
    nix::mount::umount(&volume).unwrap();
}

#[tokio::test]
async fn odd_names_survive() {
    let container = Container::new();
    container.sh(
        "mkdir o; touch \"o/$(printf 'new\\nline')\" \"o/$(printf 'bad\\377')\" \"o/ \" 'o/*' 'o/-rf' 'o/\\'",
    );
    let (_, got) = container.driver.get(&container.tree, Path::new("/o/.")).await.unwrap();
    container.put("/dir", collect(got).await.unwrap(), PutOptions::default()).await.unwrap();
    let mut names: Vec<_> =
        fs::read_dir(container.upper().join("dir")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    use std::os::unix::ffi::OsStrExt as _;
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    assert_eq!(names, [b" ".as_slice(), b"*", b"-rf", b"\\", b"bad\xff", b"new\nline"]);
}
