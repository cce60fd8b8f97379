//! A container's kept output: lines of JSON in files that are rotated, in Docker's json-file format.

mod line;
#[cfg(feature = "client")]
pub(crate) mod reader;
mod writer;

pub(crate) use line::Source;
pub(crate) use writer::{Splitter, Writer};

/// Name of the file being written; older ones end in `.1`, `.2` and so on.
pub(crate) const CURRENT: &str = "current.json";

#[cfg(test)]
mod tests;
