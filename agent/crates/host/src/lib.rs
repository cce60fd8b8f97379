//! The host itself: what it is, and making it what its settings say.
//!
//! Texts (accounts, hosts, trust) are decided by pure functions; one small type writes files, through no symbolic link and
//! each in one atomic step. Every path is below a root that is a parameter; what is not a file (the kernel's host name,
//! systemd) is behind one internal door. `/etc` is transient on the OS: what is written here lasts until the next boot.

mod accounts;
mod driver;
mod facts;
mod files;
mod homes;
mod hosts;
mod interfaces;
mod people;
mod system;
mod time;
mod trust;
mod write_files;

pub use driver::Driver;

use hull_model::{Problem, Severity};

/// A problem of one item of the settings.
fn problem(object: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem {
        severity: Severity::Error,
        source: "host".to_owned(),
        object: object.into(),
        reason: reason.into(),
        remedy: remedy.into(),
    }
}

/// A problem that takes nothing away but what it names.
fn warning(object: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { severity: Severity::Warning, ..problem(object, reason, remedy) }
}
