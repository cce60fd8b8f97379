//! The socket clients connect to. If somebody removes it, as a cleaner of temporary files may, it is made again: otherwise no agent
//! would ever reach us, and no other supervisor could take our place.

use super::sources::Source;
use super::{LOCK, SOCKET, Supervisor, lock, make_private};
use crate::failure::{Doing as _, Failure, Result};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;

pub(super) fn listen(path: &Path) -> Result<UnixListener> {
    let what = || format!("listening on {}", path.display());
    // Holding the lock, we know that nobody listens on a socket that is there.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing(what),
        _ => {}
    }
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.doing(what)?;
    listener.set_nonblocking(true).doing(what)?;
    Ok(listener)
}

/// Tells when something is removed from a directory, or the directory itself.
pub(super) fn watch(directory: &Path) -> Result<Inotify> {
    let what = || format!("watching {}", directory.display());
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).doing(what)?;
    let wanted = AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_DELETE_SELF;
    inotify.add_watch(directory, wanted | AddWatchFlags::IN_MOVE_SELF).doing(what)?;
    Ok(inotify)
}

impl Supervisor {
    /// Something was removed from the socket's directory.
    pub(super) fn directory_changed(&mut self) {
        while self.directory.read_events().is_ok_and(|events| !events.is_empty()) {}
        let run_dir = self.options.run_dir.clone();
        if self.stop || (run_dir.join(SOCKET).exists() && run_dir.join(LOCK).exists()) {
            return;
        }
        if let Err(failure) = self.restore_socket(&run_dir) {
            eprintln!("hull-runtime: making the socket again: {failure}");
        }
    }

    fn restore_socket(&mut self, run_dir: &Path) -> Result<()> {
        make_private(run_dir)?;
        if !run_dir.join(LOCK).exists() {
            self.lock = lock(&run_dir.join(LOCK))?;
        }
        if !run_dir.join(SOCKET).exists() {
            let listener = listen(&run_dir.join(SOCKET))?;
            let token = self.sources.add(listener.as_fd(), Source::Listener)?;
            self.sources.remove(self.listener.as_fd(), self.listening);
            self.service.forget("socket");
            self.service.store("socket", listener.as_fd());
            (self.listener, self.listening) = (listener, token);
        }
        let directory = watch(run_dir)?;
        let token = self.sources.add(directory.as_fd(), Source::Directory)?;
        self.sources.remove(self.directory.as_fd(), self.watching);
        (self.directory, self.watching) = (directory, token);
        Ok::<(), Failure>(())
    }
}
