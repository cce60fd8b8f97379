//! A minimal process 1: it starts the workload as its child, passes signals on, and reaps what is orphaned.
//!
//! It is the cloned process itself, without a program of its own, so no file of ours is visible in the container.

use super::launch::Launch;
use crate::failure::{Doing as _, Result};
use hull_sys::{capability, pidfd, process};
use std::convert::Infallible;
use std::os::fd::{AsFd as _, OwnedFd};

pub(super) fn run(launch: Launch<'_>) -> Result<Infallible> {
    process::block_signals();
    let channel = launch.channel;
    let child = process::spawn(0, None, || {
        process::reset_signals();
        match launch.go() {
            Err(failure) => {
                let _ = super::launch::send(channel, &super::Message::Failed(failure), &[]);
                process::exit_now(127)
            }
        }
    })
    .doing(|| "starting the workload under init".to_owned())?;
    let workload = keep_little(child.pidfd)?;
    loop {
        let Ok(signal) = process::next_signal() else { continue };
        if signal != libc::SIGCHLD {
            // The workload may be gone already; its end is noticed below.
            let _ = pidfd::send_signal(workload.as_fd(), signal);
            continue;
        }
        while let Ok(Some((pid, ended))) = process::reap_any() {
            if pid == child.pid {
                process::exit_now(ended.code());
            }
        }
    }
}

/// Keeps nothing of the host's: no descriptor but the workload's, and no capability but the one to signal it. (Like the
/// supervisor it comes from, it is not dumpable, so what it is and was cannot be looked at from the container.)
fn keep_little(workload: OwnedFd) -> Result<OwnedFd> {
    let what = || "confining init".to_owned();
    let null = nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDWR, nix::sys::stat::Mode::empty())
        .doing(what)?;
    for target in 0..3 {
        process::install_stdio(null.as_fd(), target).doing(what)?;
    }
    drop(null);
    let workload = process::close_all_but(workload).doing(what)?;
    let kill = capability::bit("KILL").unwrap_or(0);
    capability::limit_bounding_set(kill).doing(what)?;
    capability::set(kill, kill, 0).doing(what)?;
    Ok(workload)
}
