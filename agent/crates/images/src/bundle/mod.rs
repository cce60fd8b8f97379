//! Images as archives: Docker's layout, which is also an OCI layout (OCI image specification, "Image Layout").
//!
//! What comes in is never written by the names that stand in it: the archive is kept as one file, and its entries are found in
//! it. Nothing is an image here before all of it was read and verified.

mod archive;
mod documents;
mod error;
mod layout;
mod load;
mod oci;
mod outer;
mod save;

pub(crate) use load::load;
pub(crate) use save::save;

#[cfg(fuzzing)]
pub(crate) fn fuzzing(bytes: &[u8]) {
    let _ = layout::parse(bytes);
}
