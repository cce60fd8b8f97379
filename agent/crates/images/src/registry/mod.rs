//! Talking to registries (OCI distribution specification), pulling only.
//!
//! This module owns addresses, trust, authentication, redirects, retries and the verification of everything but layers,
//! which are verified where they are unpacked. Credentials only ever go to the host they were declared for, or to a token
//! server of the same site.

mod blob;
mod challenge;
mod client;
mod endpoint;
mod error;
mod transport;

pub(crate) use blob::BlobStream;
pub(crate) use client::{Client, Fetched};
pub(crate) use error::{RegistryError, at_door};
pub(crate) use transport::Timeouts;
