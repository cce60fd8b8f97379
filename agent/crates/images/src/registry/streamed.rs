//! Sending a blob that is made while it is sent.

use super::client::Client;
use super::error::RegistryError;
use super::session::{Ask, Session, retry_after};
use super::transport::failed;
use super::upload::Sent;
use bytes::Bytes;
use hull_model::Digest;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

/// How often in a row an upload is begun again.
const MAX_FAILURES: u32 = 5;
/// Bytes sent at a time.
const PIECE: usize = 128 << 10;
/// Pieces that wait to be sent.
const QUEUE: usize = 8;

/// What is sent as one blob. Reading it again gives the same bytes.
pub(crate) trait Content: Send + Sync + 'static {
    /// Begins at the beginning.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// Hears that a transfer is begun again in so many seconds.
pub(crate) type Retrying<'a> = &'a (dyn Fn(u64) + Send + Sync);

impl Client {
    /// Sends a blob whose digest is known when it has been read. `done` counts what the registry has been sent. One that
    /// breaks off goes on where the registry says it has got to, or at the beginning.
    pub(crate) async fn send(
        &self,
        content: Arc<dyn Content>,
        begun: Option<Url>,
        done: &Arc<AtomicU64>,
        retrying: Retrying<'_>,
    ) -> Result<Sent, RegistryError> {
        let mut upload = begun;
        let mut offset = 0;
        let mut failures = 0;
        loop {
            let attempt = async {
                let to = match upload.take() {
                    Some(url) => url,
                    None => self.begin().await?,
                };
                upload = Some(to.clone());
                let (location, sent) = self.stream(to, &content, offset, done).await?;
                self.complete(location, &sent.digest, Bytes::new()).await?;
                Ok(sent)
            };
            let before = offset;
            match attempt.await {
                Err(error) if is_worth_another(&error) && failures < MAX_FAILURES => {
                    let seconds = 1 << failures;
                    tracing::debug!(%error, seconds, "an upload broke off");
                    retrying(seconds);
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    (upload, offset) = self.reached(upload.take()).await;
                    failures = if offset > before { 1 } else { failures + 1 };
                }
                result => return result,
            }
        }
    }

    /// How far an upload has got, in the registry's view; if it has none, there is none.
    async fn reached(&self, upload: Option<Url>) -> (Option<Url>, u64) {
        let Some(url) = upload else { return (None, 0) };
        let ask = Ask::new(Method::GET, &self.scopes);
        let Ok(response) = self.session.ask_url(0, url.clone(), &ask).await else { return (None, 0) };
        let range = response.headers().get(RANGE).and_then(|v| v.to_str().ok()).and_then(range_end);
        match (response.status(), range) {
            (StatusCode::NO_CONTENT, Some(offset)) => (Some(self.location(&response).unwrap_or(url)), offset),
            _ => (None, 0),
        }
    }

    /// One request with all that is left. Says where the upload is to be completed.
    async fn stream(
        &self,
        to: Url,
        content: &Arc<dyn Content>,
        offset: u64,
        done: &Arc<AtomicU64>,
    ) -> Result<(Url, Sent), RegistryError> {
        done.store(offset, Ordering::Relaxed);
        let (pieces, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
        let source = Arc::clone(content);
        let reading = spawn_blocking(move || read(&*source, offset, &pieces));
        let counted = Arc::clone(done);
        let stream = futures_util::stream::unfold(receiver, move |mut receiver| {
            let counted = Arc::clone(&counted);
            async move {
                let piece = receiver.recv().await?;
                if let Ok(bytes) = &piece {
                    counted.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                Some((piece, receiver))
            }
        });
        let own = to.origin() == self.session.base(0).await?.origin();
        let mut request = self.session.client(0).await?.patch(to);
        if let Some(value) = own.then(|| self.session.authorizations.get(0, &self.scopes)).flatten() {
            request = request.header(AUTHORIZATION, value);
        }
        let request =
            request.header(CONTENT_TYPE, "application/octet-stream").body(Body::wrap_stream(stream));
        let response = match watched(&self.session, request, done).await {
            Ok(response) if response.status().is_success() => response,
            // It answers before it has all: nothing more is read for it.
            Ok(response) => return Err(self.session.unusable(response).await),
            Err(error) => {
                return match reading.await {
                    // What could not be read here is why it broke off there.
                    Ok(Err(source)) => Err(RegistryError::Content { source }),
                    _ => Err(error),
                };
            }
        };
        match reading.await {
            Ok(Ok(Some(sent))) => Ok((self.location(&response)?, sent)),
            Ok(Err(source)) => Err(RegistryError::Content { source }),
            _ => Err(self.protocol(0, "it took an upload before all of it was sent")),
        }
    }
}

impl Session {
    /// An answer to a request that was not made again by `ask`.
    async fn unusable(&self, response: Response) -> RegistryError {
        match response.status() {
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                self.busy(0, status, retry_after(response.headers()))
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(0, response).await,
            _ => self.refused(0, response).await,
        }
    }
}

fn is_worth_another(error: &RegistryError) -> bool {
    error.is_interruption()
}

/// Waits for the answer as long as bytes are taken.
async fn watched(
    session: &Session,
    request: reqwest::RequestBuilder,
    done: &AtomicU64,
) -> Result<Response, RegistryError> {
    let limit = session.timeouts.connect + session.timeouts.stall;
    let mut seen = done.load(Ordering::Relaxed);
    let mut until = Instant::now() + limit;
    let answer = request.send();
    tokio::pin!(answer);
    loop {
        tokio::select! {
            result = &mut answer => return result.map_err(|error| failed(session.host(0), error)),
            () = sleep_until(until) => {
                let now = done.load(Ordering::Relaxed);
                if now == seen {
                    return Err(session.stalled(0, now));
                }
                seen = now;
                until = Instant::now() + limit;
            }
        }
    }
}

/// Reads all of it, sends what comes after `offset`, and says what all of it is; nothing if nobody took the rest.
fn read(
    content: &dyn Content,
    offset: u64,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<Option<Sent>> {
    let mut input = content.open()?;
    let mut hash = Sha256::new();
    let mut size = 0u64;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let taken = (&mut input).take(PIECE as u64).read_to_end(&mut piece);
        let count = match taken {
            Ok(count) => count as u64,
            Err(error) => {
                // The request breaks off: a blob that is too short is not completed.
                let _ = pieces.blocking_send(Err(io::Error::from(error.kind())));
                return Err(error);
            }
        };
        if count == 0 {
            let digest = Digest::from_sha256(hash.finalize().into());
            return Ok(Some(Sent { digest, size }));
        }
        hash.update(&piece);
        let skipped = offset.saturating_sub(size).min(count);
        size += count;
        let rest = Bytes::from(piece).slice(usize::try_from(skipped).unwrap_or(usize::MAX)..);
        if !rest.is_empty() && pieces.blocking_send(Ok(rest)).is_err() {
            return Ok(None);
        }
    }
}

/// Bytes that `0-99` stands for.
fn range_end(text: &str) -> Option<u64> {
    let (_, last) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    match last.trim().parse::<u64>().ok()? {
        // What a registry that has nothing says too; beginning again at the first byte is right for either.
        0 => Some(0),
        last => last.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes3;

    impl Content for Bytes3 {
        fn open(&self) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::repeat(3).take(300_000)))
        }
    }

    #[test]
    fn ranges_say_how_far_an_upload_is() {
        let rows = [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("", None),
            ("0-x", None),
            ("5", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(range_end(text), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn what_goes_on_in_the_middle_has_the_digest_of_the_whole() {
        let all =
            Sent { digest: Digest::from_sha256(Sha256::digest(vec![3; 300_000]).into()), size: 300_000 };
        for offset in [0, 1, 131_072, 200_000, 300_000] {
            let (pieces, mut receiver) = mpsc::channel(QUEUE);
            let reading = spawn_blocking(move || read(&Bytes3, offset, &pieces));
            let mut count = 0;
            while let Some(piece) = receiver.recv().await {
                count += piece.unwrap().len() as u64;
            }
            assert_eq!(reading.await.unwrap().unwrap(), Some(all.clone()));
            assert_eq!(count, 300_000 - offset, "{offset}");
        }
    }
}
