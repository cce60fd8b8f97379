//! Small files of the kernel.

use anyhow::{Context as _, Result};

/// Identifies this boot of the host (proc(5), random/boot_id).
pub(crate) fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().to_owned())
}
