//! Messages with descriptors over Unix sockets (SCM_RIGHTS).

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors one message carries.
pub const MAX_FDS: usize = 8;

/// Sends bytes and descriptors; the descriptors travel with the first byte. Returns how many bytes were taken.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    let parts = [IoSlice::new(bytes)];
    Ok(sendmsg::<()>(socket.as_raw_fd(), &parts, control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives bytes and the descriptors that came with them, close-on-exec. Zero bytes: the other end is closed.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = cmsg_space!([RawFd; MAX_FDS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel has just installed these descriptors for us; nobody else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

/// Descriptors that the service manager passed at start (`LISTEN_FDS`), numbers 3 and up. To be called once, first thing in
/// `main`, with the count from the environment.
pub fn inherited(count: usize) -> Vec<OwnedFd> {
    (3..3 + count as RawFd)
        .filter(|fd| {
            // SAFETY: asks for flags only; a closed descriptor gives an error.
            unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) != -1 }
        })
        // SAFETY: the service manager opened them for this process, and by contract nobody has taken them before.
        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
        .collect()
}
