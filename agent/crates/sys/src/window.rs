//! The size of a terminal: TIOCGWINSZ.

use crate::ret;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Rows and columns.
pub fn size(terminal: BorrowedFd<'_>) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize.
    ret(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, std::ptr::from_mut(&mut size)) }
        as libc::c_long)?;
    Ok((size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn the_size_that_was_set_is_read() {
        let pty = nix::pty::openpty(None, None).unwrap();
        crate::terminal::set_size(pty.master.as_fd(), 33, 101).unwrap();
        assert_eq!(size(pty.slave.as_fd()).unwrap(), (33, 101));
        assert!(size(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
