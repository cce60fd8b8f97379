//! Pulls from a registry that fails in every way a registry can.

mod support;

use hull_model::{Reference, Registry};
use hull_ports::{Error, ErrorClass, Images as _, Progress, Silent};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::fake::{Fake, Reply, Then};
use support::image::{OCI_INDEX, OCI_MANIFEST, Packing, Tar, TestImage, digest, noise, small};
use support::{assert_nothing_left, eventually, insecure, names, open, pull};

/// An image with one large layer that does not compress.
fn large() -> TestImage {
    TestImage::new(&[(Tar::new().file("data", &noise(3 << 20)).end(), Packing::Plain)])
}

fn assert_error(error: &Error, class: ErrorClass, parts: &[&str]) {
    let text = format!("{} | {}", error.chain(), error.remedy);
    assert_eq!(error.class, class, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn every_packing_is_pulled_and_found_again_after_a_restart() {
    let dir = support::dir();
    let image = TestImage::new(&[
        (Tar::new().directory("etc/", 0o755).file("etc/a", b"1").end(), Packing::Gzip),
        (Tar::new().file("etc/b", b"2").end(), Packing::Zstd),
        (Tar::new().file("etc/c", b"3").end(), Packing::Plain),
        (Tar::new().file("etc/b", b"2").end(), Packing::Zstd),
    ]);
    let fake = Fake::with("1", &image).await;
    let store = open(dir.path());
    let pulled = pull(&store, &fake.host, "a/b:1").await.unwrap();
    assert_eq!(pulled.id, digest(&image.config));
    assert_eq!(pulled.manifest, digest(&image.manifest));
    assert_eq!(pulled.layers.len(), 4);
    assert_eq!((pulled.size, pulled.architecture.as_str()), (3, "amd64"));
    assert_eq!(
        (pulled.config.cmd.as_slice(), pulled.config.env.as_slice()),
        (&["/bin/true".into()][..], &["A=b".into()][..])
    );
    assert_eq!(pulled.created, "2026-01-02T03:04:05Z");
    for (layer, (name, data)) in pulled.layers.iter().zip([("a", "1"), ("b", "2"), ("c", "3")]) {
        let path = support::layer_tree(&dir, layer).join("etc").join(name);
        assert_eq!(std::fs::read_to_string(path).unwrap(), data);
    }
    assert_eq!(names(&dir.path().join("tmp")), [] as [&str; 0]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.list().await.unwrap(), std::slice::from_ref(&pulled));
    let before = fake.requests().len();
    assert_eq!(pull(&store, &fake.host, "a/b:1").await.unwrap(), pulled);
    let again = fake.requests().split_off(before);
    assert!(again.iter().any(|r| r.path.ends_with("/manifests/1")), "the registry is asked again");
    assert!(
        !image.layers.iter().any(|l| again.iter().any(|r| r.path.ends_with(&digest(&l.bytes).to_string())))
    );
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_digest_says_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    let name = digest(&image.layers[0].bytes).to_string();
    fake.script(move |request, content| {
        let mut bytes = request.path.ends_with(&name).then(|| content.blobs[&name].clone())?;
        // Still a good archive: only a byte of data differs.
        bytes[4096] ^= 1;
        Some(Reply::new(200, bytes))
    });
    let store = open(dir.path());
    let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["digest mismatch", &fake.host, "pulling image"]);
    assert_nothing_left(&store, dir.path()).await;
}

#[tokio::test]
async fn garbage_for_a_layer_is_a_digest_mismatch_and_not_a_broken_archive() {
    let dir = tempfile::tempdir().unwrap();
    let image = TestImage::new(&[(Tar::new().file("data", &noise(1 << 20)).end(), Packing::Gzip)]);
    let fake = Fake::with("1", &image).await;
    let (name, size) = (digest(&image.layers[0].bytes).to_string(), image.layers[0].bytes.len());
    fake.script(move |request, _| request.path.ends_with(&name).then(|| Reply::new(200, vec![7; size])));
    let store = open(dir.path());
    let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["digest mismatch"]);
    assert_nothing_left(&store, dir.path()).await;
}

#[tokio::test]
async fn a_configuration_or_manifest_that_lies_is_refused() {
    let image = small("x");
    for part in ["/manifests/", "config"] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::with("1", &image).await;
        let config = digest(&image.config).to_string();
        let other = small("y");
        fake.script(move |request, _| match part {
            "/manifests/" if request.path.contains(part) => {
                Some(Reply::new(200, other.manifest.clone()).header("content-type", OCI_MANIFEST))
            }
            "config" if request.path.ends_with(&config) => Some(Reply::new(200, other.config.clone())),
            _ => None,
        });
        let store = open(dir.path());
        let name = format!("a@{}", digest(&image.manifest));
        let error = pull(&store, &fake.host, &name).await.unwrap_err();
        assert_error(&error, ErrorClass::Permanent, &["digest mismatch"]);
        assert_nothing_left(&store, dir.path()).await;
    }
}

#[tokio::test]
async fn a_layer_that_is_not_the_one_in_the_configuration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut layers = small("x").layers;
    layers[0].diff_id = digest(b"something else");
    let fake = Fake::with("1", &TestImage::from_layers("amd64", layers)).await;
    let store = open(dir.path());
    let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["digest mismatch", "uncompressed"]);
    assert_nothing_left(&store, dir.path()).await;
}

#[tokio::test]
async fn truncated_and_overlong_layers_are_told_apart() {
    let image = large();
    let name = digest(&image.layers[0].bytes).to_string();
    // Announced in full and cut, each time at the same place; announced short; announced long.
    let rows = [
        (0, ErrorClass::Retryable, "broke off"),
        (1, ErrorClass::Permanent, "size mismatch"),
        (2, ErrorClass::Permanent, "size mismatch"),
    ];
    for (case, class, part) in rows {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::with("1", &image).await;
        let name = name.clone();
        fake.script(move |request, content| {
            let mut bytes = request.path.ends_with(&name).then(|| content.blobs[&name].clone())?;
            Some(match case {
                0 if request.header("range").is_some() => content.answer(request).only(0, Then::Cut),
                0 => Reply::new(200, bytes).only(1 << 20, Then::Cut),
                1 => {
                    bytes.truncate(1 << 20);
                    Reply::new(200, bytes)
                }
                _ => {
                    bytes.extend_from_slice(b"more");
                    Reply::new(200, bytes)
                }
            })
        });
        let store = open(dir.path());
        let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
        let unreachable = error.chain().contains("reading from registry");
        assert_error(&error, class, &[if unreachable { "" } else { part }]);
        assert!(case == 0 || !unreachable, "{}", error.chain());
        assert_nothing_left(&store, dir.path()).await;
    }
}

#[tokio::test]
async fn a_registry_that_stalls_is_given_up_and_says_how_far_it_came() {
    let image = large();
    for silent_from_the_start in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::with("1", &image).await;
        let name = digest(&image.layers[0].bytes).to_string();
        fake.script(move |request, content| {
            let count = if silent_from_the_start || request.header("range").is_some() { 0 } else { 1 << 20 };
            request.path.ends_with(&name).then(|| content.answer(request).only(count, Then::Stall))
        });
        let store = open(dir.path());
        let begun = Instant::now();
        let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
        let done = if silent_from_the_start { "after 0 bytes" } else { "after 1048576 bytes" };
        assert_error(&error, ErrorClass::Retryable, &["sent nothing for 1 s", done, &fake.host]);
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        assert_nothing_left(&store, dir.path()).await;
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let host = Fake::start().await.host.clone();
    let store = open(dir.path());
    let error = pull(&store, &host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Retryable, &["connect: connection refused", &host, "check that"]);
    assert_nothing_left(&store, dir.path()).await;
}

#[tokio::test]
async fn a_missing_image_is_reported_in_docker_words() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let store = open(dir.path());
    let error = pull(&store, &fake.host, "team/a:2").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
    assert_eq!(
        error.to_string(),
        format!("manifest for {}/team/a:2 not found: manifest unknown: manifest unknown", fake.host)
    );
}

#[tokio::test]
async fn plain_http_is_only_spoken_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let store = open(dir.path());
    // Another name of this machine, that does not say so.
    let host = fake.host.replace("127.0.0.1", "0.0.0.0");
    let reference = Reference::parse(&format!("{host}/a:1")).unwrap();
    let error = store.pull(&reference, &BTreeMap::new(), &Silent).await.unwrap_err();
    let words = ["server gave HTTP response to HTTPS client", "insecure: true", &host];
    assert_error(&error, ErrorClass::Permanent, &words);
    assert!(fake.requests().is_empty());
    // Within this machine nobody listens.
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    store.pull(&reference, &BTreeMap::new(), &Silent).await.unwrap();
}

#[tokio::test]
async fn images_for_other_machines_are_refused_and_the_right_one_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (small("x"), TestImage::for_platform("arm64", &[]));
    let fake = Fake::with("direct", &theirs).await;
    fake.put("ours", &ours);
    let entry = |image: &TestImage, architecture: &str| {
        serde_json::json!({"mediaType": OCI_MANIFEST, "digest": digest(&image.manifest), "size": image.manifest.len(),
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = |entries: &[serde_json::Value]| {
        serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
            .to_string()
            .into_bytes()
    };
    fake.put_manifest("none", OCI_INDEX, &index(&[entry(&theirs, "arm64")]));
    fake.put_manifest("both", OCI_INDEX, &index(&[entry(&theirs, "arm64"), entry(&ours, "amd64")]));
    // Says amd64 in the index, and is not.
    fake.put_manifest("lie", OCI_INDEX, &index(&[entry(&theirs, "amd64")]));
    let store = open(dir.path());
    for tag in ["direct", "none", "lie"] {
        let error = pull(&store, &fake.host, &format!("a:{tag}")).await.unwrap_err();
        assert_error(&error, ErrorClass::Permanent, &["no matching manifest for linux/amd64", "linux/arm64"]);
    }
    assert_eq!(pull(&store, &fake.host, "a:both").await.unwrap().id, digest(&ours.config));
}

#[tokio::test]
async fn documents_that_are_too_large_or_ambiguous_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.put_manifest("large", OCI_MANIFEST, &vec![b' '; (4 << 20) + 1]);
    fake.put_manifest("json", OCI_MANIFEST, b"{");
    fake.put_manifest("type", "text/html", b"<html>");
    let mixed = String::from_utf8(small("x").manifest).unwrap().replacen('{', r#"{"manifests":[],"#, 1);
    fake.put_manifest("mixed", OCI_MANIFEST, mixed.as_bytes());
    let store = open(dir.path());
    for (tag, part) in
        [("large", "longer than"), ("json", "not valid"), ("type", "text/html"), ("mixed", "ambiguous")]
    {
        let error = pull(&store, &fake.host, &format!("a:{tag}")).await.unwrap_err();
        assert_error(&error, ErrorClass::Permanent, &[part]);
    }
}

#[tokio::test]
async fn a_transfer_that_is_cut_goes_on_where_it_was() {
    for ranges in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let image = large();
        let fake = Fake::with("1", &image).await;
        let name = digest(&image.layers[0].bytes).to_string();
        let mut cuts = 0;
        fake.script(move |request, content| {
            if !request.path.ends_with(&name) {
                return None;
            }
            cuts += 1;
            let whole = Reply::new(200, content.blobs[&name].clone());
            let reply = if ranges { content.answer(request) } else { whole };
            let count = if ranges { 1 << 19 } else { cuts << 19 };
            Some(if cuts <= 4 { reply.only(count, Then::Cut) } else { reply })
        });
        let store = open(dir.path());
        let pulled = pull(&store, &fake.host, "a:1").await.unwrap();
        assert_eq!(pulled.size, 3 << 20);
        let blob = digest(&image.layers[0].bytes).to_string();
        let asked: Vec<_> = fake.requests().into_iter().filter(|r| r.path.ends_with(&blob)).collect();
        assert_eq!(asked.len(), 5);
        assert_eq!(asked[0].header("range"), None);
        assert!(asked[1..].iter().all(|r| r.header("range").is_some()));
    }
}

#[tokio::test]
async fn pulls_at_the_same_time_share_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    fake.put("2", &image);
    let store = open(dir.path());
    let (one, two, three) = tokio::join!(
        pull(&store, &fake.host, "a:1"),
        pull(&store, &fake.host, "a:1"),
        pull(&store, &fake.host, "a:2")
    );
    assert_eq!(one.unwrap().id, two.unwrap().id);
    assert_eq!(three.unwrap().references.len(), 2);
    assert_eq!(fake.blob_requests(&image.layers[0].bytes), 1);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_any_more_stops_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    let name = digest(&image.layers[0].bytes).to_string();
    fake.script(move |request, content| {
        request.path.ends_with(&name).then(|| content.answer(request).only(1 << 20, Then::Stall))
    });
    let store = open(dir.path());
    let tmp = dir.path().join("tmp");
    {
        let pulling = pull(&store, &fake.host, "a:1");
        tokio::pin!(pulling);
        let started = async {
            while names(&tmp).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            result = &mut pulling => panic!("ended: {result:?}"),
            () = started => {}
        }
    }
    // Not eventually(): its sleep would keep the aborted task from being dropped.
    let deadline = Instant::now() + Duration::from_secs(10);
    while !names(&tmp).is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_nothing_left(&store, dir.path()).await;
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_when_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let mut first = true;
    fake.script(move |request, _| {
        let busy = std::mem::take(&mut first) || request.path.ends_with("/busy");
        let wait = if request.path.ends_with("/busy") { "3600" } else { "1" };
        (busy && request.path.contains("/manifests/"))
            .then(|| Reply::new(429, "").header("retry-after", wait))
    });
    let store = open(dir.path());
    // The first request is the probe for HTTPS and HTTP, answered at /v2/ only if it speaks TLS.
    let begun = Instant::now();
    pull(&store, &fake.host, "a:1").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let error = pull(&store, &fake.host, "a:busy").await.unwrap_err();
    assert_error(&error, ErrorClass::Retryable, &["429", "3600 s"]);
}

fn with_credentials(host: &str) -> BTreeMap<String, Registry> {
    let mut registries = insecure(host);
    let registry = registries.get_mut(host).unwrap();
    registry.username = Some("user".into());
    registry.password = Some("pass".into());
    registries
}

/// `user:pass`.
const BASIC: &str = "Basic dXNlcjpwYXNz";

#[tokio::test]
async fn basic_credentials_are_shown_to_their_registry_only() {
    let dir = tempfile::tempdir().unwrap();
    let image = small("x");
    let elsewhere = Fake::with("1", &image).await;
    let fake = Fake::with("1", &image).await;
    let other = elsewhere.host.clone();
    let layer = digest(&image.layers[0].bytes).to_string();
    fake.script(move |request, _| {
        if request.header("authorization") != Some(BASIC) {
            return Some(Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""));
        }
        // Content lives on another host, as with every large registry.
        let location = format!("http://{other}{}", request.path);
        request.path.ends_with(&layer).then(|| Reply::new(307, "").header("location", location))
    });
    let store = open(dir.path());
    let error = pull(&store, &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["no basic auth credentials", "username"]);
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    store.pull(&reference, &with_credentials(&fake.host), &Silent).await.unwrap();
    let seen = elsewhere.requests();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|r| r.header("authorization").is_none()), "{seen:?}");
}

#[tokio::test]
async fn tokens_are_fetched_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let host = fake.host.clone();
    fake.script(move |request, _| {
        if request.path.starts_with("/token") {
            let scoped = request.path.contains("scope=repository%3Ateam%2Fa%3Apull");
            let good = scoped
                && request.path.contains("service=s")
                && request.header("authorization") == Some(BASIC);
            return Some(if good { Reply::new(200, r#"{"token":"t1"}"#) } else { Reply::new(401, "") });
        }
        if request.header("authorization") == Some("Bearer t1") {
            return None;
        }
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"repository:team/a:pull\"");
        Some(Reply::new(401, "").header("www-authenticate", challenge))
    });
    let store = open(dir.path());
    let reference = Reference::parse(&format!("{}/team/a:1", fake.host)).unwrap();
    store.pull(&reference, &with_credentials(&fake.host), &Silent).await.unwrap();
    let tokens = fake.requests().iter().filter(|r| r.path.starts_with("/token")).count();
    assert_eq!(tokens, 1, "one token for the whole pull");
}

#[tokio::test]
async fn a_token_server_elsewhere_does_not_see_the_credentials() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    fake.script(|_, _| {
        let challenge = "Bearer realm=\"http://localhost:1/token\",service=\"s\"";
        Some(Reply::new(401, "").header("www-authenticate", challenge))
    });
    let store = open(dir.path());
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    let error = store.pull(&reference, &with_credentials(&fake.host), &Silent).await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["localhost", "credentials were not sent"]);
}

#[tokio::test]
async fn redirects_end() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    fake.script(|request, _| {
        request
            .path
            .contains("/manifests/")
            .then(|| Reply::new(302, "").header("location", request.path.clone()))
    });
    let error = pull(&open(dir.path()), &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["too many redirects"]);
    fake.script(|request, _| {
        request
            .path
            .contains("/manifests/")
            .then(|| Reply::new(302, "").header("location", "file:///etc/passwd"))
    });
    let other = tempfile::tempdir().unwrap();
    let error = pull(&open(other.path()), &fake.host, "a:1").await.unwrap_err();
    assert_error(&error, ErrorClass::Permanent, &["redirects"]);
}

#[tokio::test]
async fn mirrors_come_first_and_failing_or_lying_ones_are_passed_over() {
    let image = large();
    let name = digest(&image.layers[0].bytes).to_string();
    for fault in ["none", "down", "missing", "lie", "cut"] {
        let dir = tempfile::tempdir().unwrap();
        let registry = Fake::with("1", &image).await;
        let mirror = Fake::start().await;
        let name = name.clone();
        if fault != "missing" {
            mirror.put("1", &image);
        }
        mirror.script(move |request, content| {
            let blob = || request.path.ends_with(&name).then(|| content.blobs[&name].clone());
            match fault {
                "lie" => blob().map(|bytes| Reply::new(200, vec![0; bytes.len()])),
                "cut" => blob().map(|_| content.answer(request).only(1000, Then::Cut)),
                _ => None,
            }
        });
        let mut registries = insecure(&registry.host);
        let mirrors = &mut registries.get_mut(&registry.host).unwrap().mirrors;
        mirrors.push(format!("http://{}", if fault == "down" { "127.0.0.1:1" } else { &mirror.host }));
        let reference = Reference::parse(&format!("{}/a:1", registry.host)).unwrap();
        let store = open(dir.path());
        let pulled = store.pull(&reference, &registries, &Silent).await.unwrap();
        assert_eq!(pulled.references, [reference].into(), "{fault}");
        assert_eq!(registry.requests().is_empty(), fault == "none", "{fault}");
        eventually("nothing half made", || names(&dir.path().join("tmp")).is_empty());
    }
}

#[tokio::test]
async fn progress_is_told_and_ends_at_the_total() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<(u64, Option<u64>)>>, AtomicUsize);
    impl Progress for Heard {
        fn bytes(&self, done: u64, total: Option<u64>) {
            self.0.lock().unwrap().push((done, total));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let image = large();
    let fake = Fake::with("1", &image).await;
    let heard = Heard::default();
    let reference = Reference::parse(&format!("{}/a:1", fake.host)).unwrap();
    open(dir.path()).pull(&reference, &insecure(&fake.host), &heard).await.unwrap();
    let total = image.layers[0].bytes.len() as u64;
    let heard = heard.0.into_inner().unwrap();
    assert_eq!(heard.first(), Some(&(0, Some(total))));
    assert_eq!(heard.last(), Some(&(total, Some(total))));
    assert!(heard.is_sorted() && heard.len() < 50, "{heard:?}");
}
