//! A mount namespace kept alive by a thread, for kernels that cannot mount on what is mounted nowhere (before Linux 6.15).

use crate::failure::Failure;
use hull_sys::{mount, namespace};
use nix::fcntl::OFlag;
use nix::libc;
use nix::mount::MsFlags;
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Holds the namespace until it is dropped.
pub(crate) struct Keeper {
    /// The thread ends, and the namespace with it, when this is closed.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Mounts `root` in a namespace of its own, where nobody else sees it, and runs `job` there.
    pub(crate) fn start(
        root: OwnedFd,
        job: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = channel();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let entered = enter(&root).map_err(Failure::io("mounting", b"/"));
            // Whoever waits for this holds the other end.
            let _ = tell.send(entered.and_then(|()| job()));
            let _ = stopped.recv();
        });
        let keeper = Self { stop: Some(stop), thread: Some(thread) };
        let failed = |_| Failure::Failed("the thread that mounts volumes stopped".to_owned());
        told.recv().map_err(failed)?.map(|()| keeper)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked has ended too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn enter(root: &OwnedFd) -> io::Result<()> {
    namespace::unshare((libc::CLONE_FS | libc::CLONE_NEWNS) as u64)?;
    // Nothing of this reaches the host.
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let top = nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    mount::attach(root.as_fd(), top.as_fd())
}
