//! The API over TCP: only with TLS, and only for who proves with a certificate to belong here.

use anyhow::{Context as _, Result, bail};
use hull_api_docker::Listener;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a peer may take to prove who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Peers that may be proving it at the same time.
const AT_ONCE: usize = 64;
/// How long accepting pauses when the host has nothing left to accept with.
const PAUSE: Duration = Duration::from_secs(1);

/// Where certificates are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Authorities whose clients are let in.
    pub(crate) authorities: PathBuf,
    /// Who we are.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = read.with_context(|| format!("reading the certificates in {}", path.display()))?;
    if list.is_empty() {
        bail!("{} has no certificate in it; it must be in PEM", path.display());
    }
    Ok(list)
}

/// What is proved to peers, and asked of them.
fn configuration(files: &Files) -> Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.authorities)? {
        let added = roots.add(authority);
        added.with_context(|| format!("using the authority in {}", files.authorities.display()))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().context("using the authorities")?;
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("reading the key in {}", files.key.display()))?;
    let mut configuration = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .with_context(|| format!("using the certificate in {}", files.certificate.display()))?;
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Peers that have proved who they are. Until then a peer gets no answer, keeps nobody waiting, and is dropped in time.
pub(crate) struct Proven {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Proven {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proven {
    /// Listens at an address.
    pub(crate) async fn listen(address: SocketAddr, files: &Files) -> Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(configuration(files)?));
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr().context("asking for the address that is listened on")?;
        let (sender, ready) = mpsc::channel(AT_ONCE);
        let accepting = tokio::spawn(accept(listener, acceptor, sender));
        Ok(Self { ready, address, accepting })
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // Never closed, so a place always comes.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "accepting a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let proven = tokio::time::timeout(HANDSHAKE, prove(stream, &acceptor)).await;
            drop(place);
            match proven {
                // If nobody takes it the agent is ending.
                Ok(Ok(stream)) => _ = ready.send((stream, peer)).await,
                Ok(Err(error)) => tracing::info!(%peer, %error, "a peer did not prove who it is"),
                Err(_) => tracing::info!(%peer, "a peer did not prove who it is in time"),
            }
        });
    }
}

async fn prove(stream: TcpStream, acceptor: &TlsAcceptor) -> io::Result<TlsStream<TcpStream>> {
    // Keys typed into a terminal go out one by one.
    stream.set_nodelay(true)?;
    acceptor.accept(stream).await
}

impl Listener for Proven {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(proven) => proven,
            // Whoever accepts has ended, so nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests;
