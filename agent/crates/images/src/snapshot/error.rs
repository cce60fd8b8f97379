//! Why a layer could not be unpacked.

use hull_tar::{TarError, shown};
use std::io;

/// A failure while a layer is inflated and unpacked. Nothing of the layer is visible afterwards.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The archive is not well formed.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// The archive ends in the middle of an entry.
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    /// An entry asks for something that no layer may do.
    #[error("entry {path:?}: {reason}")]
    Refused {
        /// Path of the entry as it stands in the archive.
        path: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The compressed stream is broken, or the transfer behind it ended.
    #[error("inflating the layer")]
    Input(#[source] io::Error),
    /// The file system said no.
    #[error("{action} {path:?}")]
    System {
        /// What was being done.
        action: &'static str,
        /// To which path of the layer.
        path: String,
        /// What the kernel said.
        #[source]
        errno: nix::Error,
    },
    /// Going on would use up the space, or the inodes, that are kept free.
    #[error("only {available} bytes or {inodes} inodes are left on the disk")]
    DiskFull {
        /// Bytes free for use.
        available: u64,
        /// Inodes free for use.
        inodes: u64,
    },
    /// The other half of the pipeline stopped first and knows why.
    #[error("unpacking was stopped")]
    Stopped,
}

impl UnpackError {
    pub(crate) fn malformed(reason: &'static str) -> Self {
        Self::Malformed(reason)
    }

    pub(crate) fn refused(path: &[u8], reason: &'static str) -> Self {
        Self::Refused { path: shown(path), reason }
    }

    pub(super) fn system(action: &'static str, path: &[u8]) -> impl FnOnce(nix::Error) -> Self + use<> {
        let path = shown(path);
        move |errno| Self::System { action, path, errno }
    }

    /// The same for what the standard library was asked to do.
    pub(super) fn io(action: &'static str, path: &[u8]) -> impl FnOnce(io::Error) -> Self + use<> {
        let failed = Self::system(action, path);
        move |error| failed(nix::Error::from_raw(error.raw_os_error().unwrap_or(nix::libc::EIO)))
    }

    /// Whether the bytes of the layer are at fault, rather than this host.
    pub(crate) fn is_content(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::Truncated | Self::Refused { .. } | Self::Input(_))
    }

    /// Whether the disk is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::System { errno, .. } => matches!(errno, nix::Error::ENOSPC | nix::Error::EDQUOT),
            _ => false,
        }
    }
}

impl From<TarError> for UnpackError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Malformed(reason) => Self::Malformed(reason),
            TarError::Truncated => Self::Truncated,
            TarError::Refused { path, reason } => Self::Refused { path, reason },
            TarError::Input(error) => Self::Input(error),
        }
    }
}
