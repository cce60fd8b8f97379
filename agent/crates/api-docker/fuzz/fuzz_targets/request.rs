//! Whole connections: bytes as a client could send them, upgrades among them, against a host of fakes.
#![no_main]

use hull_api_docker::{Api, Listener, Service};
use hull_engine::{Engine, Ledger, Settings};
use hull_model::HostStatus;
use hull_testkit::World;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;

fn no_filter(_: &BTreeSet<String>) -> oci_spec::runtime::LinuxSeccomp {
    oci_spec::runtime::LinuxSeccomp::default()
}

/// Hands out one connection.
struct Once(Option<DuplexStream>);

impl Listener for Once {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.take() {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Host {
    runtime: Runtime,
    service: Service,
    _dir: tempfile::TempDir,
}

async fn service(dir: &std::path::Path) -> Service {
    let world = World::with_images(&["web:1"]);
    let ledger = Ledger::open(&dir.join("ledger.sqlite")).expect("a ledger");
    let settings = Settings { files_dir: dir.join("files"), boot: "boot".into(), seccomp: no_filter };
    let engine = Engine::open(world.drivers(), ledger, settings).await.expect("an engine");
    Service::new(Api {
        engine,
        status: Arc::new(|| Box::pin(async { HostStatus::default() })),
        version: "0.0.0".into(),
        root: dir.into(),
        shutdown: Arc::new(|| {}),
    })
}

fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir().expect("a directory");
        let service = runtime.block_on(service(dir.path()));
        Host { runtime, service, _dir: dir }
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let host = host();
    host.runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(host.service.clone().serve(Once(Some(theirs))));
        let (mut reader, mut writer) = tokio::io::split(ours);
        let sending = async {
            _ = writer.write_all(bytes).await;
            _ = writer.shutdown().await;
        };
        let mut answer = Vec::new();
        let receiving = reader.read_to_end(&mut answer);
        // What waits for something that never happens is left.
        _ = tokio::time::timeout(Duration::from_millis(50), async { tokio::join!(sending, receiving) }).await;
        serving.abort();
    });
});
