//! What the supervisor and its clients say to each other.
//!
//! Each message is a length (u32, little-endian) and that many bytes of JSON. Descriptors travel with the first byte of the
//! message that announces them. A message that is too long or cannot be read ends the connection.

use crate::failure::Failure;
use hull_model::{ContainerId, ExitStatus, LogConfig};
use jiff::Timestamp;
use oci_spec::runtime::{LinuxResources, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The longest message.
pub const MAX_MESSAGE: usize = 8 << 20;

/// Directories of an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Read-only layers, topmost first.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// Overlayfs's work directory.
    pub work: PathBuf,
}

/// Everything needed to start a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRequest {
    /// Whose it is.
    pub id: ContainerId,
    /// The OCI configuration.
    pub spec: Spec,
    /// The root file system.
    pub rootfs: Layers,
    /// The user by words.
    pub user: String,
    /// Supplementary groups by words.
    pub groups: Vec<String>,
    /// How its output is kept.
    pub log: LogConfig,
    /// Run a minimal init as process 1.
    pub init: bool,
    /// Keep its standard input open for whoever attaches.
    #[serde(default)]
    pub stdin_open: bool,
    /// Close its standard input for good once a client that was attached to it has gone.
    #[serde(default)]
    pub stdin_once: bool,
}

/// Which streams of a container's main process are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Its standard input.
    pub stdin: bool,
    /// Its standard output.
    pub stdout: bool,
    /// Its standard error.
    pub stderr: bool,
}

/// A further process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Variables on top of the container's.
    pub env: Vec<String>,
    /// Working directory; the container's otherwise.
    pub cwd: Option<PathBuf>,
    /// The user by words; the container's own if empty.
    pub user: String,
    /// Give it a terminal.
    pub tty: bool,
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
    /// Connect standard input.
    pub stdin: bool,
    /// All capabilities.
    pub privileged: bool,
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Start a container. Answered by `Started`.
    Start(Box<StartRequest>),
    /// Answered by `Records`.
    List,
    /// Answered by `Done`.
    Signal(ContainerId, i32),
    /// Answered by `Done`.
    Kill(ContainerId),
    /// Answered by `Exited` when it has ended.
    Wait(ContainerId),
    /// Answered by `Executing` with descriptors.
    Exec(ContainerId, ExecRequest),
    /// Answered by `ExecExited` when it has ended.
    ExecWait(String),
    /// Answered by `Done`.
    Remove(ContainerId),
    /// Answered by `Done`; from then on every end of a container is told.
    Subscribe,
    /// Answered by `Done` when everything is gone; then the supervisor ends.
    Reset,
    /// Answered by `Attached` with a descriptor for each stream that was asked for, in this order: stdin, stdout, stderr.
    Attach(ContainerId, AttachRequest),
    /// Rows and columns of the main process's terminal. Answered by `Done`.
    Resize(ContainerId, u16, u16),
    /// Answered by `Done` when every process is frozen.
    Pause(ContainerId),
    /// Answered by `Done`.
    Resume(ContainerId),
    /// Answered by `Done`.
    Update(ContainerId, Box<LinuxResources>),
    /// Kills a further process and what it started. Answered by `Done`.
    ExecKill(String),
}

/// A container's main process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub id: ContainerId,
    /// Process id on the host.
    pub pid: i32,
    /// When it was started.
    pub started: Timestamp,
    /// How and when it ended.
    pub exit: Option<Exit>,
    /// Its processes are frozen.
    #[serde(default)]
    pub paused: bool,
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How.
    pub status: ExitStatus,
    /// When.
    pub at: Timestamp,
}

/// What the supervisor answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Done,
    /// A container runs.
    Started(Record),
    /// All containers.
    Records(Vec<Record>),
    /// A container has ended.
    Exited(Exit),
    /// A further process runs. Descriptors, as far as they are there: terminal, or stdin, stdout and stderr.
    Executing {
        /// Names it in `ExecWait`.
        exec: String,
        /// Process id on the host.
        pid: i32,
        /// With a terminal there is one descriptor; else stdout and stderr, after stdin if it was asked for.
        terminal: bool,
        /// Whether the first descriptor is stdin.
        stdin: bool,
    },
    /// A further process has ended.
    ExecExited(ExitStatus),
    /// Connected; the descriptors are the streams that were asked for.
    Attached,
    /// It was not done.
    Failed(Failure),
}

/// A request with its number, which the answer repeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the client, other than 0.
    pub number: u64,
    /// What is asked.
    pub request: Request,
}

/// From the supervisor to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The answer to a call.
    Answer {
        /// The call's number.
        number: u64,
        /// How many descriptors belong to it.
        fds: usize,
        /// The answer.
        answer: Answer,
    },
    /// A container has ended; told to those who subscribed.
    Exited {
        /// Whose.
        id: ContainerId,
        /// How.
        exit: Exit,
    },
    /// The kernel killed a process of a container because memory ran out; told to those who subscribed.
    OutOfMemory {
        /// Whose.
        id: ContainerId,
    },
}

/// Why a stream of messages cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The length is beyond [`MAX_MESSAGE`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// The bytes are not the message they should be.
    #[error("a message cannot be read")]
    Malformed(#[from] serde_json::Error),
}

/// A message as it is sent.
///
/// # Errors
/// It is too long, or cannot be expressed.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(ProtocolError::TooLong(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Takes the first message from what was received; `None` if it is not all there yet.
///
/// # Errors
/// The stream cannot be read on.
pub fn decode<T: DeserializeOwned>(received: &mut Vec<u8>) -> Result<Option<T>, ProtocolError> {
    let Some(head) = received.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > MAX_MESSAGE {
        return Err(ProtocolError::TooLong(length));
    }
    let Some(body) = received.get(4..4 + length) else { return Ok(None) };
    let message = serde_json::from_slice(body)?;
    received.drain(..4 + length);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_survive_any_cut(texts in proptest::collection::vec(".{0,40}", 0..6), cut in 1usize..40) {
            let calls: Vec<Call> = texts.iter().enumerate()
                .map(|(n, t)| Call { number: n as u64 + 1, request: Request::ExecWait(t.clone()) }).collect();
            let bytes: Vec<u8> = calls.iter().flat_map(|c| encode(c).unwrap()).collect();
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(call) = decode::<Call>(&mut buffer).unwrap() {
                    seen.push(call);
                }
            }
            prop_assert_eq!(seen, calls);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn rubbish_is_refused_or_waited_for(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode::<Call>(&mut bytes);
        }
    }

    #[test]
    fn a_long_message_is_refused_before_it_arrives() {
        let mut bytes = (MAX_MESSAGE as u32 + 1).to_le_bytes().to_vec();
        assert!(matches!(decode::<Call>(&mut bytes), Err(ProtocolError::TooLong(_))));
    }
}
