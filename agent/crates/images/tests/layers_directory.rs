//! The tests of `layers.rs` with layers that are unpacked into directories.

#[path = "layers.rs"]
mod layers;
