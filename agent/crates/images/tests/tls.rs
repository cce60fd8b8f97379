//! Registries over HTTPS: whom this host trusts.

mod support;

use hull_images::{Options, Store};
use hull_model::{Reference, Registry};
use hull_ports::{Error, ErrorClass, Images as _, Silent};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::fake::Fake;
use support::image::small;
use support::{insecure, options};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_util::task::AbortOnDropHandle;

/// An authority of our own, in PEM, and what it signs with.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: rcgen::Issuer::new(parameters, key) }
    }

    fn server(&self, expired: bool) -> ServerConfig {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
        if expired {
            parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// HTTPS in front of the fake registry.
async fn front(fake: &Fake, config: ServerConfig) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let behind = fake.host.clone();
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            connections.spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    (host, AbortOnDropHandle::new(server))
}

fn trusting(dir: &Path) -> Store {
    let options = Options { ca_bundle: dir.join("ca.pem"), ..options() };
    Store::open(dir.join("store"), options).unwrap()
}

async fn pull(store: &Store, host: &str, registries: &BTreeMap<String, Registry>) -> Result<(), Error> {
    let reference = Reference::parse(&format!("{host}/a:1")).unwrap();
    store.pull(&reference, registries, &Silent).await.map(drop)
}

#[tokio::test]
async fn only_authorities_of_this_host_are_trusted_and_they_may_change() {
    let dir = tempfile::tempdir().unwrap();
    let (store, bundle) = (trusting(dir.path()), dir.path().join("ca.pem"));
    let fake = Fake::with("1", &small("x")).await;
    let authority = Authority::new();
    let (host, _front) = front(&fake, authority.server(false)).await;
    let none = BTreeMap::new();
    // No bundle, a bundle with somebody else in it, then the right one: it is read again for each pull.
    for content in [None, Some(Authority::new().pem)] {
        content.iter().for_each(|pem| std::fs::write(&bundle, pem).unwrap());
        let error = pull(&store, &host, &none).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Permanent, "{}", error.chain());
        assert!(error.chain().contains("not trusted"), "{}", error.chain());
        assert!(error.remedy.contains("ca_certs"), "{}", error.remedy);
    }
    assert!(fake.requests().is_empty());
    std::fs::write(&bundle, &authority.pem).unwrap();
    pull(&store, &host, &none).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_may_be_a_wrong_clock() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let authority = Authority::new();
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    let (host, _front) = front(&fake, authority.server(true)).await;
    let error = pull(&trusting(dir.path()), &host, &BTreeMap::new()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Retryable, "{}", error.chain());
    assert!(error.remedy.contains("clock"), "{}", error.remedy);
}

#[tokio::test]
async fn an_insecure_registry_may_have_any_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::with("1", &small("x")).await;
    let (host, _front) = front(&fake, Authority::new().server(true)).await;
    pull(&trusting(dir.path()), &host, &insecure(&host)).await.unwrap();
}
