//! Why files of a container could not be read or written, in the words that clients of Docker know.

use hull_ports::{Error, ErrorClass};
use hull_tar::{TarError, shown};
use nix::errno::Errno;
use std::io;

/// A failure. What it says is whole: it never has to be read with a source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nothing is at a path.
    #[error("no such file or directory: {0}")]
    NotFound(String),
    /// What was asked for cannot be, whatever the state of the container.
    #[error("{0}")]
    Invalid(String),
    /// What was asked for cannot be done with what is there, or with this archive.
    #[error("{0}")]
    Failed(String),
    /// The kernel said no.
    #[error("{action} {path}: {}", said(*.errno))]
    System {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The archive is bad.
    #[error("{}", of_archive(.0))]
    Archive(#[from] TarError),
    /// Whoever read the stream went away.
    #[error("the reader went away")]
    HungUp,
}

impl Failure {
    /// To be called with what the kernel said.
    pub(crate) fn system(action: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> Self + use<> {
        let path = shown(path);
        move |errno| match errno {
            Errno::EROFS => Self::Invalid(READ_ONLY_VOLUME.to_owned()),
            errno => Self::System { action, path, errno },
        }
    }

    /// To be called with what the kernel said, through the standard library.
    pub(crate) fn io(action: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Self + use<> {
        let known = Self::system(action, path);
        move |error| known(Errno::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
    }

    /// Looking for a path failed: nothing is there, or something on the way is no directory.
    pub(crate) fn looking(path: &[u8]) -> impl FnOnce(Errno) -> Self + use<> {
        let path = shown(path);
        move |errno| match errno {
            Errno::ENOENT => Self::NotFound(path),
            errno => Self::Failed(format!("lstat {path}: {}", said(errno))),
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound(_) | Self::System { errno: Errno::ENOENT, .. } => ErrorClass::NotFound,
            Self::Invalid(_) => ErrorClass::Permanent,
            _ => ErrorClass::Retryable,
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::System { errno: Errno::ENOSPC | Errno::EDQUOT, .. } => {
                "remove files, volumes or images that are not needed any more"
            }
            _ => "",
        }
    }
}

/// A write into a volume that cannot be written.
pub(crate) const READ_ONLY_VOLUME: &str = "mounted volume is marked read-only";
/// A write into a root file system that cannot be written.
pub(crate) const READ_ONLY_ROOT: &str = "container rootfs is marked read-only";

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::new(failure.class(), failure.to_string()).remedy(failure.remedy())
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::other(failure.to_string())
    }
}

/// What the kernel said, in the words of strerror(3), as every other program puts it.
fn said(errno: Errno) -> String {
    let text = io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn of_archive(error: &TarError) -> String {
    match error {
        TarError::Truncated => "unexpected EOF".to_owned(),
        TarError::Malformed(reason) => format!("archive/tar: invalid tar header: {reason}"),
        TarError::Input(error) => format!("reading the archive: {error}"),
        refused => refused.to_string(),
    }
}
