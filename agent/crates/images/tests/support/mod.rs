//! Test images, a registry that misbehaves on demand, and small things that tests share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

pub mod fake;
pub mod image;

use hull_images::{Options, Platform, Store};
use hull_model::{Image, Reference, Registry};
use hull_ports::{Images as _, Silent};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// A store in a directory, with short waits.
pub fn open(root: &Path) -> Store {
    Store::open(root.to_owned(), options()).unwrap()
}

pub fn options() -> Options {
    Options {
        ca_bundle: "/nonexistent".into(),
        connect_timeout: Duration::from_secs(2),
        stall_timeout: Duration::from_secs(1),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() },
        parallel_layers: 4,
        ..Options::default()
    }
}

/// One registry, declared insecure.
pub fn insecure(host: &str) -> BTreeMap<String, Registry> {
    [(host.to_owned(), Registry { insecure: true, ..Registry::default() })].into()
}

pub async fn pull(store: &Store, host: &str, name: &str) -> hull_ports::Result<Image> {
    let reference = Reference::parse(&format!("{host}/{name}")).unwrap();
    store.pull(&reference, &insecure(host), &Silent).await
}

/// Waits until something is so; fails after ten seconds.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !check() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that a failed pull left nothing: no image, no layer, nothing half made.
pub async fn assert_nothing_left(store: &Store, root: &Path) {
    assert_eq!(store.list().await.unwrap(), []);
    assert_eq!(names(&root.join("layers")), [] as [&str; 0]);
    assert_eq!(names(&root.join("images")), [] as [&str; 0]);
    eventually("half-made layers are removed", || names(&root.join("tmp")).is_empty());
}
