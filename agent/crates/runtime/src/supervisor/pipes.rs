//! The pipes a container's main process speaks through. They have names, so that a supervisor that comes later finds them.

use super::state::Files;
use crate::child::Stdio;
use crate::log;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::OwnedFd;

/// Both ends of a container's output, ours and its.
#[derive(Default)]
pub(super) struct Pipes {
    pub(super) stdio: Stdio,
    /// To be read.
    pub(super) ours: Vec<(OwnedFd, log::Source)>,
    /// To be written to, if its standard input is open.
    pub(super) input: Option<OwnedFd>,
}

/// Named pipes: the container's end is open for reading too, so that it never breaks while nobody reads, and a supervisor that
/// comes later finds them by name.
pub(super) fn pipes(files: &Files, stdin_open: bool) -> io::Result<Pipes> {
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for (name, source) in [("stdout", log::Source::Stdout), ("stderr", log::Source::Stderr)] {
        let path = files.pipe(name);
        theirs.push(open(&path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?);
        ours.push((open_pipe(files, name)?, source));
    }
    let (stdin, input) = if stdin_open {
        let (theirs, ours) = input_pipe(files)?;
        (theirs, Some(ours))
    } else {
        (open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?, None)
    };
    let stderr = theirs.pop();
    Ok(Pipes { stdio: Stdio { stdin: Some(stdin), stdout: theirs.pop(), stderr }, ours, input })
}

/// Both ends of a standard input that is open, the container's first. It is a pipe with a name, as programs expect that open
/// `/dev/stdin` again.
fn input_pipe(files: &Files) -> io::Result<(OwnedFd, OwnedFd)> {
    let path = files.pipe("stdin");
    files.make_fresh_pipe("stdin")?;
    let theirs = open(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
    let ours = open(&path, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
    fcntl(&theirs, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((theirs, ours))
}

/// Our end of a named pipe.
pub(super) fn open_pipe(files: &Files, name: &str) -> io::Result<OwnedFd> {
    Ok(open(&files.pipe(name), OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?)
}
