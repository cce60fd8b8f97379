//! The way of a layer into a store: inflated, read, indexed, written. Whatever is taken is there, and has its digest.
#![no_main]

use hull_images::{Options, Store};
use hull_ports::{Bytes, Images as _};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

struct Host {
    runtime: tokio::runtime::Runtime,
    store: Store,
    _directory: tempfile::TempDir,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().to_owned(), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Host { runtime, store, _directory: directory }
});

fuzz_target!(|bytes: &[u8]| {
    let host = &*HOST;
    let stream = Box::pin(futures_util::stream::iter([Ok(Bytes::copy_from_slice(bytes))]));
    host.runtime.block_on(async {
        if host.store.store_layer(stream).await.is_ok() {
            let report = host.store.check(false).await.unwrap();
            assert!(report.damaged.is_empty(), "{report:?}");
            host.store.sweep(&[]).await.unwrap();
        }
    });
});
