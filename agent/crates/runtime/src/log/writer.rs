//! Everywhere one container's output goes.

use super::files::{LogFiles, Place};
use super::record::Source;
use super::remote::{Remote, Wire, journal_fields, size};
use super::syslog::{Address, Syslog};
use super::{Packing, json};
use crate::failure::{Doing as _, Failure, Result};
use hull_model::{ContainerId, LogConfig, LogDriver};
use hull_sys::process::Child;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;

/// The log of one container, in files and elsewhere. Takes no output that it keeps nowhere.
#[derive(Debug)]
pub(crate) struct Writer {
    files: Option<LogFiles>,
    remote: Option<Remote>,
}

impl Writer {
    /// Opens the log of the container whose directory is `container`, and goes on where it ended. `journal` is the socket of the
    /// journal.
    ///
    /// # Errors
    /// An option is wrong, or what it names cannot be reached or opened.
    pub(crate) fn open(
        container: &Path,
        id: &ContainerId,
        config: &LogConfig,
        journal: &Path,
    ) -> Result<Self> {
        let refused = |reason: String| Failure::permanent("failed to initialize logging driver", reason);
        if let Some(text) = config.options.get("max-buffer-size").filter(|text| size(text).is_none()) {
            return Err(refused(format!("max-buffer-size: invalid size: '{text}'")));
        }
        let remote = match config.driver {
            LogDriver::JsonFile | LogDriver::Local | LogDriver::None => None,
            LogDriver::Journald => Some(to_journal(id, config, journal).map_err(refused)?),
            LogDriver::Syslog => Some(to_syslog(id, config).map_err(refused)?),
        };
        let uncached = config.options.get("cache-disabled").is_some_and(|text| text == "true");
        let nowhere = config.driver == LogDriver::None || (remote.is_some() && uncached);
        let files = if nowhere { None } else { Some(open_files(container, id, config)?) };
        Ok(Self { files, remote })
    }

    /// Takes a piece of output; it is written to the files by `flush`.
    pub(crate) fn piece(&mut self, source: Source, at: Timestamp, bytes: &[u8]) {
        if let Some(files) = &mut self.files {
            files.record(source, at, bytes);
        }
        if let Some(remote) = &mut self.remote {
            remote.piece(source, at, bytes);
        }
    }

    /// Writes what was taken.
    pub(crate) fn flush(&mut self) {
        if let Some(files) = &mut self.files {
            files.flush();
        }
    }

    /// Whether the container may go on speaking.
    pub(crate) fn has_room(&self) -> bool {
        self.remote.as_ref().is_none_or(Remote::has_room)
    }

    /// What the log is sent to.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// There may be room.
    pub(crate) fn remote_ready(&mut self) {
        if let Some(remote) = &mut self.remote {
            remote.flush();
        }
    }

    /// Whether a file was closed that may be compressed now; told once.
    pub(crate) fn take_rotated(&mut self) -> bool {
        self.files.as_mut().is_some_and(LogFiles::take_rotated)
    }

    /// At the end of the container. What a remote end has not taken yet is given back.
    pub(crate) fn finish(mut self) -> Option<Remote> {
        if let Some(files) = &mut self.files {
            files.finish();
        }
        self.remote.filter(|remote| remote.waiting().is_some())
    }
}

/// Begins to compress a file of a container's log; `None` if none waits for it.
pub(crate) fn pack(
    container: &Path,
    id: &ContainerId,
    config: &LogConfig,
) -> std::io::Result<Option<(Packing, Child)>> {
    if !config.compress {
        return Ok(None);
    }
    Packing::begin(Place::of(container, id, config), config.max_files)
}

fn open_files(container: &Path, id: &ContainerId, config: &LogConfig) -> Result<LogFiles> {
    LogFiles::open(Place::of(container, id, config), config, json::attributes(&config.attributes))
        .doing(|| format!("opening the log of container {}", id.short()))
}

fn to_journal(id: &ContainerId, config: &LogConfig, socket: &Path) -> std::result::Result<Remote, String> {
    if !socket.exists() {
        return Err("journald is not enabled on this host".to_owned());
    }
    let wire = Wire::Journal(journal_fields(id, config));
    Remote::open(wire, Address::UnixGram(socket.to_owned()), config)
        .map_err(|errno| format!("connecting to {}: {}", socket.display(), errno.desc().to_lowercase()))
}

fn to_syslog(id: &ContainerId, config: &LogConfig) -> std::result::Result<Remote, String> {
    let host = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let syslog = Syslog::new(id, config, host, TimeZone::system())?;
    let address = Address::parse(config.options.get("syslog-address").map_or("", String::as_str))?;
    Remote::open(Wire::Syslog(Box::new(syslog)), address.clone(), config)
        .map_err(|errno| format!("dial {address}: connect: {}", errno.desc().to_lowercase()))
}
