//! Making processes and looking at how they end: clone3(2), waitid(2), execve(2), close_range(2).

use crate::ret;
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// clone3(2) `CLONE_*` bits that are used here, as 64-bit values.
pub mod flags {
    /// New mount namespace.
    pub const NEWNS: u64 = 0x0002_0000;
    /// New cgroup namespace.
    pub const NEWCGROUP: u64 = 0x0200_0000;
    /// New UTS namespace.
    pub const NEWUTS: u64 = 0x0400_0000;
    /// New IPC namespace.
    pub const NEWIPC: u64 = 0x0800_0000;
    /// New user namespace.
    pub const NEWUSER: u64 = 0x1000_0000;
    /// New PID namespace.
    pub const NEWPID: u64 = 0x2000_0000;
    /// New network namespace.
    pub const NEWNET: u64 = 0x4000_0000;
    pub(super) const PIDFD: u64 = 0x1000;
    pub(super) const INTO_CGROUP: u64 = 0x2_0000_0000;
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A child process that was just made, seen from its parent.
#[derive(Debug)]
pub struct Child {
    /// Its process id in the parent's PID namespace.
    pub pid: i32,
    /// A descriptor that names it and nothing else, for as long as it is open.
    pub pidfd: OwnedFd,
}

/// Makes a child process that runs `main` and then exits; `main` never returns to the caller's frames in the child.
/// `flags` are bits of [`flags`]; `cgroup` is an open cgroup v2 directory in which the child begins its life.
///
/// The caller must be single-threaded: then the child's copy of the address space has no lock held by a thread that does not
/// exist in it, and allocating, opening files and formatting text in the child is as safe as in any program. A process with
/// other threads is refused (`EBUSY`).
pub fn spawn<F>(flags: u64, cgroup: Option<BorrowedFd<'_>>, main: F) -> io::Result<Child>
where
    F: FnOnce() -> Infallible,
{
    if thread_count()? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | flags::PIDFD,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= flags::INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a valid clone_args of the size given and `pidfd` outlives the call. Without CLONE_VM the child gets a
    // copy of this stack and address space, as with fork(2); this process has one thread (checked above), so no lock of the
    // allocator or of the standard library can be held by somebody who is not there in the child.
    let pid = ret(unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut args), std::mem::size_of::<CloneArgs>())
    })?;
    if pid == 0 {
        let never = std::panic::catch_unwind(std::panic::AssertUnwindSafe(main));
        let _: Result<Infallible, _> = never;
        exit_now(70);
    }
    // SAFETY: clone3 with CLONE_PIDFD succeeded, so the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid: pid as i32, pidfd })
}

/// Number of threads of this process.
fn thread_count() -> io::Result<usize> {
    // The link count of a procfs task directory is the number of threads plus two.
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::metadata("/proc/self/task") {
        Ok(metadata) => Ok((metadata.nlink() as usize).saturating_sub(2)),
        // Without procfs (inside a container being set up) the answer is what it was before: callers there are children
        // of `spawn`, which begin with one thread and make none.
        Err(_) => Ok(1),
    }
}

/// Ends this process at once, without running destructors or exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) never returns and has no precondition.
    unsafe { libc::_exit(code) }
}

/// Replaces this process's program. Returns only if that failed.
pub fn exec(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: `path` and every element are NUL-terminated strings that outlive the call, and both arrays end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Marks every descriptor from `first` on close-on-exec.
pub fn cloexec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: close_range(2) with CLOSE_RANGE_CLOEXEC only sets a flag; no descriptor is closed under its owner.
    ret(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first as libc::c_uint,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })
    .map(drop)
}

/// Closes every descriptor but 0, 1, 2 and `keep`. For a process that has nothing else to do with any descriptor until it
/// ends by [`exit_now`]: whoever owned one of them before must never be used or dropped again.
pub fn close_all_but(keep: OwnedFd) -> io::Result<OwnedFd> {
    const PLACE: RawFd = 3;
    let range = |first: RawFd| {
        // SAFETY: by the contract above nobody uses or closes these descriptors any more.
        ret(unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) })
    };
    if keep.as_raw_fd() == PLACE {
        range(PLACE + 1)?;
        return Ok(keep);
    }
    // SAFETY: `keep` is open; place 3 is free or, by the contract above, nobody's any more.
    ret(unsafe { libc::dup3(keep.as_raw_fd(), PLACE, libc::O_CLOEXEC) } as libc::c_long)?;
    std::mem::forget(keep);
    range(PLACE + 1)?;
    // SAFETY: place 3 was just opened for us.
    Ok(unsafe { OwnedFd::from_raw_fd(PLACE) })
}

/// Puts `fd` in the place of standard descriptor `target` (0, 1 or 2), without close-on-exec.
pub fn install_stdio(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if !(0..=2).contains(&target) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    if fd.as_raw_fd() == target {
        // SAFETY: `fd` is open; this clears its close-on-exec flag.
        return ret(unsafe { libc::fcntl(target, libc::F_SETFD, 0) } as libc::c_long).map(drop);
    }
    // SAFETY: `fd` is open. Only 0, 1 and 2 are replaced, which the standard library addresses by number and never owns.
    ret(unsafe { libc::dup2(fd.as_raw_fd(), target) } as libc::c_long).map(drop)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a code.
    Exited(i32),
    /// By a signal.
    Signaled(i32),
}

impl Ended {
    /// From a status as wait(2) gives it.
    pub fn from_wait_status(status: i32) -> Self {
        let signal = status & 0x7f;
        if signal == 0 { Self::Exited((status >> 8) & 0xff) } else { Self::Signaled(signal) }
    }

    /// As a shell shows it: 128 + signal for a killed process.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
        }
    }
}

/// Reaps any child that ended; `None` if none has. `ECHILD` if there is no child at all.
pub fn reap_any() -> io::Result<Option<(i32, Ended)>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let pid = ret(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } as libc::c_long)? as i32;
    Ok((pid != 0).then(|| (pid, Ended::from_wait_status(status))))
}

/// Default dispositions for all signals and nothing blocked, as a new program expects it.
pub fn reset_signals() {
    for signal in 1..=64 {
        if signal == libc::SIGKILL || signal == libc::SIGSTOP {
            continue;
        }
        // SAFETY: SIG_DFL installs no handler; signals that do not exist are refused by the kernel, which is of no consequence.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set is valid, and the old mask is not asked for.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Blocks every signal that can be blocked.
pub fn block_signals() {
    // SAFETY: a full set is valid, and the old mask is not asked for.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, std::ptr::null_mut());
    }
}

/// Waits for any blocked signal and takes it.
pub fn next_signal() -> io::Result<i32> {
    // SAFETY: the set is valid; no details are asked for.
    let signal = unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigwaitinfo(&all, std::ptr::null_mut())
    };
    ret(signal as libc::c_long).map(|signal| signal as i32)
}

/// Gives this process the lowest priority there is (setpriority(2), 19): it runs when nobody else wants to.
pub fn lower_priority() -> io::Result<()> {
    // SAFETY: no memory is passed; 0 is the calling process.
    ret(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) } as libc::c_long).map(drop)
}
