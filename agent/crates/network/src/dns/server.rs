//! The resolver of one container, on sockets in its namespace.

use super::Directory;
use super::answer::{Decision, decide, encode, failure, payload_limit};
use super::zone::Scope;
use crate::namespace::ResolverSockets;
use hickory_proto::op::{Message, ResponseCode};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Questions of one container that wait for the host's resolvers at a time; more are answered SERVFAIL.
const MAX_FORWARDED: usize = 128;
/// Connections of one container at a time; more wait.
const MAX_STREAMS: usize = 16;
/// A connection that says nothing so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// A query that is longer is none.
const LONGEST_DATAGRAM: usize = 4096;

/// A running resolver; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Resolver {
    scope: Scope,
    directory: Arc<Directory>,
    forwarded: Semaphore,
    streams: Arc<Semaphore>,
    turn: AtomicUsize,
}

impl Server {
    /// Starts answering. Needs a runtime.
    pub(crate) fn start(
        sockets: ResolverSockets,
        scope: Scope,
        directory: Arc<Directory>,
    ) -> io::Result<Self> {
        let udp = Arc::new(UdpSocket::from_std(sockets.udp)?);
        let tcp = TcpListener::from_std(sockets.tcp)?;
        let resolver = Arc::new(Resolver {
            scope,
            directory,
            forwarded: Semaphore::new(MAX_FORWARDED),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            turn: AtomicUsize::new(0),
        });
        let datagrams = tokio::spawn(serve_datagrams(udp, Arc::clone(&resolver))).abort_handle();
        let streams = tokio::spawn(serve_streams(tcp, resolver)).abort_handle();
        Ok(Self { tasks: [datagrams, streams] })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn serve_datagrams(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    while socket.readable().await.is_ok() {
        // On the stack and not across a wait: an idle resolver holds no buffer.
        let mut buffer = [0u8; LONGEST_DATAGRAM];
        let Ok((length, from)) = socket.try_recv_from(&mut buffer) else { continue };
        let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
        let limit = payload_limit(&query);
        match resolver.decide(&query) {
            Decision::Drop => {}
            Decision::Answer(answer) => {
                if let Some(bytes) = encode(&answer, limit) {
                    let _ = socket.try_send_to(&bytes, from);
                }
            }
            Decision::Forward => {
                let (bytes, socket, resolver) =
                    (buffer[..length].to_vec(), Arc::clone(&socket), Arc::clone(&resolver));
                tokio::spawn(async move {
                    if let Some(answer) = resolver.forward(&query, &bytes, false, limit).await {
                        let _ = socket.send_to(&answer, from).await;
                    }
                });
            }
        }
    }
}

async fn serve_streams(listener: TcpListener, resolver: Arc<Resolver>) {
    loop {
        let Ok(permit) = Arc::clone(&resolver.streams).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move {
                    let _ = converse(stream, &resolver).await;
                    drop(permit);
                });
            }
            // Out of descriptors, or the client was gone already: do not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    loop {
        let mut bytes = vec![0u8; usize::from(timeout(IDLE, stream.read_u16()).await??)];
        timeout(IDLE, stream.read_exact(&mut bytes)).await??;
        let query = Message::from_vec(&bytes).map_err(io::Error::other)?;
        let limit = usize::from(u16::MAX);
        let answer = match resolver.decide(&query) {
            Decision::Drop => return Ok(()),
            Decision::Answer(answer) => encode(&answer, limit),
            Decision::Forward => resolver.forward(&query, &bytes, true, limit).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        timeout(IDLE, stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())).await??;
    }
}

impl Resolver {
    fn decide(&self, query: &Message) -> Decision {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.directory.read(|zones| decide(query, &self.scope, zones, turn))
    }

    async fn forward(&self, query: &Message, bytes: &[u8], stream: bool, limit: usize) -> Option<Vec<u8>> {
        let answer = match self.forwarded.try_acquire() {
            Ok(_permit) => self.directory.forward(&self.scope, bytes, stream, limit).await,
            Err(_) => None,
        };
        answer.or_else(|| encode(&failure(query, ResponseCode::ServFail), limit))
    }
}
