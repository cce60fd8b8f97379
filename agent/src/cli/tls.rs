//! TLS to an agent over the network, with certificates in files as Docker's client has them.

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Files of certificates, and whether the other side is verified.
#[derive(Debug)]
pub(crate) struct Tls {
    verify: bool,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    /// Whether the certificate and key were asked for, so that a missing file is an error.
    named: bool,
}

/// TLS as flags and environment want it; `None` if they do not.
pub(crate) fn choose(
    global: &Given,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<Tls> {
    let verify = match global.changed("tlsverify") {
        true => global.on("tlsverify"),
        false => environment("DOCKER_TLS_VERIFY").is_some(),
    };
    if !verify && !global.on("tls") && environment("DOCKER_TLS").is_none() {
        return None;
    }
    let folder = environment("DOCKER_CERT_PATH").map_or_else(|| folder.to_owned(), PathBuf::from);
    let file = |flag: &str, name: &str| global.some(flag).map_or_else(|| folder.join(name), PathBuf::from);
    Some(Tls {
        verify,
        ca: file("tlscacert", "ca.pem"),
        certificate: file("tlscert", "cert.pem"),
        key: file("tlskey", "key.pem"),
        named: global.changed("tlscert") || global.changed("tlskey"),
    })
}

fn unreadable(what: &str, path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("could not read {what} {:?}: {why}", path.display().to_string()))
}

impl Tls {
    fn config(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::new(format!("TLS cannot be used: {e}")))?;
        let builder = if self.verify {
            let mut roots = RootCertStore::empty();
            let listed = CertificateDer::pem_file_iter(&self.ca);
            for certificate in listed.map_err(|e| unreadable("CA certificate", &self.ca, e))? {
                let certificate = certificate.map_err(|e| unreadable("CA certificate", &self.ca, e))?;
                roots.add(certificate).map_err(|e| unreadable("CA certificate", &self.ca, e))?;
            }
            builder.with_root_certificates(roots)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        };
        if !self.named && !self.certificate.exists() && !self.key.exists() {
            return Ok(builder.with_no_client_auth());
        }
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| unreadable("certificate", &self.certificate, e))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| unreadable("key", &self.key, e))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|e| Failure::new(format!("the certificate and key cannot be used: {e}")))
    }

    /// Speaks TLS on a connection.
    pub(crate) async fn wrap(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|e| Failure::new(format!("{host:?} is no name for a certificate: {e}")))?;
        let connector = TlsConnector::from(Arc::new(self.config()?));
        connector.connect(name, stream).await.map_err(|e| Failure::new(format!("error during connect: {e}")))
    }
}

/// What `--tls` without `--tlsverify` asks for: encryption with whoever answers.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
