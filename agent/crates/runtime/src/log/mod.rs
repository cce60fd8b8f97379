//! A container's output: cut into lines, kept in files of bounded number and size, sent elsewhere, and read back.
//!
//! ```text
//!  pipe or terminal ─ Splitter ─┬─ LogFiles ── output, output.1.gz …      driver local; a copy for journald and syslog
//!                               │              <id>-json.log, …            driver json-file
//!                               └─ Remote ─── journal, syslog              drivers journald and syslog
//! ```
//!
//! Writing happens in the supervisor, which never waits: what a disk does not take is dropped and counted, what a remote end
//! does not take at once makes the container wait, or is dropped and counted if its log does not block. Reading happens in the
//! agent, from the files alone.

mod files;
mod json;
mod packing;
#[cfg(feature = "client")]
pub mod reader;
mod record;
mod remote;
pub mod scan;
mod split;
mod syslog;
#[cfg(feature = "client")]
mod tail;
mod writer;

pub use files::Place;
pub(crate) use packing::Packing;
pub use record::{Entry, Format, Source};
pub(crate) use remote::Remote;
pub(crate) use split::Splitter;
#[cfg(feature = "client")]
pub(crate) use syslog::{Address, resolve};
pub(crate) use writer::{Writer, pack};

#[cfg(test)]
mod tests;
