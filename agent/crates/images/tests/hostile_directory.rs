//! The tests of `hostile.rs` with layers that are unpacked into directories.

#[path = "hostile.rs"]
mod hostile;
