//! Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), waitid(2) and `PIDFD_GET_INFO`.

use crate::process::Ended;
use crate::{owned, ret};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Opens a descriptor for a running process, or for one that ended and was not reaped.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal to exactly that process. `ESRCH` if it was reaped.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo asks the kernel to fill in its own.
    ret(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

/// Kills a child and waits for its end.
pub fn kill_and_reap(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    send_signal(pidfd, libc::SIGKILL)?;
    wait(pidfd, libc::WEXITED).map(drop)
}

/// Reaps a child by its descriptor. `None` while it runs; `ECHILD` if it is not our child.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, libc::WEXITED | libc::WNOHANG)
}

fn wait(pidfd: BorrowedFd<'_>, options: i32) -> io::Result<Option<Ended>> {
    // SAFETY: siginfo_t is plain data for which zeroes are valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place for the result.
    ret(unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &mut info, options) }
        as libc::c_long)?;
    // SAFETY: after a successful waitid the child variant of the union is set, or everything is zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(if info.si_code == libc::CLD_EXITED { Ended::Exited(status) } else { Ended::Signaled(status) }))
}

/// `struct pidfd_info` up to the exit code (Linux 6.15).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 12],
    exit_code: i32,
    padding: u32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`: direction, size, type, number.
const PIDFD_GET_INFO: libc::c_ulong =
    (3 << 30) | ((std::mem::size_of::<PidfdInfo>() as libc::c_ulong) << 16) | (0xff << 8) | 11;

/// How a process ended, after somebody else reaped it: the kernel remembers it for as long as a descriptor that was open
/// before is held. `None` while it runs, waits to be reaped, or on kernels before 6.15.
pub fn exit_status(pidfd: BorrowedFd<'_>) -> Option<Ended> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request encodes the size of `info`, which is what the kernel fills at most.
    let answer = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, std::ptr::from_mut(&mut info)) };
    (answer == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| Ended::from_wait_status(info.exit_code))
}
