//! The beginning of a blob, kept on the disk while the rest is fetched, so that an agent that was killed goes on from there.
//!
//! Nothing is flushed and nothing trusted: what a power cut made of a file shows in the blob's digest, and the file is
//! removed with the transfer that reached its end. One transfer at a time has a file.

use bytes::Bytes;
use hull_model::Digest;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Smaller blobs are fetched again in less time than it takes to keep them.
const MIN_SIZE: u64 = 1 << 20;
/// Pieces that wait to be written.
const QUEUE: usize = 64;
/// Bytes read at a time.
const READ: usize = 256 << 10;

enum Message {
    Data(Bytes),
    /// The blob is whole: the file has done its work.
    Whole,
}

/// A file under way.
pub(super) struct Partial {
    reader: Option<File>,
    writer: Option<mpsc::Sender<Message>>,
}

impl Partial {
    /// Opens or makes the file of a blob. Says how many bytes it has. `None` if there is no use in one, or another
    /// transfer has it: then the blob is fetched without.
    pub(super) async fn open(directory: &Path, digest: &Digest, size: u64) -> Option<(Self, u64)> {
        if size < MIN_SIZE {
            return None;
        }
        let (directory, path) = (directory.to_owned(), directory.join(digest.hex()));
        let opened =
            spawn_blocking(move || open(&directory, &path, size).map(|(file, have)| (file, have, path)));
        match opened.await.ok()? {
            Ok((file, have, path)) => {
                let reader = file.try_clone().ok()?;
                let (sender, receiver) = mpsc::channel(QUEUE);
                // Ends with the sender.
                spawn_blocking(move || write(file, &path, have, receiver));
                Some((Self { reader: Some(reader), writer: Some(sender) }, have))
            }
            Err(error) => {
                tracing::debug!(%digest, %error, "a layer is fetched without keeping its beginning");
                None
            }
        }
    }

    /// The bytes at an offset, at most so many.
    pub(super) async fn read(&mut self, offset: u64, most: u64) -> io::Result<Bytes> {
        let file = self.reader.as_ref().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
        let length = usize::try_from(most).unwrap_or(READ).min(READ);
        let read = spawn_blocking(move || {
            let mut buffer = vec![0; length];
            let count = file.read_at(&mut buffer, offset)?;
            buffer.truncate(count);
            Ok(Bytes::from(buffer))
        });
        read.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
    }

    /// Keeps what came. A disk that does not take it is nobody's trouble but a later transfer's.
    pub(super) async fn keep(&mut self, bytes: Bytes) {
        if let Some(writer) = &self.writer
            && writer.send(Message::Data(bytes)).await.is_err()
        {
            self.writer = None;
        }
    }

    /// The blob is whole.
    pub(super) fn finish(&mut self) {
        if let Some(writer) = self.writer.take() {
            // A full queue: whoever sweeps finds it.
            let _ = writer.try_send(Message::Whole);
        }
    }
}

fn open(directory: &Path, path: &Path, size: u64) -> io::Result<(File, u64)> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    let file = File::options().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
    file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
    let mut have = file.metadata()?.len();
    // A whole one is of a transfer that ended before it was put in its place.
    if have > size {
        file.set_len(0)?;
        have = 0;
    }
    Ok((file, have))
}

fn write(file: File, path: &Path, have: u64, mut receiver: mpsc::Receiver<Message>) {
    let mut offset = have;
    while let Some(message) = receiver.blocking_recv() {
        let done = match message {
            Message::Data(bytes) => {
                let at = offset;
                offset += bytes.len() as u64;
                file.write_all_at(&bytes, at).is_err()
            }
            Message::Whole => true,
        };
        if done {
            let _ = std::fs::remove_file(path);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn digest() -> Digest {
        Digest::from_sha256([7; 32])
    }

    #[tokio::test]
    async fn what_was_kept_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(digest().hex());
        let (mut first, have) = Partial::open(dir.path(), &digest(), 4 << 20).await.unwrap();
        assert_eq!(have, 0);
        assert!(Partial::open(dir.path(), &digest(), 4 << 20).await.is_none(), "one at a time");
        first.keep(Bytes::from(vec![1; 1 << 20])).await;
        first.keep(Bytes::from(vec![2; 10])).await;
        drop(first);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let (mut second, have) = loop {
            // The writer of the first one ends in its own time.
            match Partial::open(dir.path(), &digest(), 4 << 20).await {
                Some(opened) => break opened,
                None => assert!(std::time::Instant::now() < deadline),
            }
        };
        assert_eq!(have, (1 << 20) + 10);
        assert_eq!(second.read(1 << 20, 100).await.unwrap(), vec![2; 10]);
        second.keep(Bytes::from(vec![3; 5])).await;
        second.finish();
        drop(second);
        while path.exists() {
            assert!(std::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(Partial::open(dir.path(), &digest(), 100).await.is_none(), "small ones are not kept");
    }

    #[tokio::test]
    async fn what_is_too_long_is_no_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(digest().hex());
        for (length, wanted) in [(2 << 20, 2 << 20), ((2 << 20) + 1, 0)] {
            std::fs::write(&path, vec![0; length]).unwrap();
            let (partial, have) = Partial::open(dir.path(), &digest(), 2 << 20).await.unwrap();
            assert_eq!(have, wanted);
            drop(partial);
            std::fs::remove_file(&path).unwrap();
        }
    }
}
