//! What is kept: names that move, writable layers, removal, power cuts and full disks.

mod support;

use hull_images::Snapshot;
use hull_model::{ContainerId, Digest, Reference};
use hull_ports::{ErrorClass, Images as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::fake::{Fake, Then};
use support::image::{Packing, Tar, TestImage, digest, noise, small};
use support::{assert_nothing_left, eventually, layer_tree, names, open, pull};

fn id(byte: u8) -> ContainerId {
    ContainerId::from_random([byte; 32])
}

#[tokio::test]
async fn a_name_that_moves_leaves_the_old_image_without_one() {
    let dir = support::dir();
    let (old, new) = (small("old"), small("new"));
    let fake = Fake::with("latest", &old).await;
    let store = open(dir.path());
    let first = pull(&store, &fake.host, "a").await.unwrap();
    store.prepare(&id(1), &first.id).await.unwrap();
    fake.put("latest", &new);
    let second = pull(&store, &fake.host, "a").await.unwrap();
    assert_ne!(first.id, second.id);
    let check = async |store: &hull_images::Store| {
        let list = store.list().await.unwrap();
        assert_eq!(list.len(), 2);
        for image in list {
            assert_eq!(image.references.is_empty(), image.id == first.id);
        }
    };
    check(&store).await;
    drop(store);
    check(&open(dir.path())).await;
}

#[tokio::test]
async fn images_in_use_are_not_removed_and_shared_layers_stay() {
    let dir = support::dir();
    let base = Tar::new().file("base", b"shared").end();
    let one =
        TestImage::new(&[(base.clone(), Packing::Gzip), (Tar::new().file("one", b"1").end(), Packing::Gzip)]);
    let two = TestImage::new(&[(base, Packing::Zstd), (Tar::new().file("two", b"2").end(), Packing::Gzip)]);
    let fake = Fake::with("1", &one).await;
    fake.put("2", &two);
    let store = open(dir.path());
    let one = pull(&store, &fake.host, "a:1").await.unwrap();
    let two = pull(&store, &fake.host, "a:2").await.unwrap();
    assert_eq!(one.layers[0], two.layers[0], "the same layer in two packings");
    store.prepare(&id(1), &one.id).await.unwrap();
    let error = store.remove(&one.id).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Conflict);
    assert!(error.to_string().contains("image is being used by container 010101010101"), "{error}");
    store.discard(&id(1)).await.unwrap();
    store.remove(&one.id).await.unwrap();
    store.remove(&one.id).await.unwrap();
    let mut left: Vec<String> = two.layers.iter().map(|layer| layer.hex().to_owned()).collect();
    left.sort();
    assert_eq!(names(&dir.path().join("layers")), left);
    let list = store.list().await.unwrap();
    assert_eq!(list, std::slice::from_ref(&two));
    let error = store.prepare(&id(2), &one.id).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    store.remove(&two.id).await.unwrap();
    assert_eq!(names(&dir.path().join("blobs/sha256")), [] as [&str; 0]);
    drop(store);
    assert_nothing_left(&open(dir.path()), dir.path()).await;
}

#[tokio::test]
async fn writable_layers_are_made_once_and_found_again() {
    let dir = support::dir();
    let layer = |name: &str| (Tar::new().directory("./", 0o711).file(name, b"x").end(), Packing::Gzip);
    let image = TestImage::new(&[layer("a"), layer("b"), layer("a")]);
    let fake = Fake::with("1", &image).await;
    let empty = TestImage::new(&[]);
    fake.put("empty", &empty);
    let store = open(dir.path());
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    let rootfs = store.prepare(&id(1), &pulled.id).await.unwrap();
    if support::driver() == Snapshot::Directory {
        // Topmost first, each layer once.
        let hex = |path: &Path| path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let lower: Vec<String> = rootfs.lower.iter().map(|path| hex(path)).collect();
        assert_eq!(lower, [pulled.layers[0].hex(), pulled.layers[1].hex()]);
    } else {
        // One mount for all of them.
        assert_eq!(names(&rootfs.lower[0]), ["a", "b"]);
        assert_eq!(rootfs.lower.len(), 1);
    }
    assert_eq!(fs::metadata(&rootfs.upper).unwrap().permissions().mode() & 0o7777, 0o711);
    fs::write(rootfs.upper.join("written"), "kept").unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.prepare(&id(1), &pulled.id).await.unwrap(), rootfs);
    assert_eq!(fs::read_to_string(rootfs.upper.join("written")).unwrap(), "kept");
    let scratch = pull(&store, &fake.host, "a:empty").await.unwrap();
    assert_eq!(store.prepare(&id(1), &scratch.id).await.unwrap_err().class, ErrorClass::Conflict);
    let rootfs = store.prepare(&id(2), &scratch.id).await.unwrap();
    assert_eq!(rootfs.lower.len(), 1);
    assert!(rootfs.lower[0].is_dir());
    for _ in 0..2 {
        store.discard(&id(1)).await.unwrap();
    }
    assert_eq!(names(&dir.path().join("containers")), [id(2).as_str()]);
}

#[tokio::test]
async fn sweeping_removes_what_nobody_knows_and_nothing_else() {
    let dir = support::dir();
    let image = small("x");
    let fake = Fake::with("1", &image).await;
    let store = open(dir.path());
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    let kept = store.prepare(&id(1), &pulled.id).await.unwrap();
    store.prepare(&id(2), &pulled.id).await.unwrap();
    drop(store);
    // As interrupted work leaves it.
    let stray = digest(b"stray");
    fs::create_dir_all(dir.path().join("tmp/7/fs/half")).unwrap();
    fs::create_dir_all(dir.path().join("layers").join(stray.hex()).join("fs")).unwrap();
    fs::create_dir_all(dir.path().join("containers/nonsense")).unwrap();
    fs::write(dir.path().join("blobs/sha256").join(stray.hex()), "x").unwrap();
    fs::write(dir.path().join("images").join(format!("{}.json", stray.hex())), "{\"id\":").unwrap();
    let store = open(dir.path());
    assert_eq!(store.list().await.unwrap(), std::slice::from_ref(&pulled));
    store.sweep(&[id(1)]).await.unwrap();
    assert!(kept.upper.is_dir());
    assert_eq!(names(&dir.path().join("containers")), [id(1).as_str()]);
    eventually("it is removed", || names(&dir.path().join("tmp")).is_empty());
    assert_eq!(names(&dir.path().join("layers")), [pulled.layers[0].hex()]);
    assert_eq!(names(&dir.path().join("images")), [format!("{}.json", pulled.id.hex())]);
    let mut blobs = vec![pulled.id.hex().to_owned(), pulled.manifest.hex().to_owned()];
    blobs.sort();
    assert_eq!(names(&dir.path().join("blobs/sha256")), blobs);
    drop(store);
    assert_eq!(open(dir.path()).list().await.unwrap(), [pulled]);
}

#[tokio::test]
async fn sweeping_does_not_disturb_a_pull_under_way() {
    let dir = support::dir();
    let image = TestImage::new(&[
        (Tar::new().file("a", b"a").end(), Packing::Gzip),
        (Tar::new().file("b", &noise(1 << 20)).end(), Packing::Plain),
    ]);
    let fake = Fake::with("1", &image).await;
    let name = digest(&image.layers[1].bytes).to_string();
    let mut first = true;
    // The second layer is cut once, late: time to sweep in between.
    fake.script(move |request, content| {
        let slow = request.path.ends_with(&name) && std::mem::take(&mut first);
        slow.then(|| content.answer(request).only(1 << 19, Then::Stall))
    });
    let store = open(dir.path());
    let swept = async {
        let layer = dir.path().join("layers").join(image.layers[0].diff_id.hex());
        while !layer.is_dir() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        store.sweep(&[]).await.unwrap();
        assert!(layer.is_dir());
        assert_eq!(names(&dir.path().join("tmp")).len(), 1);
    };
    let (pulled, ()) = tokio::join!(pull(&store, &fake.host, "a:1"), swept);
    pulled.unwrap();
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let dir = support::dir();
    let store = open(dir.path());
    let second = hull_images::Store::open(dir.path().to_owned(), support::options());
    assert_eq!(second.err().map(|e| e.class), Some(ErrorClass::Conflict));
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn a_check_accounts_for_every_file_and_finds_what_changed() {
    let dir = support::dir();
    let image = TestImage::new(&[
        (Tar::new().file("a", &noise(5000)).sparse("ragged", 9000, &[(7, &noise(77))]).end(), Packing::Gzip),
        (Tar::new().file(".wh.a", b"").end(), Packing::Zstd),
    ]);
    let fake = Fake::with("1", &image).await;
    let store = open(dir.path());
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    store.prepare(&id(1), &pulled.id).await.unwrap();
    let report = store.check(false).await.unwrap();
    assert_eq!((report.orphans, report.damaged, report.orphan_bytes), (vec![], vec![], 0));
    assert!(report.checked > 10);
    let stray = digest(b"stray");
    let strays = [
        format!("layers/{}", stray.hex()),
        format!("layers/{}/more", pulled.layers[0].hex()),
        format!("merged/{}", stray.hex()),
        format!("blobs/sha256/{}", stray.hex()),
        "images/x.json".to_owned(),
        "containers/nonsense".to_owned(),
        "whatever".to_owned(),
    ];
    for name in &strays {
        fs::write(dir.path().join(name), [1; 5000]).unwrap();
    }
    let mut wanted = strays.to_vec();
    wanted.sort();
    for repair in [false, true] {
        let mut report = store.check(repair).await.unwrap();
        report.orphans.sort();
        assert_eq!((&report.orphans, report.repaired), (&wanted, repair));
        assert!(report.orphan_bytes >= 7 * 5000, "{}", report.orphan_bytes);
    }
    assert_eq!(store.check(false).await.unwrap().orphans, [] as [&str; 0]);
    let layer = dir.path().join("layers").join(pulled.layers[0].hex());
    let files: &[&str] = match support::driver() {
        Snapshot::Directory => &["tar.zst"],
        _ => &["tar", "index", "spill"],
    };
    for name in files {
        let good = fs::read(layer.join(name)).unwrap();
        let mut bad = good.clone();
        let at = if *name == "spill" { 10 } else { bad.len() / 2 };
        bad[at] ^= 1;
        fs::write(layer.join(name), &bad).unwrap();
        let damaged = store.check(false).await.unwrap().damaged;
        assert!(damaged.iter().any(|text| text.contains(pulled.layers[0].hex())), "{name}: {damaged:?}");
        fs::write(layer.join(name), &good).unwrap();
    }
    fs::write(dir.path().join("blobs/sha256").join(pulled.id.hex()), "{}").unwrap();
    let damaged = store.check(false).await.unwrap().damaged;
    assert!(damaged.len() == 1 && damaged[0].contains(pulled.id.hex()), "{damaged:?}");
}

#[tokio::test]
async fn a_store_of_an_earlier_version_loses_its_images_and_nothing_else() {
    let dir = support::dir();
    let image = small("x");
    let fake = Fake::with("1", &image).await;
    let (image_id, layer) = (digest(&image.config), &image.layers[0].diff_id);
    // As earlier versions wrote it.
    let write = |name: String, text: String| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(format!("layers/{}/fs/etc/name", layer.hex()), "x".into());
    write(format!("layers/{}/layer.json", layer.hex()), "{\"size\":1}".into());
    write(format!("blobs/sha256/{}", image_id.hex()), String::from_utf8(image.config.clone()).unwrap());
    let record = serde_json::json!({
        "id": image_id, "manifest": digest(&image.manifest), "layers": [layer], "config": {"Cmd": ["sh"]},
        "architecture": "amd64", "size": 1, "created": "",
    });
    write(format!("images/{}.json", image_id.hex()), record.to_string());
    write("references.json".into(), format!("{{\"{}/a:1\":\"{image_id}\"}}", fake.host));
    write(format!("containers/{}/upper/written", id(1).as_str()), "kept".into());
    fs::create_dir(dir.path().join("containers").join(id(1).as_str()).join("work")).unwrap();
    let link = dir.path().join("containers").join(id(1).as_str()).join("image");
    std::os::unix::fs::symlink(image_id.to_string(), link).unwrap();
    let store = open(dir.path());
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(store.prepare(&id(1), &image_id).await.unwrap_err().class, ErrorClass::NotFound);
    store.sweep(&[id(1)]).await.unwrap();
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    let rootfs = store.prepare(&id(1), &pulled.id).await.unwrap();
    assert_eq!(fs::read_to_string(rootfs.upper.join("written")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(rootfs.lower[0].join("etc/name")).unwrap(), "x");
    assert_eq!(store.check(false).await.unwrap().orphans, [] as [&str; 0]);
}

/// The part of the next test that is killed.
#[tokio::test]
#[ignore = "started by the test below, which kills it"]
async fn child_that_pulls() {
    let root = std::env::var("HULL_TEST_ROOT").unwrap();
    let store = open(Path::new(&root));
    for tag in ["1", "2"] {
        pull(&store, &std::env::var("HULL_TEST_HOST").unwrap(), &format!("a:{tag}")).await.unwrap();
    }
}

/// A test's name as the test program has it.
fn qualified(test: &str) -> String {
    match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::{test}"),
        None => test.to_owned(),
    }
}

fn child(test: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = qualified(test);
    command.args(["--exact", test.as_str(), "--ignored", "--nocapture"]).env("HULL_TEST_ROOT", root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_agent_finds_the_old_or_the_new_state() {
    let dir = support::dir();
    let image = |seed: u8| {
        let layer = |n: u8| {
            let files = (0..100).fold(Tar::new(), |tar, i| tar.file(&format!("d{i}/{seed}-{n}"), &[n; 3000]));
            (files.end(), Packing::Gzip)
        };
        TestImage::new(&[layer(0), layer(1), layer(2)])
    };
    let images = [image(1), image(2)];
    let fake = Fake::with("1", &images[0]).await;
    fake.put("2", &images[1]);
    let ids: Vec<Digest> = images.iter().map(|image| digest(&image.config)).collect();
    let reference = |tag: &str| Reference::parse(&format!("{}/a:{tag}", fake.host)).unwrap();
    let mut seen = [0usize; 3];
    for round in 0..12u64 {
        let mut process =
            child("child_that_pulls", &dir.path()).env("HULL_TEST_HOST", &fake.host).spawn().unwrap();
        let before = fake.requests().len();
        // From its first request on, at a different moment each time.
        eventually("the child asks", || fake.requests().len() > before);
        tokio::time::sleep(Duration::from_millis(round * 17)).await;
        process.kill().unwrap();
        process.wait().unwrap();
        let store = open(dir.path());
        let list = store.list().await.unwrap();
        seen[list.len()] += 1;
        for image in &list {
            let which = ids.iter().position(|id| *id == image.id).unwrap();
            assert!(image.references.is_empty() || image.references == [reference(["1", "2"][which])].into());
            for (n, layer) in image.layers.iter().enumerate() {
                let tree = layer_tree(&dir, layer);
                for i in 0..100 {
                    let file = format!("d{i}/{}-{n}", which + 1);
                    assert_eq!(fs::read(tree.join(file)).unwrap(), [u8::try_from(n).unwrap(); 3000]);
                }
            }
        }
        store.sweep(&[]).await.unwrap();
        eventually("it is removed", || names(&dir.path().join("tmp")).is_empty());
        let layers = list.iter().map(|image| image.layers.len()).sum::<usize>();
        assert_eq!(names(&dir.path().join("layers")).len(), layers);
        if list.len() == 2 {
            for image in list {
                store.remove(&image.id).await.unwrap();
            }
        }
    }
    assert!(seen[0] > 0, "never killed before the end of the first pull: {seen:?}");
    assert!(
        child("child_that_pulls", &dir.path()).env("HULL_TEST_HOST", &fake.host).status().unwrap().success()
    );
    let complete = open(dir.path()).list().await.unwrap();
    assert_eq!(complete.len(), 2);
    assert!(complete.iter().all(|image| image.references.len() == 1));
}

/// The part of the next test that runs on a small disk.
#[tokio::test]
#[ignore = "started by the test below, on a small disk"]
async fn child_on_a_small_disk() {
    let root = std::env::var("HULL_TEST_ROOT").unwrap();
    let store = open(Path::new(&root));
    for packing in [Packing::Gzip, Packing::Zstd] {
        let bomb = TestImage::new(&[(Tar::new().file("zeros", &vec![0; 200 << 20]).end(), packing)]);
        assert!(bomb.layers[0].bytes.len() < 2 << 20);
        let fake = Fake::with("1", &bomb).await;
        let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Retryable, "{}", error.chain());
        assert!(error.remedy.contains("disk of the image store is full"), "{}", error.chain());
        assert_nothing_left(&store, Path::new(&root)).await;
    }
    // The disk was never filled: there is room for an ordinary image.
    let fake = Fake::with("1", &small("x")).await;
    pull(&store, &fake.host, "a:1").await.unwrap();
}

#[test]
fn a_layer_that_grows_beyond_the_disk_is_refused_and_leaves_room() {
    let dir = tempfile::tempdir().unwrap();
    // Not a tmpfs: nothing can be mounted from its files.
    let script = "truncate -s 96M \"$HULL_TEST_ROOT.disk\" && mkfs.ext4 -q -F \"$HULL_TEST_ROOT.disk\" && \
        mount -o loop \"$HULL_TEST_ROOT.disk\" \"$HULL_TEST_ROOT\" && rm \"$HULL_TEST_ROOT.disk\" && \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &qualified("child_on_a_small_disk"), "--ignored", "--nocapture"])
        .env("HULL_TEST_ROOT", dir.path())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
