//! Transfers that were cut, and go on.

mod support;

use hull_images::{Options, Store};
use hull_model::Reference;
use hull_ports::{Images as _, LayerStatus, Progress, PullOptions, Silent};
use std::sync::Mutex;
use std::time::Duration;
use support::fake::{Fake, Reply, Then};
use support::image::{Packing, Tar, TestImage, digest, noise, small};
use support::server::start;
use support::{eventually, insecure, names, open, options, pull};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

fn large() -> TestImage {
    TestImage::new(&[(Tar::new().file("big", &noise(6 << 20)).end(), Packing::Gzip)])
}

/// A store that waits long for the next byte.
fn patient(root: &std::path::Path) -> Store {
    Store::open(root.to_owned(), Options { stall_timeout: Duration::from_secs(60), ..options() }).unwrap()
}

/// The store after its agent was killed. What that one still does ends in its own time.
async fn reopen(root: &std::path::Path) -> Store {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        match Store::open(root.to_owned(), options()) {
            Ok(store) => return store,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{}", error.chain()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Pulls until so many bytes of a layer came, and ends the store there, as when its agent is killed.
async fn cut_at(fake: &Fake, root: &std::path::Path, image: &TestImage, bytes: usize) {
    let name = digest(&image.layers[0].bytes).to_string();
    let stalling = name.clone();
    fake.script(move |request, content| {
        request.path.ends_with(&stalling).then(|| content.answer(request).only(bytes, Then::Stall))
    });
    let store = patient(root);
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    let registries = insecure(&fake.host);
    let partial = root.join("partial").join(digest(&image.layers[0].bytes).hex());
    let waiting = async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while std::fs::metadata(&partial).map_or(0, |meta| meta.len()) < bytes as u64 {
            assert!(tokio::time::Instant::now() < deadline, "the beginning is kept");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        result = store.pull(&reference, &registries, &Silent) => panic!("{result:?}"),
        () = waiting => {}
    }
}

#[tokio::test]
async fn a_pull_goes_on_where_the_agent_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    cut_at(&fake, dir.path(), &image, 4 << 20).await;
    fake.script(|_, _| None);
    let before = fake.requests().len();
    let store = reopen(dir.path()).await;
    store.sweep(&[]).await.unwrap();
    let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
    assert_eq!(pulled.id, digest(&image.config));
    let ranges: Vec<String> =
        fake.requests()[before..].iter().filter_map(|r| r.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [format!("bytes={}-", 4 << 20)]);
    eventually("what was kept is gone", || names(&dir.path().join("partial")).is_empty());
}

#[tokio::test]
async fn a_registry_that_knows_no_ranges_is_good_too() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    cut_at(&fake, dir.path(), &image, 4 << 20).await;
    let name = digest(&image.layers[0].bytes).to_string();
    fake.script(move |request, content| {
        request.path.ends_with(&name).then(|| Reply::new(200, content.blobs[&name].clone()))
    });
    assert_eq!(pull(&reopen(dir.path()).await, &fake.host, "a:1").await.unwrap().id, digest(&image.config));
}

#[tokio::test]
async fn what_was_kept_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    cut_at(&fake, dir.path(), &image, 4 << 20).await;
    fake.script(|_, _| None);
    let partial = dir.path().join("partial").join(digest(&image.layers[0].bytes).hex());
    // As a power cut leaves it.
    std::fs::write(&partial, vec![0; 5 << 20]).unwrap();
    assert_eq!(pull(&reopen(dir.path()).await, &fake.host, "a:1").await.unwrap().id, digest(&image.config));
    eventually("it is gone", || !partial.exists());
}

#[tokio::test]
async fn what_came_whole_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    let blob = &image.layers[0].bytes;
    let partial = dir.path().join("partial");
    std::fs::create_dir_all(&partial).unwrap();
    std::fs::write(partial.join(digest(blob).hex()), blob).unwrap();
    assert_eq!(pull(&open(dir.path()), &fake.host, "a:1").await.unwrap().id, digest(&image.config));
    assert_eq!(fake.blob_requests(blob), 0);
}

#[tokio::test]
async fn two_pulls_of_one_image_fetch_it_once_and_both_tell_of_it() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<LayerStatus>>);
    impl Progress for Heard {
        fn bytes(&self, _done: u64, _total: Option<u64>) {}
        fn layer(&self, _layer: &str, status: LayerStatus) {
            self.0.lock().unwrap().push(status);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    let store = open(dir.path());
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    let options = PullOptions { registries: insecure(&fake.host), ..PullOptions::default() };
    let (one, two) = (Heard::default(), Heard::default());
    let (first, second) =
        tokio::join!(store.pull_as(&reference, &options, &one), store.pull_as(&reference, &options, &two));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.image.id, second.image.id);
    assert_eq!([first.changed, second.changed].iter().filter(|changed| **changed).count(), 1);
    assert_eq!(fake.blob_requests(&image.layers[0].bytes), 1);
    for heard in [&one, &two] {
        let heard = heard.0.lock().unwrap();
        assert_eq!(heard.first(), Some(&LayerStatus::Pulling));
        assert_eq!(heard.last(), Some(&LayerStatus::Pulled));
        assert!(heard.contains(&LayerStatus::Verifying) && heard.contains(&LayerStatus::Downloaded));
    }
}

/// In front of a registry: cuts the first connection that uploads more than so many bytes.
async fn cutting(behind: &str, after: usize) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let behind = behind.to_owned();
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        let cut = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        while let Ok((mut outer, _)) = listener.accept().await {
            let (behind, cut) = (behind.clone(), std::sync::Arc::clone(&cut));
            connections.spawn(async move {
                let mut inner = TcpStream::connect(behind).await.unwrap();
                let (mut from, mut to) = outer.split();
                let (mut answers, mut requests) = inner.split();
                let there = async {
                    let mut buffer = vec![0; 64 << 10];
                    let mut count = 0;
                    while let Ok(read @ 1..) = from.read(&mut buffer).await {
                        count += read;
                        if count > after && !cut.swap(true, std::sync::atomic::Ordering::SeqCst) {
                            return;
                        }
                        if requests.write_all(&buffer[..read]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = there => {}
                    _ = tokio::io::copy(&mut answers, &mut to) => {}
                }
            });
        }
    });
    (host, AbortOnDropHandle::new(server))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_breaks_is_made_whole() {
    let server = start().await;
    let (host, _proxy) = cutting(&server.host, 3 << 20).await;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let image = large();
    let origin = Fake::with("1", &image).await;
    let pulled = pull(&store, &origin.host, "a:1").await.unwrap();
    let to = Reference::parse(&format!("{host}/a:1")).unwrap();
    store.tag(&pulled.id, &to).await.unwrap();
    #[derive(Default)]
    struct Retries(Mutex<u32>);
    impl Progress for Retries {
        fn bytes(&self, _done: u64, _total: Option<u64>) {}
        fn layer(&self, _layer: &str, status: LayerStatus) {
            if matches!(status, LayerStatus::Retrying { .. }) {
                *self.0.lock().unwrap() += 1;
            }
        }
    }
    let retries = Retries::default();
    let options = PullOptions { registries: insecure(&host), ..PullOptions::default() };
    store.push(&to, &options, &retries).await.unwrap();
    assert_eq!(*retries.0.lock().unwrap(), 1);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(pull(&open(other.path()), &server.host, "a:1").await.unwrap().layers, pulled.layers);
}

#[tokio::test]
async fn small_layers_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    pull(&open(dir.path()), &fake.host, "a:1").await.unwrap();
    let partial = dir.path().join("partial");
    assert!(!partial.exists() || names(&partial).is_empty());
}
