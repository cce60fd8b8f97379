//! Bytes between a client's connection and a process: input one way, framed or raw output the other.

use crate::descriptor::Descriptor;
use crate::escape::Scanner;
use crate::frame::{self, Channel};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
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
    pub(crate) terminal: Option<Arc<Descriptor>>,
}

/// Which output the client wants to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
}

/// Copies what the client sends to the process, until the client's end of file, which becomes the process's. Returns
/// whether the client asked to be detached.
pub(crate) async fn input(
    mut client: impl AsyncRead + Unpin,
    stdin: Option<Descriptor>,
    terminal: Option<Arc<Descriptor>>,
    keys: Vec<u8>,
) -> bool {
    let mut scanner = terminal.is_some().then(|| Scanner::new(keys));
    let mut buffer = vec![0; BUFFER];
    loop {
        let piece = match client.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => &buffer[..n],
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
            return false;
        }
        if detach {
            return true;
        }
    }
}

async fn read(from: Option<&Descriptor>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(descriptor) => descriptor.read(buffer).await,
        None => std::future::pending().await,
    }
}

async fn ended_a_while_ago(ended: &mut watch::Receiver<Option<i32>>) {
    // A sender that is gone will not tell either.
    _ = ended.wait_for(Option::is_some).await;
    tokio::time::sleep(LINGER).await;
}

/// Copies what the process says to the client, until it has said all.
pub(crate) async fn output(
    streams: &mut Streams,
    mut client: impl AsyncWrite + Unpin,
    wanted: Wanted,
    ended: &mut watch::Receiver<Option<i32>>,
) -> io::Result<()> {
    let framed = streams.terminal.is_none();
    let (mut out, mut err) = (vec![0; BUFFER], vec![0; BUFFER]);
    while streams.stdout.is_some() || streams.stderr.is_some() || streams.terminal.is_some() {
        let main = streams.terminal.as_deref().or(streams.stdout.as_ref());
        let (channel, read) = tokio::select! {
            biased;
            read = read(main, &mut out) => (Channel::Stdout, read),
            read = read(streams.stderr.as_ref(), &mut err) => (Channel::Stderr, read),
            () = ended_a_while_ago(ended) => return Ok(()),
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
            _ if framed => client.write_all(&frame::encode(channel, bytes)).await?,
            _ => client.write_all(bytes).await?,
        }
        client.flush().await?;
    }
    Ok(())
}
