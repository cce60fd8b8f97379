//! A blob as a stream that goes on where it was cut (RFC 9110 §14, range requests).

use super::client::Client;
use super::error::RegistryError;
use super::partial::Partial;
use super::transport::failed;
use crate::manifest::Descriptor;
use bytes::{Buf as _, Bytes};
use hull_model::Digest;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Response, StatusCode};
use std::time::Duration;
use tokio::time::timeout;

/// How often in a row a transfer is begun again without getting anywhere.
const MAX_FAILURES: u32 = 3;
/// New bytes that count as getting somewhere.
const PROGRESS: u64 = 64 << 10;

/// A blob under way. Gives exactly the declared number of bytes, or an error.
pub(crate) struct BlobStream<'a> {
    client: &'a Client,
    endpoint: usize,
    digest: Digest,
    size: u64,
    offset: u64,
    body: Option<Body>,
    kept: Kept,
    /// Attempts in a row that brought next to nothing.
    failures: u32,
}

/// What an earlier transfer left, and what this one leaves.
enum Kept {
    /// Not looked for yet.
    Unknown,
    None,
    /// The file, and how many bytes it had when it was opened.
    Some(Partial, u64),
}

struct Body {
    response: Response,
    /// Bytes to drop first: the registry begins at the beginning whatever it is asked.
    skip: u64,
    /// New bytes that came.
    fresh: u64,
}

impl<'a> BlobStream<'a> {
    pub(super) fn new(client: &'a Client, descriptor: &Descriptor, endpoint: usize) -> Self {
        let digest = descriptor.digest.clone();
        Self {
            client,
            endpoint,
            digest,
            size: descriptor.size,
            offset: 0,
            body: None,
            kept: Kept::Unknown,
            failures: 0,
        }
    }

    /// Which endpoint the last bytes came from.
    pub(crate) fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// The next bytes; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        if let Some(bytes) = self.left_over().await {
            return Ok(Some(bytes));
        }
        let next = self.fetch().await?;
        if let (Kept::Some(partial, _), Some(bytes)) = (&mut self.kept, &next) {
            partial.keep(bytes.clone()).await;
        }
        Ok(next)
    }

    /// Bytes that an earlier transfer left.
    async fn left_over(&mut self) -> Option<Bytes> {
        if let Kept::Unknown = self.kept {
            let found = match self.client.partials() {
                Some(directory) => Partial::open(directory, &self.digest, self.size).await,
                None => None,
            };
            self.kept = found.map_or(Kept::None, |(partial, have)| Kept::Some(partial, have));
        }
        let Kept::Some(partial, have) = &mut self.kept else { return None };
        if self.offset >= *have {
            return None;
        }
        match partial.read(self.offset, *have - self.offset).await {
            Ok(bytes) if !bytes.is_empty() => {
                if self.offset == 0 {
                    self.client.note_resumed(&self.digest);
                    tracing::debug!(digest = %self.digest, have, "going on where a transfer ended");
                }
                self.offset += bytes.len() as u64;
                Some(bytes)
            }
            // What follows would not fit behind it any more.
            _ => {
                self.kept = Kept::None;
                None
            }
        }
    }

    async fn fetch(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let mut body = match self.body.take() {
                Some(body) => body,
                None if self.offset == self.size => return Ok(None),
                None => match self.open().await {
                    Ok(body) => body,
                    Err(error) => {
                        self.interrupted(error, 0).await?;
                        continue;
                    }
                },
            };
            let error = match timeout(self.client.session.timeouts.stall, body.response.chunk()).await {
                Ok(Ok(Some(piece))) => match self.accept(&mut body, piece)? {
                    piece if piece.is_empty() => {
                        self.body = Some(body);
                        continue;
                    }
                    piece => {
                        self.body = Some(body);
                        return Ok(Some(piece));
                    }
                },
                Ok(Ok(None)) if self.offset == self.size => return Ok(None),
                Ok(Ok(None)) => self.broken_off(),
                Ok(Err(error)) => failed(self.client.host(self.endpoint), error),
                Err(_) => RegistryError::Stalled {
                    host: self.client.host(self.endpoint).to_owned(),
                    waited: self.client.session.timeouts.stall,
                    done: self.offset,
                },
            };
            // All is there: how the connection ends does not matter.
            if self.offset == self.size {
                return Ok(None);
            }
            self.interrupted(error, body.fresh).await?;
        }
    }

    fn accept(&mut self, body: &mut Body, mut piece: Bytes) -> Result<Bytes, RegistryError> {
        let skipped = body.skip.min(piece.len() as u64);
        body.skip -= skipped;
        piece.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
        if piece.len() as u64 > self.size - self.offset {
            return Err(self.wrong_size());
        }
        self.offset += piece.len() as u64;
        body.fresh += piece.len() as u64;
        Ok(piece)
    }

    async fn open(&mut self) -> Result<Body, RegistryError> {
        let mut headers = HeaderMap::new();
        if self.offset > 0 {
            let range = format!("bytes={}-", self.offset);
            headers
                .insert(RANGE, HeaderValue::try_from(range).unwrap_or(HeaderValue::from_static("bytes=0-")));
        }
        let response = self.client.blob_response(self.endpoint, &self.digest, headers).await?;
        let (begins_at, declared) = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let header = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
                let begin = header.and_then(range_start).filter(|begin| *begin == self.offset);
                let begin = begin.ok_or_else(|| {
                    self.client.protocol(self.endpoint, "it sent another range than was asked for")
                })?;
                (begin, response.content_length().map(|n| n.saturating_add(begin)))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.wrong_size()),
            _ => (0, response.content_length()),
        };
        if declared.is_some_and(|declared| declared != self.size) {
            return Err(self.wrong_size());
        }
        Ok(Body { response, skip: self.offset - begins_at, fresh: 0 })
    }

    /// Decides whether the transfer goes on: here, at the next endpoint, or not at all.
    async fn interrupted(&mut self, error: RegistryError, fresh: u64) -> Result<(), RegistryError> {
        let transient = error.is_interruption() && !matches!(error, RegistryError::Busy { .. });
        // A connection on which nothing came at all is likely to stay so.
        let silent = matches!(error, RegistryError::Stalled { .. }) && fresh == 0;
        self.failures = if fresh >= PROGRESS { 1 } else { self.failures + 1 };
        if transient && !silent && self.failures < MAX_FAILURES {
            tracing::debug!(digest = %self.digest, offset = self.offset, %error, "resuming a transfer");
            tokio::time::sleep(Duration::from_millis(100 << self.failures)).await;
            return Ok(());
        }
        if self.endpoint + 1 < self.client.endpoints() && error.is_about_host() {
            tracing::debug!(host = self.client.host(self.endpoint), %error, "mirror passed over");
            self.endpoint += 1;
            self.failures = 0;
            return Ok(());
        }
        Err(error)
    }

    fn broken_off(&self) -> RegistryError {
        let host = self.client.host(self.endpoint).to_owned();
        RegistryError::BrokenOff { host, done: self.offset, size: self.size }
    }

    fn wrong_size(&self) -> RegistryError {
        RegistryError::Size {
            host: self.client.host(self.endpoint).to_owned(),
            what: format!("the layer {}", self.digest),
            declared: self.size,
        }
    }
}

impl Drop for BlobStream<'_> {
    /// Whoever dropped it has all of the blob in its place, or knows that it is wrong.
    fn drop(&mut self) {
        if let Kept::Some(partial, _) = &mut self.kept
            && self.offset == self.size
        {
            partial.finish();
        }
    }
}

/// The first number of `bytes 5-9/10`.
fn range_start(text: &str) -> Option<u64> {
    text.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
