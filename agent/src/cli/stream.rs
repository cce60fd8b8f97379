//! A process's standard streams, as if it ran here: on this terminal, or on these pipes.

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::logs::Demux;
use crate::cli::terminal::{self, Raw};
use hyper::Method;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

const BUFFER: usize = 32 << 10;
/// What leaves a terminal unless something else is said: ctrl-p, ctrl-q.
const DEFAULT_KEYS: [u8; 2] = [16, 17];
/// How often a process that has just started is told the size of its terminal.
const RESIZE_TRIES: u32 = 10;

/// How streams are connected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams<'a> {
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// Keys as they were named.
    pub(crate) detach_keys: &'a str,
}

/// Why streams ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process ended, or closed them.
    Closed,
    /// The keys were typed.
    Detached,
}

/// Recognises the keys that leave a terminal, and holds back what may become them.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    seen: usize,
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q` or `a`. What cannot be read means the default.
    pub(crate) fn new(text: &str) -> Self {
        let key = |word: &str| match word.as_bytes() {
            [byte] => Some(*byte),
            [b'c', b't', b'r', b'l', b'-', letter @ (b'a'..=b'z' | b'@' | b'['..=b'_')] => {
                Some(letter & 0x1f)
            }
            _ => None,
        };
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        Self { keys: keys.unwrap_or_else(|| DEFAULT_KEYS.to_vec()), seen: 0 }
    }

    /// What of the typed bytes goes on, and whether the keys are complete.
    pub(crate) fn feed(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut on = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return (on, true);
                }
                continue;
            }
            on.extend(&self.keys[..self.seen]);
            self.seen = usize::from(*byte == self.keys[0] && self.keys.len() > 1);
            if self.seen == 0 {
                on.push(*byte);
            }
        }
        (on, false)
    }
}

/// Carries streams until the process closes them or the keys are typed. The terminal is raw meanwhile.
pub(crate) async fn carry(
    connection: Upgraded,
    framed: bool,
    streams: Streams<'_>,
    process: impl Future<Output = Result<(), Failure>>,
) -> Result<End, Failure> {
    let (reader, writer) = tokio::io::split(TokioIo::new(connection));
    let raw = (streams.tty && streams.stdin && terminal::stdin_is_terminal()).then(Raw::enter).transpose()?;
    let keys = streams.tty.then(|| DetachKeys::new(streams.detach_keys));
    let (typed, detached) = tokio::sync::oneshot::channel();
    let stdin = streams.stdin;
    let input = tokio::spawn(async move {
        if !stdin {
            // Kept open: closing it is an end of file.
            std::future::pending::<()>().await;
        }
        if send(writer, keys).await {
            _ = typed.send(());
        } else {
            std::future::pending::<()>().await;
        }
    });
    let done = tokio::select! {
        copied = receive(reader, framed && !streams.tty, streams) => copied.map(|()| End::Closed).map_err(Failure::from),
        Ok(()) = detached => Ok(End::Detached),
        Err(failure) = process => Err(failure),
    };
    input.abort();
    drop(raw);
    done
}

/// Standard input to the process; its end becomes the process's end of file. `true` once the keys were typed.
async fn send(mut writer: impl AsyncWrite + Unpin, mut keys: Option<DetachKeys>) -> bool {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = match stdin.read(&mut buffer).await {
            Ok(n) if n > 0 => n,
            _ => break,
        };
        let (bytes, complete) = match &mut keys {
            Some(keys) => keys.feed(&buffer[..n]),
            None => (buffer[..n].to_vec(), false),
        };
        // A process that reads no more does not end us: its output does.
        if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
            return false;
        }
        if complete {
            return true;
        }
    }
    _ = writer.shutdown().await;
    false
}

async fn receive(
    mut reader: impl AsyncRead + Unpin,
    framed: bool,
    streams: Streams<'_>,
) -> std::io::Result<()> {
    let mut demux = Demux::new(framed);
    let mut buffer = vec![0; BUFFER];
    let (mut nowhere, mut out, mut err) = (std::io::sink(), std::io::stdout(), std::io::stderr());
    loop {
        let n = match reader.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            // A connection that is cut is over, however it was cut.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = &buffer[..n];
        match (streams.stdout || !framed, streams.stderr) {
            (true, true) => demux.feed(bytes, &mut out, &mut err)?,
            (true, false) => demux.feed(bytes, &mut out, &mut nowhere)?,
            (false, _) => demux.feed(bytes, &mut nowhere, &mut err)?,
        }
    }
}

/// Tells a process's terminal whenever ours changes its size. `path` is its resize endpoint. Never comes back.
pub(crate) async fn follow_window(client: &Client, path: &str) -> Result<(), Failure> {
    let mut changes = signal(SignalKind::window_change())?;
    let mut tries = RESIZE_TRIES;
    loop {
        if let Some((rows, columns)) = terminal::size() {
            let path = format!("{path}?h={rows}&w={columns}");
            // A process that has not begun yet, or has just ended, has no size.
            if client.call(Method::POST, &path, None).await.is_err() && tries > 0 {
                tries -= 1;
                tokio::time::sleep(Duration::from_millis(10 * u64::from(RESIZE_TRIES - tries))).await;
                continue;
            }
        }
        tries = 0;
        changes.recv().await;
    }
}

/// Ends with the failure that a signal means for a client that passes none on. Never comes back otherwise.
pub(crate) async fn end_by_signal() -> Result<(), Failure> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let number = first_of(listen(kinds.map(|k| k.as_raw_value()))?).await;
    Err(Failure::silent(128 + number))
}

/// Signals that are caught now, so that none is lost before they are passed on.
pub(crate) struct Proxy(Vec<(i32, Signal)>);

impl Proxy {
    /// Catches every signal that can be passed on: not those about our own children, pipes and terminal size.
    pub(crate) fn catch() -> Result<Self, Failure> {
        use nix::libc as c;
        let own = [
            c::SIGKILL,
            c::SIGSTOP,
            c::SIGCHLD,
            c::SIGPIPE,
            c::SIGURG,
            c::SIGILL,
            c::SIGFPE,
            c::SIGSEGV,
            c::SIGBUS,
            c::SIGABRT,
            c::SIGWINCH,
            c::SIGTTIN,
            c::SIGTTOU,
            c::SIGTRAP,
            c::SIGSYS,
        ];
        listen((1..32).filter(|number| !own.contains(number))).map(Self)
    }

    /// Passes them on to a container. Never comes back.
    pub(crate) async fn pass_on(mut self, client: &Client, id: &str) -> Result<(), Failure> {
        loop {
            let number = next(&mut self.0).await;
            // A container that has just ended takes no signal; its end is told elsewhere.
            _ = client.call(Method::POST, &format!("/containers/{id}/kill?signal={number}"), None).await;
        }
    }
}

fn listen(numbers: impl IntoIterator<Item = i32>) -> Result<Vec<(i32, Signal)>, Failure> {
    let listen = |number| Ok((number, signal(SignalKind::from_raw(number))?));
    numbers.into_iter().map(listen).collect::<std::io::Result<_>>().map_err(Failure::from)
}

async fn next(signals: &mut [(i32, Signal)]) -> i32 {
    let first = signals.iter_mut().map(|(number, signal)| {
        Box::pin(async move {
            signal.recv().await;
            *number
        })
    });
    futures_util::future::select_all(first).await.0
}

async fn first_of(mut signals: Vec<(i32, Signal)>) -> i32 {
    next(&mut signals).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_input_is_cut() {
        let mut keys = DetachKeys::new("");
        assert_eq!(keys.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.feed(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.feed(b"\x11rest"), (vec![], true));
        let mut keys = DetachKeys::new("ctrl-a,d");
        assert_eq!(keys.feed(b"x\x01dy"), (b"x".to_vec(), true));
        assert_eq!(DetachKeys::new("x").feed(b"abx"), (b"ab".to_vec(), true));
        assert_eq!(DetachKeys::new("ctrl-ü").keys, DEFAULT_KEYS);
    }
}
