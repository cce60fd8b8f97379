//! Files of containers as archives: copying in and out, differences, layers.

use async_trait::async_trait;
use hull_ports::Archives;

/// Reads and writes files of containers.
#[derive(Debug, Default)]
pub struct Driver;

impl Driver {
    /// The driver.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Archives for Driver {}
