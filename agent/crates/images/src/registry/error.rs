//! Why a registry did not give, or take, what it was asked to.

use hull_ports::{Error, ErrorClass};
use std::time::Duration;

/// A cause further down, as libraries hand it over.
pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure while talking to a registry. The sentences that Docker's clients know are Docker's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// No connection, or it broke.
    #[error("{request}: {reason}")]
    Unreachable {
        host: String,
        /// Method and address: `Get "https://r.example/v2/"`.
        request: String,
        reason: String,
    },
    /// The connection is there but nothing comes.
    #[error("registry {host} sent nothing for {} s, after {done} bytes", .waited.as_secs_f32())]
    Stalled { host: String, waited: Duration, done: u64 },
    /// The transfer broke off and could not be resumed.
    #[error("registry {host} broke off after {done} of {size} bytes")]
    BrokenOff { host: String, done: u64, size: u64 },
    /// The answer to a TLS greeting was not TLS.
    #[error("Get \"https://{host}/v2/\": http: server gave HTTP response to HTTPS client")]
    NotTls { host: String },
    /// The certificate was not accepted.
    #[error(
        "Get \"https://{host}/v2/\": tls: failed to verify certificate: the certificate of the registry is not trusted"
    )]
    Untrusted { host: String, source: Source },
    /// The certificate is for another time than this host believes it is.
    #[error("Get \"https://{host}/v2/\": tls: failed to verify certificate: it is expired or not valid yet")]
    CertificateTime { host: String, source: Source },
    /// It wants a name and a password, and none are known.
    #[error("{request}: no basic auth credentials")]
    NoCredentials { host: String, request: String },
    /// 401 or 403, from the registry or its token service.
    #[error("{detail}")]
    Denied {
        host: String,
        /// In the registry's words: `denied: requested access to the resource is denied`.
        detail: String,
    },
    /// The token server is somewhere the credentials must not go.
    #[error(
        "registry {host} sends us to {realm} for a token, which is not the same site: credentials were not sent"
    )]
    ForeignRealm { host: String, realm: String },
    /// 404 for a manifest.
    #[error("manifest unknown: manifest unknown")]
    NotFound { name: String },
    /// 404 for a repository.
    #[error("repository {name} not found: name unknown: repository name not known to registry")]
    NoRepository { name: String },
    /// A manifest names content that the registry does not have.
    #[error("registry {host} does not have {what}, which the image is made of")]
    BlobMissing { host: String, what: String },
    /// 429, or 5xx.
    #[error("registry {host} answered {status}{}", .retry_after.map(|d| format!(" and asks to wait {} s", d.as_secs())).unwrap_or_default())]
    Busy { host: String, status: u16, retry_after: Option<Duration> },
    /// It will not have what it was sent.
    #[error("{detail}")]
    Refused { host: String, detail: String },
    /// Anything else that the distribution specification does not allow.
    #[error("registry {host} does not follow the protocol: {reason}")]
    Protocol { host: String, reason: String },
    /// The content is not what its digest says.
    #[error("digest mismatch: {what} from registry {host} has the digest {actual}")]
    Digest { host: String, what: String, actual: String },
    /// The content is longer or shorter than declared.
    #[error("size mismatch: {what} from registry {host} is not {declared} bytes long")]
    Size { host: String, what: String, declared: u64 },
    /// What was to be sent could not be read here.
    #[error("reading what is to be sent")]
    Content { source: std::io::Error },
    /// The client could not be set up.
    #[error("setting up the connection to registry {host}")]
    Setup { host: String, source: Source },
}

/// What a registry says when it says nothing more than 401 or 403.
pub(super) const DENIED: &str = "denied: requested access to the resource is denied";

impl RegistryError {
    /// What a caller may do.
    pub(crate) fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. }
            | Self::Stalled { .. }
            | Self::BrokenOff { .. }
            | Self::CertificateTime { .. }
            | Self::Content { .. }
            | Self::Busy { .. } => ErrorClass::Retryable,
            Self::NotFound { .. } | Self::NoRepository { .. } | Self::BlobMissing { .. } => {
                ErrorClass::NotFound
            }
            Self::NotTls { .. }
            | Self::Untrusted { .. }
            | Self::NoCredentials { .. }
            | Self::Denied { .. }
            | Self::ForeignRealm { .. }
            | Self::Refused { .. }
            | Self::Protocol { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Setup { .. } => ErrorClass::Permanent,
        }
    }

    /// What a person can do.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Unreachable { host, .. } => format!(
                "check that {host} is up and its name resolves; a mirror can be named under `hull: registries: \
                 HOST: mirrors:`"
            ),
            Self::Stalled { .. } | Self::BrokenOff { .. } => "it is tried again; check the network path".into(),
            Self::NotTls { host } => format!(
                "if plain HTTP is intended, say so: `hull: registries: {{\"{host}\": {{insecure: true}}}}`"
            ),
            Self::Untrusted { host, .. } => format!(
                "add its authority under `ca_certs: trusted:`, or `hull: registries: {{\"{host}\": {{insecure: true}}}}`"
            ),
            Self::CertificateTime { .. } => "check the clock of this host and the certificate's dates".into(),
            Self::Denied { host, .. } | Self::NoCredentials { host, .. } => format!(
                "check the image's name, log in to {host}, or give username and password under `hull: registries: \
                 {{\"{host}\": …}}`"
            ),
            Self::ForeignRealm { realm, .. } => {
                format!("if {realm} is right, give the registry's credentials at that site's own registry name")
            }
            Self::NotFound { .. } | Self::NoRepository { .. } => "check the image's name and tag".into(),
            Self::BlobMissing { .. } => "push the image again".into(),
            Self::Busy { .. } => "it is tried again later".into(),
            Self::Digest { .. } | Self::Size { .. } => {
                "the registry, a mirror or something on the way changes content; push the image again or use another mirror"
                    .into()
            }
            Self::Content { .. } => "check the disk that holds the image store".into(),
            Self::Refused { .. } => String::new(),
            Self::Protocol { .. } | Self::Setup { .. } => "check the registry's address and what answers there".into(),
        }
    }

    /// Whether another mirror may do better.
    pub(crate) fn is_about_host(&self) -> bool {
        !matches!(self, Self::Setup { .. } | Self::Content { .. })
    }

    /// Whether the same request may succeed when it is made again at once.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::BrokenOff { .. } | Self::Busy { .. }
        )
    }

    /// The error at the door, in its own words: Docker's, where Docker has any.
    pub(crate) fn at_door(self) -> Error {
        let (class, remedy) = (self.class(), self.remedy());
        let error = Error::new(class, self.to_string()).remedy(remedy);
        match self {
            Self::Untrusted { source, .. }
            | Self::CertificateTime { source, .. }
            | Self::Setup { source, .. } => error.because(source),
            Self::Content { source } => error.because(source),
            _ => error,
        }
    }
}

/// The error at the door: what was wanted, and this as its cause.
pub(crate) fn at_door(message: String, error: RegistryError) -> Error {
    let (class, remedy) = (error.class(), error.remedy());
    Error::new(class, message).remedy(remedy).because(error)
}
