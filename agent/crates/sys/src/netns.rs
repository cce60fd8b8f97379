//! Network namespaces: made and entered on threads of their own.
//!
//! A thread that changed its namespace never returns to the caller's pool: each function here starts a thread, lets it
//! run the given function inside the namespace, and ends it. The caller's own thread never moves. `/proc/sys/net` and
//! new sockets follow the thread, so the function sees the namespace's.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;

/// Makes a network namespace and runs `inside` in it. The namespace lives as long as the returned file (or a process, or a
/// bind mount of it).
///
/// # Errors
/// Of unshare(2), of starting a thread, or what `inside` returned; then the namespace is gone.
pub fn create<T, E, F>(inside: F) -> Result<(File, T), E>
where
    T: Send,
    E: From<io::Error> + Send,
    F: FnOnce() -> Result<T, E> + Send,
{
    on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        let namespace = current()?;
        Ok((namespace, inside()?))
    })
}

/// Runs `inside` in an existing network namespace.
///
/// # Errors
/// Of setns(2), of starting a thread, or what `inside` returned.
pub fn enter<T, E, F>(namespace: BorrowedFd<'_>, inside: F) -> Result<T, E>
where
    T: Send,
    E: From<io::Error> + Send,
    F: FnOnce() -> Result<T, E> + Send,
{
    on_own_thread(|| {
        setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
        inside()
    })
}

/// The calling thread's network namespace, as a file that keeps it alive.
///
/// # Errors
/// Of open(2) in /proc.
pub fn current() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

fn on_own_thread<T, E, F>(work: F) -> Result<T, E>
where
    T: Send,
    E: From<io::Error> + Send,
    F: FnOnce() -> Result<T, E> + Send,
{
    thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("hull-netns".to_owned())
            .stack_size(256 << 10)
            .spawn_scoped(scope, work)?;
        worker.join().unwrap_or_else(|_| Err(io::Error::other("the namespace thread panicked").into()))
    })
}
