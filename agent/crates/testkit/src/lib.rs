//! Fakes for tests: a whole host in memory, behind the same doors as the real drivers.
//!
//! A [`World`] outlives the engines that use it, as a kernel outlives an agent. Calls are logged by name; a test says which
//! of them fail. Nothing here sleeps or touches the disk.

mod drivers;
mod images;
mod stock;
mod world;

pub use world::{Call, FixedClock, World};

use hull_model::{ContainerSpec, Name, Reference};

/// A name, for tests that know it is one.
///
/// # Panics
/// If the text is no name.
pub fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|e| panic!("{e}"))
}

/// A reference, for tests that know it is one.
///
/// # Panics
/// If the text is no reference.
pub fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap_or_else(|e| panic!("{e}"))
}

/// A container of an image with everything else at its default.
pub fn container(called: &str, image: &str) -> ContainerSpec {
    ContainerSpec::new(name(called), reference(image))
}
