//! Tar archives: reading them entry by entry, and writing them. Pure: no file system is touched here.
//!
//! [`Archive`] reads POSIX ustar and pax with the GNU extensions, and merges the headers of an entry as Go's archive/tar
//! does, so that no two readers of a layer disagree about it. [`layer`] says what a path means in a layer of an image.

mod entry;
mod error;
pub mod layer;
mod reader;
mod sparse;
pub mod writer;

pub use entry::{Entry, Kind};
pub use error::{TarError, shown};
pub use reader::{Archive, Offsets};
pub use sparse::Sparse;
