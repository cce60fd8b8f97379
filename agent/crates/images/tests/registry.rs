//! The real registry: Debian's `docker-registry`, on loopback, with what a push would put into it.

mod support;

use hull_ports::Images as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use support::image::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Packing, Tar, TestImage, digest, noise};
use support::server::{Server, start};
use support::{names, open, pull};

/// A client that pushes, as far as tests need one.
struct Push<'a> {
    http: reqwest::Client,
    host: &'a str,
    repository: &'a str,
}

impl<'a> Push<'a> {
    fn new(server: &'a Server, repository: &'a str) -> Self {
        // The store installs the TLS provider that any client needs; here no store may be open yet.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), host: &server.host, repository }
    }

    async fn blob(&self, bytes: &[u8]) {
        let url = format!("http://{}/v2/{}/blobs/uploads/", self.host, self.repository);
        let begun = self.http.post(url).send().await.unwrap().error_for_status().unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let mut location = begun.url().join(&location).unwrap();
        location.query_pairs_mut().append_pair("digest", &digest(bytes).to_string());
        let put =
            self.http.put(location).header("content-type", "application/octet-stream").body(bytes.to_vec());
        put.send().await.unwrap().error_for_status().unwrap();
    }

    async fn manifest(&self, tag: &str, media_type: &str, bytes: &[u8]) {
        let url = format!("http://{}/v2/{}/manifests/{tag}", self.host, self.repository);
        let put = self.http.put(url).header("content-type", media_type).body(bytes.to_vec());
        let answer = put.send().await.unwrap();
        assert!(answer.status().is_success(), "{} {}", answer.status(), answer.text().await.unwrap());
    }

    async fn image(&self, tag: &str, image: &TestImage) {
        for blob in image.blobs() {
            self.blob(blob).await;
        }
        self.manifest(tag, OCI_MANIFEST, &image.manifest).await;
    }
}

/// What a container would see, from a real overlay in a mount namespace of its own.
fn merged(lower: &[PathBuf], script: &str) -> String {
    let lower: Vec<String> = lower.iter().map(|path| path.display().to_string()).collect();
    let mount = format!(
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/m && \
         mount -t overlay -o lowerdir={},upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/m && cd /mnt/m && {script}",
        lower.join(":")
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &mount]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn images_of_several_layers_and_packings_come_out_right() {
    let server = start().await;
    let image = TestImage::new(&[
        (
            Tar::new()
                .directory("bin/", 0o755)
                .file("bin/sh", &noise(300_000))
                .directory("gone/", 0o755)
                .file("gone/a", b"a")
                .directory("opaque/", 0o755)
                .file("opaque/old", b"old")
                .file("removed", b"x")
                .end(),
            Packing::Gzip,
        ),
        (
            Tar::new()
                .file(".wh.gone", b"")
                .file(".wh.removed", b"")
                .directory("new/", 0o700)
                .file("new/b", b"b")
                .end(),
            Packing::Zstd,
        ),
        (
            Tar::new()
                .directory("opaque/", 0o755)
                .file("opaque/.wh..wh..opq", b"")
                .file("opaque/fresh", b"f")
                .end(),
            Packing::Plain,
        ),
    ]);
    Push::new(&server, "team/app").image("v1", &image).await;
    let dir = support::dir();
    let store = open(dir.path());
    let pulled = pull(&store, &server.host, "team/app:v1").await.unwrap();
    assert_eq!(pulled.id, digest(&image.config));
    let container = hull_model::ContainerId::from_random([1; 32]);
    let rootfs = store.prepare(&container, &pulled.id).await.unwrap();
    let seen = merged(&rootfs.lower, "find . | LC_ALL=C sort; stat -c %s bin/sh; stat -c %a new");
    assert_eq!(seen, format!(".\n./bin\n./bin/sh\n./new\n./new/b\n./opaque\n./opaque/fresh\n300000\n700\n"));
    let bytes = std::fs::read(support::layer_tree(&dir, &pulled.layers[0]).join("bin/sh")).unwrap();
    assert_eq!(bytes, noise(300_000));
}

#[tokio::test]
async fn indexes_and_docker_manifests_are_understood() {
    let server = start().await;
    let push = Push::new(&server, "multi");
    let ours = support::image::small("ours");
    let theirs = TestImage::for_platform("arm64", &[(Tar::new().file("x", b"theirs").end(), Packing::Gzip)]);
    let mut entries = Vec::new();
    for (image, architecture) in [(&theirs, "arm64"), (&ours, "amd64")] {
        push.image(architecture, image).await;
        entries.push(serde_json::json!({
            "mediaType": OCI_MANIFEST, "digest": digest(&image.manifest), "size": image.manifest.len(),
            "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    push.manifest("latest", OCI_INDEX, index.to_string().as_bytes()).await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(pull(&store, &server.host, "multi").await.unwrap().id, digest(&ours.config));

    let docker = String::from_utf8(ours.manifest.clone()).unwrap();
    let docker = docker
        .replace(OCI_MANIFEST, DOCKER_MANIFEST)
        .replace("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
        .replace(
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        );
    push.manifest("docker", DOCKER_MANIFEST, docker.as_bytes()).await;
    let pulled = pull(&store, &server.host, "multi:docker").await.unwrap();
    assert_eq!((pulled.id, pulled.manifest), (digest(&ours.config), digest(docker.as_bytes())));
    assert_eq!(pulled.references.len(), 2);
    let by_digest = format!("multi@{}", digest(&ours.manifest));
    pull(&store, &server.host, &by_digest).await.unwrap();
    let missing = pull(&store, &server.host, "multi:none").await.unwrap_err();
    assert_eq!(missing.class, hull_ports::ErrorClass::NotFound);
}

/// Not a measurement, but the place to look at one: `cargo test --release -p hull-images --test registry many -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn many_files_in_many_layers() {
    let server = start().await;
    let scale: usize = std::env::var("HULL_TEST_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let data = noise(16 << 10);
    let archives: Vec<(Vec<u8>, Packing)> = (0..10)
        .map(|layer| {
            let mut archive = Tar::new();
            for file in 0..100 * scale {
                let end = 1024 + (file * 37) % (15 << 10);
                // Half noise, half text: compresses like real files.
                let mut bytes = data[..end].to_vec();
                bytes.extend(std::iter::repeat_n(b"hello world ", end / 12).flatten());
                archive = archive.file(&format!("d{}/f{layer}-{file}", file % 40), &bytes);
            }
            (archive.end(), Packing::Gzip)
        })
        .collect();
    let image = TestImage::new(&archives);
    Push::new(&server, "big").image("1", &image).await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let begun = Instant::now();
    let pulled = pull(&store, &server.host, "big:1").await.unwrap();
    let took = begun.elapsed();
    let begun = Instant::now();
    store.remove(&pulled.id).await.unwrap();
    let removed = begun.elapsed();
    let _ = writeln!(
        std::io::stdout(),
        "{} files, {} MiB in {} layers: pulled in {took:?}, removed in {removed:?}",
        1000 * scale,
        pulled.size >> 20,
        pulled.layers.len()
    );
    assert_eq!(names(&dir.path().join("layers")), [] as [&str; 0]);
}
