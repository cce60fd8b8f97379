//! Reading a container's kept output as a stream.

use super::kept;
use crate::log::reader::Reader;
use crate::log::{Entry, Place};
use futures_util::stream::{self, StreamExt as _};
use hull_model::{ContainerId, LogDriver};
use hull_ports::{Error, LogLine, LogOptions, LogStream, Result, Stream};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Where the container's files are and what to show of them.
struct Job {
    directory: PathBuf,
    id: ContainerId,
    options: LogOptions,
    place: Place,
    /// What goes with each line that does not say so itself.
    attributes: Arc<BTreeMap<String, String>>,
}

/// An inotify instance that tokio can wait for.
struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

pub(super) fn open(state_dir: &Path, id: &ContainerId, options: &LogOptions) -> Result<LogStream> {
    let directory = kept::directory(state_dir, id);
    let kept = kept::load(&directory);
    let Some(log) = kept.map(|kept| kept.log).filter(|_| directory.join("log").is_dir()) else {
        return Err(Error::not_found(format!("container {} has no log", id.short())));
    };
    let uncached = log.options.get("cache-disabled").is_some_and(|text| text == "true");
    let remote = matches!(log.driver, LogDriver::Journald | LogDriver::Syslog);
    if log.driver == LogDriver::None || (remote && uncached) {
        return Err(Error::permanent("configured logging driver does not support reading"));
    }
    let place = Place::of(&directory, id, &log);
    let (id, options, attributes) = (id.clone(), options.clone(), Arc::new(log.attributes));
    let job = Job { directory, id, options, place, attributes };
    // A few batches ahead of the reader, not more: memory stays bounded however long the log is.
    let (send, receive) = mpsc::channel::<Result<Vec<LogLine>>>(4);
    tokio::spawn(async move {
        if let Err(error) = job.run(&send).await {
            let _ = send.send(Err(error)).await;
        }
    });
    let batches =
        stream::unfold(receive, |mut receive| async { receive.recv().await.map(|batch| (batch, receive)) });
    let lines = batches.flat_map(|batch| {
        stream::iter(match batch {
            Ok(lines) => lines.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        })
    });
    Ok(lines.boxed())
}

impl Job {
    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::retryable(format!("reading the log of container {}", self.id.short())).because(error)
    }

    fn ended(&self) -> bool {
        self.directory.join("exit.json").exists() || !self.directory.exists()
    }

    async fn run(&self, send: &mpsc::Sender<Result<Vec<LogLine>>>) -> Result<()> {
        // Watched before it is read, so that nothing falls in between.
        let watch = if self.options.follow { Some(self.watch()?) } else { None };
        let (place, tail) = (self.place.clone(), self.options.tail);
        let follow = self.options.follow;
        let open = move || {
            let reader = Reader::open(&place, tail)?;
            if follow { Ok(reader) } else { reader.until_now() }
        };
        let mut reader = blocking(open).await.map_err(|e| self.failed(e))?;
        loop {
            let ended = self.ended();
            loop {
                let (batch, back) = blocking(move || {
                    let batch = reader.next_entries();
                    batch.map(|batch| (batch, reader))
                })
                .await
                .map_err(|error| self.failed(error))?;
                reader = back;
                if reader.damaged > 0 {
                    let damaged = std::mem::take(&mut reader.damaged);
                    tracing::warn!(container = self.id.short(), damaged, "records of a log cannot be read");
                }
                if batch.is_empty() {
                    break;
                }
                let (lines, beyond) = self.select(batch);
                if (!lines.is_empty() && send.send(Ok(lines)).await.is_err()) || beyond {
                    return Ok(());
                }
            }
            let Some(watch) = watch.as_ref().filter(|_| !ended) else { return Ok(()) };
            tokio::select! {
                () = send.closed() => return Ok(()),
                changed = changes(watch) => changed.map_err(|error| self.failed(error))?,
            }
        }
    }

    fn watch(&self) -> Result<AsyncFd<Watch>> {
        let make = || -> std::io::Result<AsyncFd<Watch>> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let files = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
            let ends = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE_SELF;
            // The log may be in the same directory; then this watch takes the place of the first.
            inotify.add_watch(&self.directory, ends)?;
            inotify.add_watch(&self.place.directory, files | ends)?;
            // Deprecated for what a type might do whose descriptor changes; this one owns one descriptor for its whole life.
            #[expect(deprecated, reason = "the replacement is unsafe code, which is not written here")]
            AsyncFd::new(Watch(inotify))
        };
        make().map_err(|error| self.failed(error))
    }

    /// The lines that were asked for, and whether everything after them is too late.
    fn select(&self, entries: Vec<Entry>) -> (Vec<LogLine>, bool) {
        let mut lines = Vec::new();
        for entry in entries {
            if self.options.until.is_some_and(|until| entry.at >= until) {
                return (lines, true);
            }
            if self.options.since.is_none_or(|since| entry.at >= since) {
                let stream = if entry.stderr { Stream::Stderr } else { Stream::Stdout };
                let attributes = entry.attributes.map_or_else(|| Arc::clone(&self.attributes), Arc::new);
                lines.push(LogLine { stream, at: entry.at, bytes: entry.bytes, attributes });
            }
        }
        (lines, false)
    }
}

async fn changes(watch: &AsyncFd<Watch>) -> std::io::Result<()> {
    let mut ready = watch.readable().await?;
    // All that piled up is one reason to look.
    while watch.get_ref().0.read_events().is_ok_and(|events| !events.is_empty()) {}
    ready.clear_ready();
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
