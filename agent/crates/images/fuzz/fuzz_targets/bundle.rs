//! Archives of images, in any layout and packing: taken whole, or refused with nothing left.
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
        let loaded = host.store.load(stream, None, &|_| {}).await;
        let images = host.store.list().await.unwrap();
        if loaded.is_err() {
            assert!(images.is_empty(), "{images:?}");
        }
        for image in images {
            host.store.remove(&image.id).await.unwrap();
        }
        assert_eq!(host.store.usage().await.unwrap().layers, 0);
    });
});
