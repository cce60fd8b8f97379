//! Pushing to a real registry, and getting it back.

mod support;

use hull_images::Store;
use hull_model::{Image, Reference};
use hull_ports::{Credentials, ErrorClass, Images as _, LayerStatus, Progress, PullOptions, Silent};
use std::sync::Mutex;
use support::image::{Packing, Tar, TestImage, digest, noise, small};
use support::server::{LOCKED, start, start_with};
use support::{fake::Fake, insecure, open, pull};

/// Keeps what it hears of layers.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, LayerStatus)>>);

impl Progress for Heard {
    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn layer(&self, layer: &str, status: LayerStatus) {
        self.0.lock().unwrap().push((layer.to_owned(), status));
    }
}

impl Heard {
    /// The last that was said of a layer.
    fn last(&self, layer: &str) -> Option<LayerStatus> {
        self.0.lock().unwrap().iter().rev().find(|(l, _)| l == layer).map(|(_, status)| status.clone())
    }
}

fn reference(host: &str, name: &str) -> Reference {
    Reference::parse(&format!("{host}/{name}")).unwrap()
}

fn options(host: &str) -> PullOptions {
    PullOptions { registries: insecure(host), ..PullOptions::default() }
}

fn somebody(password: &str) -> Credentials {
    Credentials { username: "user".into(), password: password.into(), ..Credentials::default() }
}

/// An image that came from elsewhere, named for a registry.
async fn named(store: &Store, image: &TestImage, to: &Reference) -> Image {
    let origin = Fake::with("1", image).await;
    let pulled = pull(store, &origin.host, "origin:1").await.unwrap();
    store.tag(&pulled.id, to).await.unwrap();
    pulled
}

fn three_layers() -> TestImage {
    TestImage::new(&[
        (Tar::new().file("a", &noise(3 << 20)).end(), Packing::Gzip),
        (Tar::new().file("b", &noise(100_000)).end(), Packing::Plain),
        (Tar::new().file("c", &b"text ".repeat(100_000)).end(), Packing::Zstd),
    ])
}

#[tokio::test]
async fn an_image_goes_from_one_store_to_another() {
    let server = start().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (sender, receiver) = (open(one.path()), open(two.path()));
    let to = reference(&server.host, "team/app:v1");
    let image = named(&sender, &three_layers(), &to).await;
    let heard = Heard::default();
    let pushed = sender.push(&to, &options(&server.host), &heard).await.unwrap();
    for layer in &image.layers {
        assert_eq!(heard.last(layer.short()), Some(LayerStatus::Pushed), "{layer}");
    }
    let first: Vec<_> = heard.0.lock().unwrap().iter().take(3).cloned().collect();
    let wanted: Vec<_> =
        image.layers.iter().rev().map(|l| (l.short().to_owned(), LayerStatus::Preparing)).collect();
    assert_eq!(first, wanted, "the topmost layer is looked at first");
    let known = sender.lookup(&to).await.unwrap().unwrap();
    let repo_digest = format!("{}/team/app@{}", server.host, pushed.digest);
    assert!(known.repo_digests.contains(&repo_digest), "{:?}", known.repo_digests);

    let got = receiver.pull_as(&to, &options(&server.host), &Silent).await.unwrap();
    assert_eq!(
        (got.image.id, got.image.layers, got.digest),
        (image.id, image.layers.clone(), pushed.digest.clone())
    );

    // Again, from either side: nothing is sent, and the digest stays.
    for store in [&sender, &receiver] {
        let heard = Heard::default();
        let again = store.push(&to, &options(&server.host), &heard).await.unwrap();
        assert_eq!(again, pushed);
        for layer in &image.layers {
            assert_eq!(heard.last(layer.short()), Some(LayerStatus::Exists), "{layer}");
        }
    }
    // Another repository of the same registry takes the layers from the first one, and the manifest is the same.
    let other = reference(&server.host, "team/other:v1");
    receiver.tag(&known.id, &other).await.unwrap();
    let heard = Heard::default();
    let mounted = receiver.push(&other, &options(&server.host), &heard).await.unwrap();
    assert_eq!(mounted.digest, pushed.digest);
    for layer in &image.layers {
        let wanted = LayerStatus::Mounted { from: "team/app".into() };
        assert_eq!(heard.last(layer.short()), Some(wanted), "{layer}");
    }
}

#[tokio::test]
async fn two_stores_that_know_nothing_of_each_other_send_the_same() {
    let (here, there) = (start().await, start().await);
    let mut digests = Vec::new();
    for server in [&here, &there] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let to = reference(&server.host, "a:1");
        named(&store, &three_layers(), &to).await;
        digests.push(store.push(&to, &options(&server.host), &Silent).await.unwrap().digest);
    }
    assert_eq!(digests[0], digests[1]);
}

#[tokio::test]
async fn what_was_pulled_is_pushed_by_its_own_manifest() {
    let server = start().await;
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (open(one.path()), open(two.path()));
    let to = reference(&server.host, "a:1");
    let image = named(&first, &small("x"), &to).await;
    let pushed = first.push(&to, &options(&server.host), &Silent).await.unwrap();
    let pulled = pull(&second, &server.host, "a:1").await.unwrap();
    assert_eq!((&pulled.id, &pulled.manifest), (&image.id, &pushed.digest));
    let moved = reference(&server.host, "a:2");
    second.tag(&pulled.id, &moved).await.unwrap();
    assert_eq!(second.push(&moved, &options(&server.host), &Silent).await.unwrap(), pushed);
    let tags = second.tags(&moved, &options(&server.host)).await.unwrap();
    assert_eq!(tags, ["1", "2"]);
    let said = second.distribution(&moved, &options(&server.host)).await.unwrap();
    assert_eq!(said.descriptor.digest, pushed.digest.to_string());
    assert_eq!(said.descriptor.size, pushed.size);
    assert_eq!(said.descriptor.media_type, "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(said.platforms, [serde_json::json!({"architecture": "amd64", "os": "linux"})]);
}

#[tokio::test]
async fn a_locked_registry_wants_to_know_who_asks() {
    let server = start_with(LOCKED).await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let to = reference(&server.host, "a:1");
    named(&store, &small("x"), &to).await;
    let anonymous = options(&server.host);
    let error = store.push(&to, &anonymous, &Silent).await.unwrap_err();
    assert_eq!(error.to_string(), "no basic auth credentials");
    let wrong = PullOptions { credentials: Some(somebody("wrong")), ..anonymous.clone() };
    let error = store.push(&to, &wrong, &Silent).await.unwrap_err();
    assert_eq!(error.to_string(), "unauthorized: authentication required");
    let right = PullOptions { credentials: Some(somebody("pass")), ..anonymous.clone() };
    store.push(&to, &right, &Silent).await.unwrap();
    let error = store.pull_as(&to, &anonymous, &Silent).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Get \"http://{}/v2/a/manifests/1\": no basic auth credentials", server.host)
    );
    store.pull_as(&to, &right, &Silent).await.unwrap();
    let at = Credentials { serveraddress: server.host.clone(), ..somebody("pass") };
    assert_eq!(store.login(&at, &anonymous).await.unwrap(), hull_ports::Login::default());
    let at = Credentials { serveraddress: format!("http://{}/v2/", server.host), ..somebody("wrong") };
    let error = store.login(&at, &anonymous).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Permanent);
    let words = format!("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", server.host);
    assert_eq!(error.to_string(), words);
}

#[tokio::test]
async fn what_is_not_here_cannot_be_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = store.push(&Reference::parse("nosuch").unwrap(), &PullOptions::default(), &Silent).await;
    let error = error.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    assert_eq!(error.to_string(), "An image does not exist locally with the tag: nosuch");
    let by_digest = Reference::parse(&format!("a@{}", digest(b"x"))).unwrap();
    let error = store.push(&by_digest, &PullOptions::default(), &Silent).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot push a digest reference");
}

#[tokio::test]
async fn what_a_registry_does_not_have_is_said_in_docker_words() {
    let server = start().await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = reference(&server.host, "none:1");
    let error = store.distribution(&at, &options(&server.host)).await.unwrap_err();
    assert_eq!(
        (error.class, error.to_string()),
        (ErrorClass::NotFound, "manifest unknown: manifest unknown".into())
    );
    let error = store.tags(&at, &options(&server.host)).await.unwrap_err();
    let words = format!(
        "repository {}/none not found: name unknown: repository name not known to registry",
        server.host
    );
    assert_eq!((error.class, error.to_string()), (ErrorClass::NotFound, words));
    let error = store.search(&format!("{}/foo", server.host), 25, &options(&server.host)).await.unwrap_err();
    assert_eq!(error.to_string(), "Unexpected status code 404");
    assert!(error.remedy.contains("has no search"));
    let error = store.search("foo", 500, &PullOptions::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "limit 500 is outside the range of [1, 100]");
}
