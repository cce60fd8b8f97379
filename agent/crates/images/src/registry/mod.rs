//! Talking to registries (OCI distribution specification).
//!
//! This module owns addresses, trust, authentication, redirects, retries and the verification of everything but layers,
//! which are verified where they are stored. Credentials only ever go to the host they were declared for, or to a token
//! server of the same site.

mod auth;
mod blob;
mod challenge;
mod client;
mod complaint;
mod endpoint;
mod error;
mod login;
mod partial;
mod search;
mod session;
mod streamed;
mod tags;
mod transport;
mod upload;

pub(crate) use blob::BlobStream;
pub(crate) use client::{Client, Fetched, MAX_CONFIGURATION, MAX_MANIFEST};
pub(crate) use error::{RegistryError, at_door};
pub(crate) use login::login;
pub(crate) use search::search;
pub(crate) use streamed::Content;
pub(crate) use transport::Timeouts;
pub(crate) use upload::{Mounting, Sent};

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    /// What stands in headers and in answers that are no documents.
    pub(crate) fn answers(bytes: &[u8]) {
        let _ = super::complaint::complaint(bytes);
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = super::challenge::parse(text);
            let (one, other) = text.split_at(text.floor_char_boundary(text.len() / 2));
            assert!(super::challenge::same_site(one, one));
            if super::challenge::same_site(one, other) && one != other {
                assert!(one.contains('.') || one.eq_ignore_ascii_case(other));
            }
        }
    }
}
