//! What can go wrong between this driver and the kernel.

use hull_ports::{Error, ErrorClass};
use nix::errno::Errno;
use std::io;

/// A step that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A netlink request was answered with an error.
    #[error("{what}")]
    Netlink {
        /// What was asked, of which object.
        what: String,
        /// The kernel's answer.
        source: Errno,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done, to which object.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A thread of our own could not be started, or a namespace not be entered.
    #[error("running in a network namespace")]
    Namespace(#[from] io::Error),
    /// What was asked cannot be had, with its class and remedy.
    #[error("{0}")]
    Refused(#[from] Error),
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// Wraps an errno with what was being done.
    pub(crate) fn errno(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        move |errno| Self::System { what, source: errno.into() }
    }

    /// The kernel's error number, if it gave one.
    pub(crate) fn number(&self) -> Option<i32> {
        match self {
            Self::Netlink { source, .. } => Some(*source as i32),
            Self::System { source, .. } | Self::Namespace(source) => source.raw_os_error(),
            Self::Refused(_) => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let class = match failure.number().map(Errno::from_raw) {
            // What the kernel does not have or does not allow will not be there next time either.
            Some(Errno::EPERM | Errno::EACCES | Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT) => {
                ErrorClass::Permanent
            }
            _ => ErrorClass::Retryable,
        };
        match failure {
            Failure::Refused(error) => error,
            Failure::Netlink { what, source } => Error::new(class, what).because(source),
            Failure::System { what, source } => Error::new(class, what).because(source),
            Failure::Namespace(source) => Error::new(class, "running in a network namespace").because(source),
        }
    }
}
