//! Archives of images: what is saved can be loaded, what others saved too, and what lies is refused with nothing changed.

mod support;

use futures_util::StreamExt as _;
use hull_images::Store;
use hull_model::{Digest, Reference};
use hull_ports::{ByteStream, Bytes, ErrorClass, Images as _, LoadEvent, Result};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use support::fake::Fake;
use support::image::{OCI_INDEX, OCI_MANIFEST, Packing, Tar, TestImage, digest, noise, small};
use support::{assert_nothing_left, open, pull};

fn stream(bytes: &[u8]) -> ByteStream {
    let pieces: Vec<std::io::Result<Bytes>> =
        bytes.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

async fn load(store: &Store, bytes: &[u8]) -> Result<Vec<LoadEvent>> {
    let heard = Mutex::new(Vec::new());
    store.load(stream(bytes), None, &|event| heard.lock().unwrap().push(event)).await?;
    Ok(heard.into_inner().unwrap())
}

async fn save(store: &Store, images: &[(Digest, Vec<Reference>)]) -> Vec<u8> {
    let mut stream = store.save(images).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), bytes);
    }
    files
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn layer(data: &[u8]) -> Vec<u8> {
    Tar::new().file("data", data).end()
}

fn image() -> TestImage {
    TestImage::new(&[(layer(&noise(700_000)), Packing::Gzip), (layer(b"second"), Packing::Plain)])
}

fn plain_layers(image: &TestImage) -> Vec<Vec<u8>> {
    image
        .layers
        .iter()
        .map(|blob| match blob.bytes.starts_with(&[0x1f, 0x8b]) {
            true => {
                let mut plain = Vec::new();
                flate2::read::MultiGzDecoder::new(&blob.bytes[..]).read_to_end(&mut plain).unwrap();
                plain
            }
            false => blob.bytes.clone(),
        })
        .collect()
}

/// What engines wrote before they wrote OCI layouts: a directory for each layer, equal ones linked.
fn old_layout(image: &TestImage, tags: &str) -> Tar {
    let layers = plain_layers(image);
    let config = format!("{}.json", digest(&image.config).hex());
    let list =
        format!(r#"[{{"Config":"{config}","RepoTags":{tags},"Layers":["one/layer.tar","two/layer.tar"]}}]"#);
    Tar::new()
        .directory("real/", 0o755)
        .file("real/VERSION", b"1.0")
        .file("real/json", b"{}")
        .file("real/layer.tar", &layers[0])
        .directory("one/", 0o755)
        .link("one/layer.tar", b'2', "../real/layer.tar")
        .file("./two/layer.tar", &layers[1])
        .file("digest.json", &image.config)
        .link(&config, b'1', "digest.json")
        .file("manifest.json", list.as_bytes())
        .file("repositories", b"{}")
}

fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", digest(bytes).hex())
}

fn oci_layout(image: &TestImage, index: &str) -> Tar {
    let blobs = image
        .blobs()
        .fold(Tar::new().directory("blobs/", 0o755), |tar, blob| tar.file(&blob_path(blob), blob));
    blobs
        .file(&blob_path(&image.manifest), &image.manifest)
        .file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", index.as_bytes())
}

fn entry(media_type: &str, bytes: &[u8], more: serde_json::Value) -> serde_json::Value {
    let mut entry =
        serde_json::json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn index(entries: &[serde_json::Value]) -> String {
    serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string()
}

#[tokio::test]
async fn what_is_saved_comes_back_and_is_always_the_same() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (open(one.path()), open(two.path()));
    let image = image();
    let fake = Fake::with("1", &image).await;
    let pulled = pull(&from, &fake.host, "a:1").await.unwrap();
    let names = [reference("b:2"), reference("r.example/a:1")];
    for name in &names {
        from.tag(&pulled.id, name).await.unwrap();
    }
    let wanted = [(pulled.id.clone(), vec![names[0].clone()]), (pulled.id.clone(), vec![names[1].clone()])];
    let saved = save(&from, &wanted).await;
    assert!(saved == save(&from, &wanted).await, "twice the same");
    let files = files(&saved);
    for (diff_id, plain) in pulled.layers.iter().zip(plain_layers(&image)) {
        assert!(files[&format!("blobs/sha256/{}", diff_id.hex())] == plain, "{diff_id}");
    }
    let listed: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["RepoTags"], serde_json::json!(["b:2", "r.example/a:1"]));
    let repositories: serde_json::Value = serde_json::from_slice(&files["repositories"]).unwrap();
    assert_eq!(repositories["b"]["2"], serde_json::json!(pulled.layers[1].hex()));

    let events = load(&to, &saved).await.unwrap();
    let tagged: Vec<_> = events.iter().filter(|e| matches!(e, LoadEvent::Tagged(_))).cloned().collect();
    assert_eq!(tagged, names.clone().map(LoadEvent::Tagged));
    let last = pulled.layers.iter().map(|layer| {
        events.iter().rev().find(|e| matches!(e, LoadEvent::Layer { id, .. } if id == layer.short()))
    });
    for event in last {
        assert!(matches!(event, Some(LoadEvent::Layer { done, total, .. }) if done == total), "{event:?}");
    }
    let loaded = to.lookup(&names[0]).await.unwrap().unwrap();
    assert_eq!((&loaded.id, &loaded.layers), (&pulled.id, &pulled.layers));
    assert!(save(&to, &wanted).await == saved, "and from the other store too");
    // As an OCI layout alone it is the same image.
    let third = tempfile::tempdir().unwrap();
    let store = open(third.path());
    let keep = files.iter().filter(|(path, _)| *path != "manifest.json" && *path != "repositories");
    let layout = keep.fold(Tar::new(), |tar, (path, bytes)| match path.ends_with('/') {
        true => tar,
        false => tar.file(path, bytes),
    });
    load(&store, &layout.end()).await.unwrap();
    assert_eq!(store.lookup(&names[1]).await.unwrap().unwrap().id, pulled.id);
}

#[tokio::test]
async fn every_layout_and_packing_is_understood() {
    let image = image();
    let by_name = serde_json::json!({"annotations": {"io.containerd.image.name": "docker.io/library/x:1"}});
    let ref_name = serde_json::json!({"annotations": {"org.opencontainers.image.ref.name": "x:1"}});
    let theirs = TestImage::for_platform("arm64", &[]);
    let platform = |arch: &str| serde_json::json!({"platform": {"os": "linux", "architecture": arch}});
    let inner = index(&[
        entry(OCI_MANIFEST, &theirs.manifest, platform("arm64")),
        entry(OCI_MANIFEST, &image.manifest, platform("amd64")),
    ]);
    let nested = index(&[entry(OCI_INDEX, inner.as_bytes(), ref_name)]);
    let plain = old_layout(&image, r#"["x:1"]"#).end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let rows = [
        ("old", plain.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
        ("oci", oci_layout(&image, &index(&[entry(OCI_MANIFEST, &image.manifest, by_name)])).end()),
        ("nested", oci_layout(&image, &nested).file(&blob_path(inner.as_bytes()), inner.as_bytes()).end()),
    ];
    for (what, bytes) in rows {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let events = load(&store, &bytes).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
        assert_eq!(events.last(), Some(&LoadEvent::Tagged(reference("x:1"))), "{what}");
        let loaded = store.lookup(&reference("x:1")).await.unwrap().unwrap();
        assert_eq!(loaded.id, digest(&image.config), "{what}");
        assert_eq!(store.list().await.unwrap().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn names_move_and_images_may_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (old, new) =
        (image(), TestImage::new(&[(layer(b"1"), Packing::Plain), (layer(b"2"), Packing::Plain)]));
    load(&store, &old_layout(&old, r#"["x:1"]"#).end()).await.unwrap();
    let events = load(&store, &old_layout(&new, r#"["x:1"]"#).end()).await.unwrap();
    let end = [
        LoadEvent::Moved { reference: reference("x:1"), from: digest(&old.config) },
        LoadEvent::Tagged(reference("x:1")),
    ];
    assert!(events.ends_with(&end), "{events:?}");
    let events = load(&store, &old_layout(&old, "null").end()).await.unwrap();
    assert_eq!(events, [LoadEvent::Untagged(digest(&old.config))], "its layers are here");
}

#[tokio::test]
async fn a_platform_may_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = old_layout(&image(), r#"["x:1"]"#).end();
    let silent = |_| {};
    let error = store.load(stream(&bytes), Some("linux/arm64"), &silent).await.unwrap_err();
    assert_eq!(error.to_string(), "no image for linux/arm64/v8 was found in the archive");
    let error = store.load(stream(&bytes), Some("linux/"), &silent).await.unwrap_err();
    assert!(error.to_string().contains("is not a platform"));
    assert_nothing_left(&store, dir.path()).await;
    store.load(stream(&bytes), Some("linux/amd64"), &silent).await.unwrap();
}

#[tokio::test]
async fn hostile_archives_are_refused_with_nothing_changed() {
    let image = image();
    let list = |config: &str, layers: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":["x:1"],"Layers":{layers}}}]"#)
    };
    let good = || old_layout(&image, r#"["x:1"]"#);
    let layers = plain_layers(&image);
    let wrong = TestImage::new(&[(layer(b"x"), Packing::Plain), (layer(b"y"), Packing::Plain)]);
    let named = format!("{}.json", digest(b"other").hex());
    let both = index(&[]).replacen('{', r#"{"layers":[],"config":{},"#, 1);
    let lying = serde_json::json!({"mediaType": OCI_MANIFEST, "digest": digest(b"z"), "size": 1});
    let whole = good().end();
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no archive", b"junk".to_vec(), ""),
        ("empty", Vec::new(), "manifest.json"),
        ("cut", whole[..whole.len() - 2000].to_vec(), ""),
        ("no manifest", Tar::new().file("a", b"").end(), "open manifest.json: no such file or directory"),
        ("absolute path", good().file("/etc/passwd", b"x").end(), "absolute"),
        ("path outside", good().file("../x", b"x").end(), "leaves the archive"),
        ("link outside", good().link("a", b'2', "../../etc/shadow").end(), "link out of"),
        ("absolute link", good().link("a", b'2', "/etc/shadow").end(), "link out of"),
        ("device", good().device("dev", b'3', 1, 3).end(), "only files"),
        ("link loop", Tar::new().link("manifest.json", b'2', "manifest.json").end(), "manifest.json"),
        (
            "missing configuration",
            good().file("manifest.json", list("no.json", "[]").as_bytes()).end(),
            "open no.json",
        ),
        (
            "missing layer",
            good().file("manifest.json", list("digest.json", r#"["one/layer.tar","none"]"#).as_bytes()).end(),
            "open none",
        ),
        ("layer count", good().file("manifest.json", list("digest.json", "[]").as_bytes()).end(), "layers"),
        (
            "wrong configuration",
            good().file(&named, &image.config).file("manifest.json", list(&named, "[]").as_bytes()).end(),
            "",
        ),
        (
            "wrong layer",
            old_layout(&wrong, "null").file("two/layer.tar", &layers[1]).end(),
            "digest mismatch",
        ),
        ("bad tag", old_layout(&image, r#"["x:1","../y"]"#).end(), "invalid tag"),
        ("huge manifest", good().file("manifest.json", &vec![b' '; 5 << 20]).end(), "longer than"),
        ("index and manifest", oci_layout(&image, &both).end(), "index"),
        ("missing manifest", oci_layout(&image, &index(&[lying])).end(), "no such file"),
        (
            "lying manifest",
            oci_layout(&image, &index(&[entry(OCI_MANIFEST, b"z", serde_json::json!({}))]))
                .file(&blob_path(b"z"), b"{}")
                .end(),
            "digest mismatch",
        ),
    ];
    for (what, bytes, part) in rows {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let error = load(&store, &bytes).await.expect_err(what);
        assert!(error.chain().contains(part), "{what}: {}", error.chain());
        assert_eq!(error.class, ErrorClass::Permanent, "{what}: {}", error.chain());
        assert_nothing_left(&store, dir.path()).await;
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let bytes = old_layout(&image(), r#"["x:1"]"#).end();
    let broken: ByteStream = Box::pin(futures_util::stream::iter([
        Ok(Bytes::copy_from_slice(&bytes[..50_000])),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]));
    assert!(store.load(broken, None, &|_| {}).await.is_err());
    assert_nothing_left(&store, dir.path()).await;
    let fake = Fake::with("1", &small("x")).await;
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    let mut stream = store.save(&[(pulled.id.clone(), Vec::new())]).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    store.remove(&pulled.id).await.unwrap();
    let error = store.save(&[(pulled.id.clone(), Vec::new())]).await.err().unwrap();
    assert_eq!(error.to_string(), format!("No such image: {}", pulled.id));
}
