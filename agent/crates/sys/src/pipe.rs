//! Pipes and terminals as queues of bytes: FIONREAD.

use crate::ret;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How many bytes can be read from a pipe (either end may be asked), a terminal or a socket without waiting.
pub fn unread(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD stores one int.
    ret(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, std::ptr::from_mut(&mut count)) }
        as libc::c_long)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn both_ends_know_what_is_unread() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(super::unread(writer.as_fd()).unwrap(), 0);
        writer.write_all(b"four").unwrap();
        assert_eq!(super::unread(reader.as_fd()).unwrap(), 4);
        assert_eq!(super::unread(writer.as_fd()).unwrap(), 4);
    }
}
