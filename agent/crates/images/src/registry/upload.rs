//! Sending blobs and manifests (distribution specification, "Pushing").

use super::client::Client;
use super::error::RegistryError;
use super::session::Ask;
use bytes::Bytes;
use hull_model::Digest;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// How long a registry may take, beyond what is usual, to check and move a blob that it has been sent.
const COMMIT: Duration = Duration::from_secs(300);
/// What happened when a registry was asked to take a blob from another of its repositories.
pub(crate) enum Mounting {
    /// It has it now.
    Done,
    /// It would rather have it sent, to there.
    Upload(Url),
}

/// A blob that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Client {
    /// The size of a blob that the repository has.
    pub(crate) async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let ask = Ask::new(Method::HEAD, &self.scopes);
        let response = self.session.ask(0, &format!("v2/{}/blobs/{digest}", self.repository), &ask).await?;
        match response.status() {
            // The length of the body of an answer to HEAD is nought.
            StatusCode::OK => {
                let length = response.headers().get(reqwest::header::CONTENT_LENGTH);
                Ok(Some(length.and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or_default()))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.session.refused(0, response).await),
        }
    }

    /// Asks the registry to take a blob from another of its repositories.
    pub(crate) async fn mount(&self, digest: &Digest, from: &str) -> Result<Mounting, RegistryError> {
        let mut ask = Ask::new(Method::POST, &self.scopes);
        ask.scopes.push(format!("repository:{from}:pull"));
        let mut url = self.uploads().await?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let response = self.session.ask_url(0, url, &ask).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Mounting::Done),
            StatusCode::ACCEPTED => self.location(&response).map(Mounting::Upload),
            _ => Err(self.session.refused(0, response).await),
        }
    }

    async fn uploads(&self) -> Result<Url, RegistryError> {
        let base = self.session.base(0).await?;
        base.join(&format!("v2/{}/blobs/uploads/", self.repository))
            .map_err(|e| self.protocol(0, e.to_string()))
    }

    pub(super) async fn begin(&self) -> Result<Url, RegistryError> {
        let ask = Ask::new(Method::POST, &self.scopes);
        let response = self.session.ask_url(0, self.uploads().await?, &ask).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED => self.location(&response),
            _ => Err(self.session.refused(0, response).await),
        }
    }

    pub(super) fn location(&self, response: &Response) -> Result<Url, RegistryError> {
        let text = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        let url = text.and_then(|text| response.url().join(text).ok());
        let url = url.ok_or_else(|| self.protocol(0, "it does not say where to upload to"))?;
        self.session.check_scheme(0, &url)?;
        Ok(url)
    }

    /// Sends a blob that is small and known, in one request.
    pub(crate) async fn send_small(&self, bytes: Bytes) -> Result<Sent, RegistryError> {
        let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
        let sent = Sent { digest, size: bytes.len() as u64 };
        if self.blob_size(&sent.digest).await?.is_none() {
            let location = self.begin().await?;
            self.complete(location, &sent.digest, bytes).await?;
        }
        Ok(sent)
    }

    pub(super) async fn complete(
        &self,
        mut location: Url,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        let ask = Ask::new(Method::PUT, &self.scopes).header(CONTENT_TYPE, "application/octet-stream");
        let ask = Ask { patience: COMMIT, ..ask.body(bytes) };
        let response = self.session.ask_url(0, location, &ask).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.session.refused(0, response).await),
        }
    }

    /// Sends a manifest under a tag or digest.
    pub(crate) async fn send_manifest(
        &self,
        selector: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let ask = Ask::new(Method::PUT, &self.scopes).header(CONTENT_TYPE, media_type).body(bytes);
        let ask = Ask { patience: COMMIT, ..ask };
        let path = format!("v2/{}/manifests/{selector}", self.repository);
        let response = self.session.ask(0, &path, &ask).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::OK => Ok(()),
            _ => Err(self.session.refused(0, response).await),
        }
    }
}
