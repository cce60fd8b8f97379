//! Bytes between a client's connection and a process: input one way, framed or raw output the other.

use crate::connection::{Reader, Writer};
use crate::descriptor::Descriptor;
use crate::escape::Scanner;
use crate::frame::{self, Channel};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

const BUFFER: usize = 32 << 10;
/// How long output is waited for after the process has ended. What it wrote is there already; only a child it left behind
/// could hold the pipe open longer.
const LINGER: Duration = Duration::from_millis(100);

/// Our ends of a process's streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<Descriptor>,
    pub(crate) stdout: Option<Descriptor>,
    pub(crate) stderr: Option<Descriptor>,
    /// Instead of the others: what comes out of it and what is typed into it.
    pub(crate) terminal: Option<Arc<Descriptor>>,
}

/// Which output the client wants to see, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// Each piece with its stream and length before it; the bytes alone otherwise.
    pub(crate) framed: bool,
}

/// How the client's side of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It asked to be detached.
    Detached,
    /// Nobody is at the other end any more.
    Gone,
}

/// Copies what the client sends to the process, until the client's end of file, which becomes the process's. Returns when
/// the client is not there any more. With `keys`, they are looked for.
pub(crate) async fn input(
    mut client: Reader,
    mut stdin: Option<Descriptor>,
    terminal: Option<Arc<Descriptor>>,
    keys: Option<Vec<u8>>,
) -> Departure {
    let mut scanner = keys.map(Scanner::new);
    let mut buffer = vec![0; BUFFER];
    loop {
        let piece = match client.read(&mut buffer).await {
            Ok(0) => break,
            Ok(n) => &buffer[..n],
            Err(_) => return Departure::Gone,
        };
        let (bytes, detach) = match &mut scanner {
            Some(scanner) => scanner.feed(piece),
            None => (piece.to_vec(), false),
        };
        let target = terminal.as_deref().or(stdin.as_ref());
        // A process that reads no more is told nothing more; what it says still counts.
        if let Some(target) = target
            && target.write_all(&bytes).await.is_err()
        {
            stdin = None;
        }
        if detach {
            return Departure::Detached;
        }
    }
    drop((stdin, terminal));
    client.gone().await;
    Departure::Gone
}

async fn read(from: Option<&Descriptor>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(descriptor) => descriptor.read(buffer).await,
        None => std::future::pending().await,
    }
}

async fn ended_a_while_ago(ended: &mut Option<watch::Receiver<Option<i32>>>) {
    let Some(ended) = ended else { return std::future::pending().await };
    // A sender that is gone will not tell either.
    _ = ended.wait_for(Option::is_some).await;
    tokio::time::sleep(LINGER).await;
}

/// Copies what the process says to the client, until it has said all. A process whose end is told by `ended` is not waited
/// for longer than that.
pub(crate) async fn output(
    streams: &mut Streams,
    mut client: impl AsyncWrite + Unpin,
    wanted: Wanted,
    mut ended: Option<watch::Receiver<Option<i32>>>,
) -> io::Result<()> {
    let (mut out, mut err) = (vec![0; BUFFER], vec![0; BUFFER]);
    while streams.stdout.is_some() || streams.stderr.is_some() || streams.terminal.is_some() {
        let main = streams.terminal.as_deref().or(streams.stdout.as_ref());
        let (channel, read) = tokio::select! {
            biased;
            read = read(main, &mut out) => (Channel::Stdout, read),
            read = read(streams.stderr.as_ref(), &mut err) => (Channel::Stderr, read),
            () = ended_a_while_ago(&mut ended) => return Ok(()),
        };
        let length = read.unwrap_or(0);
        let (bytes, shown) = match channel {
            Channel::Stderr => (&err[..length], wanted.stderr),
            _ => (&out[..length], wanted.stdout),
        };
        match (length, channel) {
            (0, Channel::Stderr) => streams.stderr = None,
            (0, _) => (streams.stdout, streams.terminal) = (None, None),
            _ if !shown => {}
            _ if wanted.framed => client.write_all(&frame::encode(channel, bytes)).await?,
            _ => client.write_all(bytes).await?,
        }
        client.flush().await?;
    }
    Ok(())
}

/// Tells a client something at once, and hangs up.
pub(crate) async fn farewell(mut client: Writer, text: &str, framed: bool) {
    let bytes = text.as_bytes().to_vec();
    let bytes = if framed { frame::encode(Channel::Stdout, &bytes) } else { bytes };
    // A client that is gone needs no reason any more.
    _ = client.write_all(&bytes).await;
    _ = client.shutdown().await;
}
