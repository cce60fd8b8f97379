use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Once;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

/// An authority with what it has signed.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key.
    fn sign(&self, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        roots
    }
}

fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| _ = rustls::crypto::ring::default_provider().install_default());
}

fn files(dir: &Path, ours: &Authority) -> Files {
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = ours.sign(ExtendedKeyUsagePurpose::ServerAuth);
    Files {
        authorities: put("ca.pem", &ours.certificate),
        certificate: put("cert.pem", &certificate),
        key: put("key.pem", &key),
    }
}

/// What a client gets to read that says one word.
async fn talk(address: SocketAddr, ours: &Authority, proof: Option<(String, String)>) -> io::Result<Vec<u8>> {
    let builder = ClientConfig::builder().with_root_certificates(ours.roots());
    let configuration = match proof {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(configuration)).connect(name, stream).await?;
    stream.write_all(b"hello").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Answers every peer with what it said.
async fn echo(mut proven: Proven) {
    loop {
        let (mut stream, _) = proven.accept().await;
        tokio::spawn(async move {
            let mut word = [0; 5];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word).await.unwrap();
            stream.shutdown().await.unwrap();
        });
    }
}

#[tokio::test]
async fn only_who_proves_to_belong_here_is_answered() {
    install_provider();
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let proven = Proven::listen("127.0.0.1:0".parse().unwrap(), &files(dir.path(), &ours)).await.unwrap();
    let address = proven.local_addr().unwrap();
    let serving = tokio::spawn(echo(proven));
    // One that says nothing keeps nobody waiting.
    let _silent = TcpStream::connect(address).await.unwrap();
    let client = |authority: &Authority| Some(authority.sign(ExtendedKeyUsagePurpose::ClientAuth));
    assert_eq!(talk(address, &ours, client(&ours)).await.unwrap(), b"hello");
    let strangers = [
        ("nobody", None),
        ("of another authority", client(&theirs)),
        ("a server", Some(ours.sign(ExtendedKeyUsagePurpose::ServerAuth))),
    ];
    for (who, proof) in strangers {
        let got = talk(address, &ours, proof).await;
        assert!(got.is_err(), "{who} got {got:?}");
    }
    // Without TLS at all: no byte of an answer in HTTP.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.windows(4).any(|w| w == b"HTTP"), "{answer:?}");
    assert_eq!(talk(address, &ours, client(&ours)).await.unwrap(), b"hello", "strangers leave no trace");
    serving.abort();
}

#[tokio::test]
async fn files_that_are_not_what_they_should_be_are_named() {
    install_provider();
    let dir = tempfile::tempdir().unwrap();
    let good = files(dir.path(), &Authority::new("ours"));
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = dir.path().join("missing.pem");
    let rows = [
        (Files { authorities: empty.clone(), ..good.clone() }, "empty.pem"),
        (Files { certificate: missing.clone(), ..good.clone() }, "missing.pem"),
        (Files { key: empty, ..good.clone() }, "empty.pem"),
        (Files { key: missing, ..good }, "missing.pem"),
    ];
    for (files, named) in rows {
        let error = configuration(&files).unwrap_err();
        assert!(format!("{error:#}").contains(named), "{error:#}");
    }
}
