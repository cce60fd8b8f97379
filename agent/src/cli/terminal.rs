//! The terminal of whoever runs the command.

use nix::sys::termios::{self, SetArg, Termios};
use std::io::{IsTerminal as _, Stdin, stdin};
use std::os::fd::AsFd as _;

/// The terminal in raw mode, for as long as this is alive.
pub(crate) struct Raw {
    before: Termios,
    stdin: Stdin,
}

impl Raw {
    /// Hands every key to us as it is typed.
    pub(crate) fn enter() -> std::io::Result<Self> {
        let stdin = stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
        Ok(Self { before, stdin })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        _ = termios::tcsetattr(&self.stdin, SetArg::TCSADRAIN, &self.before);
    }
}

/// The terminal without echo, for as long as this is alive: what is typed is not shown.
pub(crate) struct Silent {
    before: Termios,
    stdin: Stdin,
}

impl Silent {
    /// Switches the echo off.
    pub(crate) fn enter() -> std::io::Result<Self> {
        let stdin = stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_flags.remove(termios::LocalFlags::ECHO);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &silent)?;
        Ok(Self { before, stdin })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        _ = termios::tcsetattr(&self.stdin, SetArg::TCSADRAIN, &self.before);
    }
}

/// Rows and columns of the terminal on standard output; `None` if there is none.
pub(crate) fn size() -> Option<(u16, u16)> {
    let stdout = std::io::stdout();
    stdout.is_terminal().then(|| hull_sys::window::size(stdout.as_fd()).ok()).flatten()
}

/// Whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    stdin().is_terminal()
}

/// Whether standard output is a terminal.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard error is a terminal.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
