//! Being drawn.
fn main() {}
