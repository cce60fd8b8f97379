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

/// Rows and columns of the terminal on standard output; `None` if there is none.
pub(crate) fn size() -> Option<(u16, u16)> {
    let stdout = std::io::stdout();
    stdout.is_terminal().then(|| hull_sys::window::size(stdout.as_fd()).ok()).flatten()
}
