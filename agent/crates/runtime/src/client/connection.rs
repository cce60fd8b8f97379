//! One connection to the supervisor: calls and answers by number, and what is told unasked.

use crate::protocol::{Answer, Call, Exit, Reply, Request, decode, encode};
use hull_model::ContainerId;
use hull_sys::socket;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

/// An answer with the descriptors that came with it.
pub(super) type Answered = (Answer, Vec<OwnedFd>);
/// What the supervisor tells unasked.
#[derive(Debug)]
pub(super) enum Told {
    /// A container ended.
    Exited(ContainerId, Exit),
    /// A process of a container was killed because memory ran out.
    OutOfMemory(ContainerId),
}

type Pending = Mutex<HashMap<u64, oneshot::Sender<Answered>>>;

pub(super) struct Connection {
    stream: Arc<UnixStream>,
    pending: Arc<Pending>,
    next: AtomicU64,
    writing: tokio::sync::Mutex<()>,
    closed: Arc<AtomicBool>,
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The connection ended before the answer came.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the connection to the supervisor was lost")]
    Lost,
    #[error("the request cannot be sent")]
    Unsendable(#[from] crate::protocol::ProtocolError),
}

impl Connection {
    /// Connects. What the supervisor tells unasked goes to `told`, which closes with the connection.
    pub(super) async fn open(path: &Path, told: mpsc::UnboundedSender<Told>) -> io::Result<Self> {
        let stream = Arc::new(UnixStream::connect(path).await?);
        let pending = Arc::new(Pending::default());
        let closed = Arc::new(AtomicBool::new(false));
        let (reading, waiting, end) = (Arc::clone(&stream), Arc::clone(&pending), Arc::clone(&closed));
        let reader = tokio::spawn(async move {
            if let Err(error) = read(&reading, &waiting, &told).await {
                tracing::debug!(%error, "connection to the supervisor");
            }
            end.store(true, Ordering::Release);
            // Whoever waits learns that no answer will come.
            lock(&waiting).clear();
        });
        Ok(Self {
            stream,
            pending,
            next: AtomicU64::new(1),
            writing: tokio::sync::Mutex::default(),
            closed,
            reader,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) async fn call(&self, request: Request) -> Result<Answered, CallError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = encode(&Call { number, request })?;
        let (answer, answered) = oneshot::channel();
        lock(&self.pending).insert(number, answer);
        // The reader may have emptied the list just before we came onto it.
        if self.is_closed() || self.write(&bytes).await.is_err() {
            lock(&self.pending).remove(&number);
            return Err(CallError::Lost);
        }
        if self.is_closed() {
            lock(&self.pending).remove(&number);
        }
        answered.await.map_err(|_| CallError::Lost)
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let _turn = self.writing.lock().await;
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answered>>> {
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(stream: &UnixStream, pending: &Pending, told: &mpsc::UnboundedSender<Told>) -> io::Result<()> {
    let (mut received, mut fds) = (Vec::new(), std::collections::VecDeque::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        stream.readable().await?;
        match stream.try_io(Interest::READABLE, || socket::receive(stream.as_fd(), &mut buffer)) {
            Ok((0, _)) => return Ok(()),
            Ok((length, more)) => {
                received.extend_from_slice(&buffer[..length]);
                fds.extend(more);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        while let Some(reply) = decode::<Reply>(&mut received).map_err(io::Error::other)? {
            match reply {
                Reply::Answer { number, fds: count, answer } => {
                    let own: Vec<OwnedFd> = fds.drain(..count.min(fds.len())).collect();
                    if let Some(waiting) = lock(pending).remove(&number) {
                        // Nobody waits any more: the descriptors close here.
                        let _ = waiting.send((answer, own));
                    }
                }
                Reply::Exited { id, exit } => {
                    let _ = told.send(Told::Exited(id, exit));
                }
                Reply::OutOfMemory { id } => {
                    let _ = told.send(Told::OutOfMemory(id));
                }
            }
        }
    }
}
