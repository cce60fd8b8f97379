//! A pipe or a terminal, read and written without blocking a thread.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One end of a pipe, or the master of a terminal.
#[derive(Debug)]
pub(crate) struct Descriptor(AsyncFd<OwnedFd>);

impl Descriptor {
    /// Takes a descriptor over. It must be one that poll(2) can wait for.
    #[expect(
        deprecated,
        reason = "sound for an owned descriptor, which stays open for as long as it is registered"
    )]
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self(AsyncFd::new(fd)?))
    }

    /// Reads what is there, waiting for something. Zero is the end; so is a terminal whose last user is gone.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.async_io(Interest::READABLE, |fd| match nix::unistd::read(fd, buffer) {
            Err(Errno::EIO) => Ok(0),
            other => other.map_err(io::Error::from),
        });
        read.await
    }

    /// Writes everything.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let write = |fd: &OwnedFd| nix::unistd::write(fd, bytes).map_err(io::Error::from);
            let written = self.0.async_io(Interest::WRITABLE, write).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Sets the size of a terminal.
    pub(crate) fn set_size(&self, rows: u16, columns: u16) -> io::Result<()> {
        hull_sys::terminal::set_size(self.0.get_ref().as_fd(), rows, columns)
    }
}
