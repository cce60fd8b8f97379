//! The tests of `store.rs` with layers that are unpacked into directories.

#[path = "store.rs"]
mod store;
