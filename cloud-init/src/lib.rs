//! Being drawn.
