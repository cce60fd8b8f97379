//! Why an archive of images cannot be loaded.

use crate::disk::{DiskError, disk_error};
use crate::layer::LayerError;
use crate::manifest::InvalidManifest;
use hull_model::Digest;
use hull_ports::Error;
use hull_tar::TarError;
use std::io;

/// What is wrong with an archive, or with this host.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The stream ended too early, in any of its layers of packing.
    #[error("unexpected EOF")]
    Truncated,
    /// It is no archive, or one with entries that no archive of images has.
    #[error("invalid archive of images")]
    Tar(#[source] TarError),
    /// The stream failed.
    #[error("reading the archive")]
    Input(#[source] io::Error),
    /// A file that another one names is not in it.
    #[error("open {0}: no such file or directory")]
    Missing(String),
    /// A file is not what it should be.
    #[error("{path}: {reason}")]
    Invalid {
        /// Which.
        path: String,
        /// The rule it breaks.
        reason: String,
    },
    /// A document of an image is not valid.
    #[error("{path}")]
    Document {
        /// Which.
        path: String,
        /// Why.
        source: InvalidManifest,
    },
    /// A layer could not be stored.
    #[error("layer {}", layer.short())]
    Layer {
        /// Which.
        layer: Digest,
        /// Why.
        source: LayerError,
    },
    /// The archive has no image for the platform.
    #[error("no image for {0} was found in the archive")]
    Platform(String),
    /// What was asked for is no platform.
    #[error("{0:?} is not a platform: os/architecture or os/architecture/variant is")]
    AskedPlatform(String),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The task ended without a result.
    #[error("the work was cut short")]
    Cut,
}

impl From<TarError> for LoadError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Truncated => Self::Truncated,
            TarError::Input(source) => Self::input(source),
            other => Self::Tar(other),
        }
    }
}

impl LoadError {
    /// What a failed read means.
    pub(crate) fn input(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Input(source),
        }
    }

    pub(crate) fn invalid(path: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { path: path.chars().take(200).collect(), reason: reason.into() }
    }

    pub(crate) fn at_door(self) -> Error {
        match self {
            Self::Disk(error) => disk_error("loading an archive of images".to_owned(), error),
            Self::Layer { ref source, .. } => {
                let (class, remedy) = (source.class(), source.remedy());
                Error::new(class, "loading an archive of images").remedy(remedy).because(self)
            }
            Self::Cut => Error::retryable("loading an archive of images").because(self),
            Self::Truncated
            | Self::Missing(_)
            | Self::Invalid { .. }
            | Self::Platform(_)
            | Self::AskedPlatform(_) => Error::permanent(self.to_string()),
            Self::Tar(source) => Error::permanent("invalid archive of images").because(source),
            Self::Input(source) => Error::retryable("reading the archive of images").because(source),
            Self::Document { path, source } => Error::permanent(path).because(source),
        }
    }
}
